"""Recordings of calls, as the upstream sends them: streamed, never kept.

The URL is documented (infinity-api.md 4.4). What the upstream answers is not: its content type, whether it redirects or
knows ranges, and its status for a call without a recording. So nothing that comes back is trusted, and a redirect is
followed through the same guard, without credentials if it leads to another origin.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import httpx

from relay.domain.addresses import EgressPolicy
from relay.domain.model import Source
from relay.domain.origins import origin_of
from relay.errors import Late, NotFound, Refused, Retriable, TooMany
from relay.outbound.report_requests import headers_of, recording_url
from relay.outbound.resolver import Resolver
from relay.outbound.upstream_transport import UNREACHABLE, UpstreamTransport

STALL_S = 20.0
"""For connecting, for the first byte, and for each pause after it."""
DEADLINE_S = 600.0
BYTES_AT_MOST = 512 << 20
"""A day of telephone audio has 690 MB: no call is that long."""
DOWNLOADS_AT_ONCE = 64
"""Of one process. Each takes up 64 KiB, and a file descriptor at each end."""
REDIRECTS_AT_MOST = 3

RANGE = re.compile(r"bytes=(?:[0-9]{1,15}-[0-9]{0,15}|-[0-9]{1,15})")
"""One range (RFC 9110 14.1.2). Any other is ignored, as the RFC allows."""
_AUDIO = re.compile(r"audio/[a-z0-9][a-z0-9.+-]{0,60}")
_PASSED_ON = ("content-length", "content-range", "accept-ranges", "etag", "last-modified")
_VALUE = re.compile(r"[\x20-\x7e]{1,200}")


@dataclass(frozen=True, slots=True)
class Recording:
    """An answer whose body has not been read yet."""

    status: int
    """200, 206 or 416."""
    media_type: str
    headers: Mapping[str, str]
    body: AsyncGenerator[bytes, None]
    """Read it to its end or close it: it holds a connection."""


class Recordings:
    """Downloads recordings from the upstream of any source."""

    def __init__(self, client: httpx.AsyncClient, *, stall_s: float = STALL_S, deadline_s: float = DEADLINE_S) -> None:
        self._client = client
        self._stall_s = stall_s
        self._deadline_s = deadline_s
        self._running = 0

    async def open(self, source: Source, row_id: int, *, asked: Mapping[str, str]) -> Recording:
        """Begin a download. `asked` has the headers `range` and `if-range`, if the client sent them.

        Raises NotFound, Refused (the source's credentials), Late, Retriable for all other failures, and TooMany.
        """
        if self._running >= DOWNLOADS_AT_ONCE:
            raise TooMany(f"{DOWNLOADS_AT_ONCE} downloads run in this process", retry_after_s=5)
        self._running += 1
        try:
            response = await self._first(source, recording_url(source, row_id), _conditions(asked))
            try:
                status, media_type = _judged(response)
            except BaseException:
                await response.aclose()
                raise
        except BaseException:
            self._running -= 1
            raise
        headers = {n: v for n in _PASSED_ON if (v := response.headers.get(n)) and _VALUE.fullmatch(v)}
        if status == 416:
            headers.pop("content-length", None)
        body = self._body(response, read=status != 416)
        await anext(body)  # From here on it gives everything back, however it ends.
        return Recording(status, media_type, headers, body)

    async def _first(self, source: Source, url: str, conditions: dict[bytes, bytes]) -> httpx.Response:
        """The first answer that is no redirect."""
        credentials = headers_of(source.auth)
        home = origin_of(url)
        for _ in range(REDIRECTS_AT_MOST + 1):
            own = credentials if origin_of(url) == home else {}
            headers = {**own, b"accept": b"audio/*", b"accept-encoding": b"identity", **conditions}
            response = await self._send(url, headers)
            if not response.has_redirect_location:
                return response
            await response.aclose()
            try:
                url = str(httpx.URL(url).join(response.headers["location"]))
            except (httpx.InvalidURL, ValueError):
                raise Retriable("the upstream redirects the recording to something that is no URL") from None
        raise Retriable(f"the upstream redirects the recording more than {REDIRECTS_AT_MOST} times")

    async def _send(self, url: str, headers: Mapping[bytes, bytes]) -> httpx.Response:
        try:
            async with asyncio.timeout(self._stall_s):
                request = self._client.build_request("GET", url, timeout=self._stall_s, headers=headers)
                return await self._client.send(request, stream=True)
        except (TimeoutError, httpx.TimeoutException):
            raise Late(f"the upstream did not begin to send the recording within {self._stall_s:g} s") from None
        except (httpx.ConnectError, httpx.InvalidURL, httpx.UnsupportedProtocol):
            raise Retriable(UNREACHABLE) from None
        except httpx.HTTPError as error:
            raise Retriable(f"the upstream's answer broke off ({type(error).__name__})") from None

    async def _body(self, response: httpx.Response, *, read: bool) -> AsyncGenerator[bytes, None]:
        """The bytes as they come: what the client does not take is not read from the upstream."""
        loop, left = asyncio.get_running_loop(), BYTES_AT_MOST
        ends = loop.time() + self._deadline_s
        try:
            yield b""
            chunks = response.aiter_raw()
            while read:
                async with asyncio.timeout_at(min(ends, loop.time() + self._stall_s)):
                    chunk = await anext(chunks, None)
                if chunk is None:
                    return
                left -= len(chunk)
                if left < 0:
                    raise Retriable(f"the recording has more than {BYTES_AT_MOST} bytes")
                yield chunk
        finally:
            self._running -= 1
            with suppress(httpx.HTTPError):
                await response.aclose()


def _conditions(asked: Mapping[str, str]) -> dict[bytes, bytes]:
    wanted = asked.get("range", "")
    if not RANGE.fullmatch(wanted):
        return {}
    since = asked.get("if-range", "")
    return {b"range": wanted.encode()} | ({b"if-range": since.encode()} if _VALUE.fullmatch(since) else {})


def _judged(response: httpx.Response) -> tuple[int, str]:
    """The status and media type of an answer that can be passed on."""
    status = response.status_code
    media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    match status:
        case 200 | 206 if response.headers.get("content-encoding", "identity") != "identity":
            raise Retriable("the upstream sent the recording compressed, which the relay did not ask for")
        case 200 | 206 if not _AUDIO.fullmatch(media_type):
            raise Retriable("the upstream sent something that is not audio")
        case 200 | 206:
            return status, media_type
        case 416:
            return status, "audio/basic"
        case 404 | 410:
            raise NotFound("the upstream has no recording of this call, or no longer")
        case 401 | 403:
            raise Refused(f"the upstream refuses the recording to the credentials of the source ({status})")
        case _:
            raise Retriable(f"the upstream answered {status} when it was asked for the recording")


@asynccontextmanager
async def open_recordings(policy: EgressPolicy) -> AsyncIterator[Recordings]:
    """Downloads through the guard for upstreams. Connections are closed after each of them."""
    resolver = Resolver()
    transport = UpstreamTransport(policy=policy, resolver=resolver)
    try:
        async with httpx.AsyncClient(transport=transport, follow_redirects=False, trust_env=False) as client:
            yield Recordings(client)
    finally:
        await resolver.close()
