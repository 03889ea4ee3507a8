"""`httpx.Request` and `httpx.Response` as egress takes and makes them: the same to whoever looks, and cheap.

httpx normalises every header of every request and response, which costs more than signing a callback. Here headers
stay as they go over the wire, and become `httpx.Headers` when somebody asks for them.
"""

import httpx
from pyreqwest.http import HeaderMap
from pyreqwest.response import Response

from relay.domain.model import ClientCertificate
from relay.outbound.targets import Target

HeaderList = list[tuple[str, str]]

UNREADABLE = "(not ASCII)"
"""Stands for the values of a header that the client cannot give as text."""


class WireRequest(httpx.Request):
    """A request to a vetted target. `deadline_s` counts from the first look-up to the last byte read.

    `wire_headers` are all that is sent, but for what the client writes from the URL and the body.
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
    ) -> None:
        # httpx's own constructor is what this class is there to avoid; these are all the attributes that it sets.
        self.method = method
        self.url = target.shown
        self.extensions = {}
        self.stream = httpx.ByteStream(body)
        self.target = target
        self.wire_headers = headers
        self.body = body
        self.deadline_s = deadline_s
        self.identity = identity

    def __repr__(self) -> str:
        """Without the path and the query, which can hold a subscriber's secrets."""
        return f"<WireRequest({self.method!r}, {self.target.origin!r})>"

    @property
    def headers(self) -> httpx.Headers:
        """The headers as httpx has them: a copy, made for whoever asks."""
        return httpx.Headers(self.wire_headers)

    @headers.setter
    def headers(self, headers: httpx.Headers) -> None:
        """Replace them all."""
        self.wire_headers = headers.multi_items()


class WireResponse(httpx.Response):
    """A response whose head came; its stream is the start of its body."""

    def __init__(self, response: Response, stream: httpx.AsyncByteStream) -> None:
        # httpx's own constructor costs more than signing; these are the attributes that it sets for a stream.
        self._wire = response
        self.status_code = response.status
        self.stream = stream
        self.extensions = {}
        self.history = []
        self.next_request = None
        self.is_closed = self.is_stream_consumed = False
        self.default_encoding = "utf-8"
        self._request = None
        self._num_bytes_downloaded = 0

    @property
    def wire_headers(self) -> HeaderList:
        """The headers as they came, names in lower case and values beyond ASCII as UNREADABLE."""
        headers = self._wire.headers
        try:
            return list(headers.items())
        except ValueError:
            return [(name, value) for name in dict.fromkeys(headers.keys()) for value in _values(headers, name)]

    @property
    def headers(self) -> httpx.Headers:
        """The headers as httpx has them: a copy, made for whoever asks."""
        return httpx.Headers(self.wire_headers)

    @headers.setter
    def headers(self, headers: httpx.Headers) -> None:
        """httpx's constructor sets them; they are the response's own already."""


def _values(headers: HeaderMap, name: str) -> list[str]:
    try:
        return headers.getall(name)
    except ValueError:
        return [UNREADABLE]


def header_list(response: httpx.Response) -> HeaderList:
    """The headers of any response, cheaply where that is possible."""
    return response.wire_headers if isinstance(response, WireResponse) else response.headers.multi_items()
