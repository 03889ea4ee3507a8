"""The tail of the API for a browser: passed on as it comes, for as long as the session lasts.

`relay.console.api` gathers answers, so a stream takes another way: this calls the application with another request.
"""

import asyncio
from contextlib import suppress
from typing import Any

from litestar import Response
from litestar.types import ASGIApp, HTTPScope, Message, Receive, ReceiveMessage, Scope, Send

from relay.console.api import FORWARDED, ROOT
from relay.console.visits import Visit
from relay.errors import StoreUnavailable
from relay.store.sessions import Sessions

CHECK_S = 2.0
"""How soon a stream ends after its session."""
KEPT = ("type", "asgi", "http_version", "method", "scheme", "root_path", "client", "server", "extensions")
"""What the request of the API has of the browser's."""
OVER = b'event: end\ndata: {"type":"end","reason":"session"}\n\n'


class ApiStream(Response[bytes]):
    """The answer of an operation that streams. The session of the visit is not extended by it."""

    def __init__(self, visit: Visit, path: str) -> None:
        """`path`: of the operation, below `/api/v1`. The query is the browser's."""
        super().__init__(b"")
        self._visit = visit
        self._path = ROOT + path

    def to_asgi_response(self, *_: Any, **__: Any) -> ASGIApp:  # type: ignore[override]
        """The stream."""
        return self._pass_on

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        channel = _Channel(receive, send)
        watching = asyncio.create_task(self._watch(channel))
        try:
            app: Any = self._visit.request.app
            await app(self._asked(scope), channel.receive, channel.send)
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching

    def _asked(self, scope: Scope) -> HTTPScope:
        headers = [(b"authorization", f"Bearer {self._visit.session.key.reveal()}".encode())]
        headers += [each for each in scope["headers"] if each[0].decode("latin-1") in FORWARDED]
        given: dict[str, Any] = {name: scope[name] for name in KEPT if name in scope}  # type: ignore[literal-required]
        path = {"path": self._path, "raw_path": self._path.encode(), "query_string": scope["query_string"]}
        return {**given, **path, "headers": headers, "state": {}}  # type: ignore[typeddict-item]

    async def _watch(self, channel: "_Channel") -> None:
        """End the stream when the session has ended."""
        app, session = self._visit.request.app, self._visit.session
        sessions: Sessions = app.state.stores.sessions
        while True:
            await asyncio.sleep(CHECK_S)
            with suppress(StoreUnavailable):
                if await sessions.find(session.token, now_ms=int(app.state.clock.now_ms()), extends=False) is None:
                    await channel.end()
                    return


class _Channel:
    """The connection to the browser, which can be closed from here as well."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._is_open = False
        self._over = asyncio.Event()

    async def receive(self) -> ReceiveMessage:
        """The next message of the browser, or that it left."""
        coming, over = asyncio.ensure_future(self._receive()), asyncio.ensure_future(self._over.wait())
        try:
            await asyncio.wait((coming, over), return_when=asyncio.FIRST_COMPLETED)
            return coming.result() if coming.done() else {"type": "http.disconnect"}
        finally:
            coming.cancel()
            over.cancel()

    async def send(self, message: Message) -> None:
        """Send on what the operation sends. Nothing follows the end of the session."""
        if not self._over.is_set():
            self._is_open = message["type"] == "http.response.start" or bool(message.get("more_body"))
            await self._send(message)

    async def end(self) -> None:
        """Tell the browser that the session is over, and the operation that the browser left."""
        self._over.set()
        if self._is_open:
            await self._send({"type": "http.response.body", "body": OVER, "more_body": False})
