"""What clients of an HTTP server may take up: time, connections and bytes. Slow ones delay nobody."""

import asyncio
import json
import re
import sys
from collections.abc import MutableMapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from relay.domain.phrases import phrase_of

CUT_S = 8.0
"""After this, a request that is not answered yet is answered with 503, and an answer that is not sent yet is cut."""
LAST_REQUEST_S = 1.0
"""A request may be on its way when the port is closed. A connection without one is closed after this."""
REFUSED_HEADERS = (
    b"content-type: application/problem+json\r\ncache-control: no-store\r\nx-content-type-options: nosniff\r\n"
    b"content-security-policy: default-src 'none'; frame-ancestors 'none'\r\nconnection: close\r\n"
)


REFUSED_CODES = {
    HTTPStatus.BAD_REQUEST: "malformed",
    HTTPStatus.REQUEST_TIMEOUT: "request_timeout",
    HTTPStatus.REQUEST_URI_TOO_LONG: "uri_too_long",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: "headers_too_large",
    HTTPStatus.SERVICE_UNAVAILABLE: "unavailable",
}
"""What the server refuses before the application sees it, with the codes of the problem documents."""


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """What one client, or all of them, may take up. Times are in seconds."""

    head_s: float = 10.0
    """From the first byte, or the end of the answer before, to the end of a request's headers."""
    body_s: float = 30.0
    """From there to the end of its body: the largest has 1 MiB."""
    read_s: float = 20.0
    """In which a client must read what is sent to it, 48 KiB or more at a time."""
    idle_s: float = 5.0
    """Between two requests."""
    connections: int = 500
    """Open at once. With one more, the one that has waited longest for its client's request is closed."""
    head_bytes: int = 65_536


class BoundedProtocol(H11Protocol):
    """One connection. A request that isn't complete in time is answered with 408, and its connection is closed."""

    limits: ClassVar[ClientLimits]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected."""
        self._phase, self._since = "", 0.0
        self._late: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections and not self._make_room():
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections are open: try again in a moment")
            return
        self._follow()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._disarm()
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Some bytes of a request, or of several."""
        super().data_received(data)
        self._follow()

    def on_response_complete(self) -> None:
        """A request was answered: the next one may have been sent already."""
        super().on_response_complete()
        self._follow()

    def pause_writing(self) -> None:
        """The client does not read as fast as it is answered."""
        super().pause_writing()
        self._unread = self.loop.call_later(self.limits.read_s, self.transport.abort)

    def resume_writing(self) -> None:
        """It has read most of it."""
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
        super().resume_writing()

    def shutdown(self) -> None:
        """The port is closed: answer the request that is under way, or on its way, and close the connection."""
        if self._is_answering():
            super().shutdown()
        else:
            self.loop.call_later(LAST_REQUEST_S, self._part)
        self.loop.call_later(CUT_S, self._cut)

    def timeout_keep_alive_handler(self) -> None:
        """No further request came."""
        super().timeout_keep_alive_handler()
        self._abort_soon()

    def send_400_response(self, msg: str) -> None:
        """The request is not HTTP, or its line or headers are too long."""
        # uvicorn calls this while it handles the exception, and does not pass it on.
        hint = getattr(sys.exception(), "error_status_hint", HTTPStatus.BAD_REQUEST)
        if hint != HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE:
            self._refuse(HTTPStatus.BAD_REQUEST, "the request is not valid HTTP/1.1")
        elif b"\n" in self.conn.trailing_data[0]:
            self._refuse(HTTPStatus(hint), f"the URL and the headers can have at most {self.limits.head_bytes} bytes")
        else:
            self._refuse(
                HTTPStatus.REQUEST_URI_TOO_LONG,
                f"the URL is too long: it can have at most {self.limits.head_bytes} bytes",
            )

    def _follow(self) -> None:
        """Limit the time of what is being received now."""
        state = self.conn.their_state
        phase = {h11.IDLE: "head", h11.SEND_BODY: "body"}.get(state, "")
        if phase == self._phase or self.transport.is_closing():
            return
        self._disarm()
        self._phase, self._since = phase, self.loop.time()
        if phase:
            within_s = self.limits.head_s if phase == "head" else self.limits.body_s
            self._late = self.loop.call_later(within_s, self._time_out)

    def _disarm(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _time_out(self) -> None:
        self._refuse(HTTPStatus.REQUEST_TIMEOUT, f"the {self._phase} of the request did not arrive in time")

    def _make_room(self) -> bool:
        others = (each for each in self.connections if isinstance(each, BoundedProtocol) and each is not self)
        waiting = [each for each in others if each._phase == "head"]
        if not waiting:
            return False
        min(waiting, key=lambda each: each._since).transport.abort()
        return True

    def _refuse(self, status: HTTPStatus, detail: str) -> None:
        """Answer without the application, unless it has begun to, and close the connection."""
        # None until the first request came, whatever uvicorn's types say.
        cycle: RequestResponseCycle | None = self.cycle
        is_answering = self._is_answering()
        if not self.transport.is_closing():
            if cycle is None or not is_answering or not cycle.response_started:
                text = _problem(status, detail)
                line = f"HTTP/1.1 {int(status)} {phrase_of(status)}\r\n".encode()
                self.transport.write(line + REFUSED_HEADERS + b"content-length: %d\r\n\r\n" % len(text) + text)
            self.transport.close()
        if cycle is not None and is_answering:
            cycle.disconnected = True
            cycle.message_event.set()
        self._disarm()
        self._abort_soon()

    def _is_answering(self) -> bool:
        # None until the first request came, whatever uvicorn's types say.
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def _part(self) -> None:
        if not self.transport.is_closing():
            super().shutdown()

    def _cut(self) -> None:
        if not self.transport.is_closing():
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "the server is restarting: send the request again")
        self.loop.call_later(LAST_REQUEST_S, self.transport.abort)

    def _abort_soon(self) -> None:
        # Closing waits until the client has read everything.
        self.loop.call_later(self.limits.idle_s, self.transport.abort)


HOST = re.compile(rb"(?:[A-Za-z0-9._-]{0,255}|\[[0-9A-Fa-f:.]{1,45}\])(?::[0-9]{0,5})?")
"""A host with or without a port. Empty: HTTP/1.0, or none."""


class Unambiguous:
    """Refuses what servers read in two ways: both Content-Length and Transfer-Encoding, and a Host that is no host.

    Addresses are made of Host, so one with a path in it would change the path of a request (RFC 9112 3.2).
    """

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        """Answer one request (ASGI)."""
        given = dict(scope.get("headers", ()))
        if {b"content-length", b"transfer-encoding"} <= given.keys():
            fault = "a request must not have both Content-Length and Transfer-Encoding"
        elif not HOST.fullmatch(given.get(b"host", b"")):
            fault = "the header Host must be a name or an address, and may have a port, such as relay.example.com:8080"
        else:
            await self._app(scope, receive, send)
            return
        text = _problem(HTTPStatus.BAD_REQUEST, fault)
        headers = [tuple(line.split(b": ", 1)) for line in REFUSED_HEADERS.splitlines()]
        headers.append((b"content-length", b"%d" % len(text)))
        await send({"type": "http.response.start", "status": 400, "headers": headers})
        await send({"type": "http.response.body", "body": text})


def _problem(status: HTTPStatus, detail: str) -> bytes:
    """A problem document (RFC 9457), with the fields of those that the API gives."""
    code = REFUSED_CODES[status]
    fields = {"type": f"urn:relay:problem:{code}", "title": phrase_of(status), "status": int(status), "code": code}
    return json.dumps(fields | {"detail": detail}).encode()
