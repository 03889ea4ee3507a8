"""`httpx.Request` and `httpx.Response` as the transport takes and makes them: the same to callers, and cheap.

httpx normalises every header of every request and response, which costs more than signing a callback. Here headers
stay as they go over the wire, and become `httpx.Headers` when somebody asks for them.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

import httpx

from relay.domain.model import ClientCertificate
from relay.outbound.http.answer import BODY_CAP_BYTES, RawHeaders
from relay.outbound.http.request import HeaderList, Preamble
from relay.outbound.http.timings import Timings
from relay.outbound.targets import Target

UNREADABLE = "(not ASCII)"
"""Stands for the values of a header that are not ASCII."""


class WireRequest(httpx.Request):
    """A request to a vetted target. `deadline_s` counts from the first lookup to the last byte read.

    `wire_headers` are all that is sent, but for what the transport writes from the URL and the body. Those of a
    `preamble` come first. `kept_bytes` is how much of the answer's body is read.
    """

    def __init__(
        self,
        method: str,
        target: Target,
        *,
        headers: HeaderList,
        body: bytes,
        deadline_s: float,
        identity: ClientCertificate | None = None,
        preamble: Preamble | None = None,
        kept_bytes: int = BODY_CAP_BYTES,
    ) -> None:
        # httpx's own constructor is what this class is there to avoid; these are all the attributes that it sets.
        self.method = method
        self.extensions = {}
        self.stream = httpx.ByteStream(body)
        self.target = target
        self.own_headers = headers
        self.preamble = preamble
        self.body = body
        self.deadline_s = deadline_s
        self.identity = identity
        self.kept_bytes = kept_bytes

    def __repr__(self) -> str:
        """Without the path and the query, which can hold a subscriber's secrets."""
        return f"<WireRequest({self.method!r}, {self.target.origin!r})>"

    @property
    def url(self) -> httpx.URL:  # type: ignore[override]
        """The URL as httpx has it: made on demand."""
        return self.target.shown

    @property
    def wire_headers(self) -> HeaderList:
        """Every header, in order."""
        return [*self.preamble.headers, *self.own_headers] if self.preamble else self.own_headers

    @property
    def headers(self) -> httpx.Headers:
        """The headers as httpx has them: a copy, made on demand."""
        return httpx.Headers(self.wire_headers)

    @headers.setter
    def headers(self, headers: httpx.Headers) -> None:
        """Replace them all."""
        self.preamble, self.own_headers = None, headers.multi_items()


class Carrier(Protocol):
    """A connection, as an answer sees it."""

    def abort(self) -> None:
        """Close at once."""


class Answer(httpx.AsyncByteStream, AsyncIterator[bytes]):
    """An answer whose head came, and the stream of how its body starts.

    Closing it closes the connection if the body has not ended. One piece has all that is kept of the body; an error
    follows it if the body broke off.
    """

    __slots__ = ("_body", "_carrier", "_error", "_is_read", "_waiter", "headers", "status", "timings")

    def __init__(self, status: int, headers: RawHeaders, timings: Timings, carrier: Carrier | None) -> None:
        self.status = status
        self.headers = headers
        self.timings = timings
        self._carrier = carrier
        """The connection that still carries the body."""
        self._body = b""
        self._error: httpx.TransportError | None = None
        self._is_read = False
        self._waiter: asyncio.Future[None] | None = None

    def end(self, body: bytes, error: httpx.TransportError | None = None) -> None:
        """Note that nothing more of the body comes."""
        self._carrier = None
        self._body, self._error = body, error
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def whole_body(self) -> bytes | None:
        """The start of the body if it has ended well; None: iterate."""
        return self._body if self._carrier is None and self._error is None else None

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._carrier is not None:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        if not self._is_read:
            self._is_read = True
            if self._body:
                return self._body
        if self._error is not None:
            raise self._error
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Close the connection unless the body has ended."""
        self.drop()

    def drop(self) -> None:
        """Do so at once."""
        if self._carrier is not None:
            carrier, self._carrier = self._carrier, None
            carrier.abort()


class WireResponse(httpx.Response):
    """A response whose head came; its stream is the start of its body, and its extensions have `timings`."""

    next_request = None
    is_closed = is_stream_consumed = False
    default_encoding = "utf-8"
    _request = None
    _num_bytes_downloaded = 0

    def __init__(self, answer: Answer) -> None:
        # httpx's own constructor costs more than signing; these are the attributes that it sets for a stream.
        self.answer = answer
        self.status_code = answer.status
        self.stream = answer
        self.extensions = {"timings": answer.timings}
        self.history = []

    @property
    def wire_headers(self) -> HeaderList:
        """The headers as they came, names in lower case and values beyond ASCII as UNREADABLE."""
        return [
            (name.decode("ascii").lower(), value.decode("ascii").strip(" \t") if value.isascii() else UNREADABLE)
            for name, value in self.answer.headers
        ]

    @property
    def headers(self) -> httpx.Headers:
        """The headers as httpx has them: a copy, made on demand."""
        return httpx.Headers(self.wire_headers)

    @headers.setter
    def headers(self, headers: httpx.Headers) -> None:
        """httpx's constructor sets them; they are the response's own already."""


def header_list(response: httpx.Response) -> HeaderList:
    """The headers of any response, cheaply where that is possible."""
    return response.wire_headers if isinstance(response, WireResponse) else response.headers.multi_items()
