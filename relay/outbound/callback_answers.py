"""What is kept of an answer to a callback: how its body starts, and its headers, without the secrets it echoes."""

from collections.abc import Iterable
from typing import cast

import httpx
import msgspec

from relay.domain.echoes import Echoes
from relay.domain.outcomes import Outcome

KEPT_BODY_BYTES = 1024
READ_BEYOND = 12_288
"""So that no secret that begins in what is kept is cut in two: the longest token, in its longest spelling."""
START_BYTES = KEPT_BODY_BYTES + READ_BEYOND
COMPRESSED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd")
"""How gzip and zstd begin."""
KEPT_HEADERS = 32
KEPT_HEADER_CHARS = 2048

Header = tuple[str, str]


async def read_start(response: httpx.Response, most: int = START_BYTES) -> tuple[bytes, str]:
    """The first `most` bytes of the body, and what is wrong with it. A body that breaks off changes no status."""
    stream = cast(httpx.AsyncByteStream, response.stream)
    start, detail = b"", ""
    try:
        async for chunk in stream:
            if len(start) < most:
                start += chunk[: most - len(start)]
    except httpx.TransportError:
        detail = "the answer's body broke off"
    finally:
        await stream.aclose()
    if start and _is_compressed(response, start):
        # Nobody can read it without inflating it, and what is in it can't be hidden.
        return b"", detail or "the answer's body is compressed, which was not asked for"
    return start, detail


def kept_headers(headers: list[Header], echoes: Echoes) -> tuple[Header, ...]:
    """The first of an answer's headers, as many as are kept."""
    if echoes.may_hold("\n".join([value for _, value in headers]).encode()):
        headers = [(name, echoes.hide(value.encode()).decode("utf-8", "replace")) for name, value in headers]
    if len(headers) <= KEPT_HEADERS and sum([len(name) + len(value) for name, value in headers]) <= KEPT_HEADER_CHARS:
        return tuple(headers)
    kept, left = [], KEPT_HEADER_CHARS
    for name, value in headers[:KEPT_HEADERS]:
        left -= len(name) + len(value)
        if left < 0:
            break
        kept.append((name, value))
    return tuple(kept)


def without(outcome: Outcome, secrets: Iterable[str]) -> Outcome:
    """An outcome in which the receiver does not show what it was sent in confidence."""
    if not outcome.body and not outcome.headers:
        return outcome
    echoes = Echoes(secrets)
    headers = tuple((name, echoes.hide(value.encode()).decode("utf-8", "replace")) for name, value in outcome.headers)
    return msgspec.structs.replace(outcome, body=echoes.hide(outcome.body), headers=headers)


def _is_compressed(response: httpx.Response, start: bytes) -> bool:
    if start.startswith(COMPRESSED):
        return True
    # Of a success nothing is waited for, and httpx's headers cost more than signing.
    return not response.is_success and response.headers.get("content-encoding", "identity") != "identity"
