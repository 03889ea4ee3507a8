"""The least of an HTTP/1.1 server that measures: it answers when it is told to, or never, and costs 20 µs a request."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast


class Exchange:
    """One request, until it is answered or its connection is gone."""

    __slots__ = ("_connection", "body", "ended", "head")

    def __init__(self, connection: "Connection", head: str, body: bytes) -> None:
        self._connection = connection
        self.head = head
        self.body = body
        self.ended: Callable[[], None] | None = None
        """Called once, when it is answered or can be answered no more."""

    @property
    def target(self) -> str:
        """Path and query as they were sent."""
        return self.head.split(" ", 2)[1]

    def header(self, name: str) -> str:
        """A header's value by its name in lower case; '' when there is none."""
        at = self.head.lower().find(f"\r\n{name}: ")
        if at < 0:
            return ""
        start = at + len(name) + 4
        end = self.head.find("\r\n", start)
        return self.head[start:] if end < 0 else self.head[start:end]

    def answer(self, status: int, body: bytes = b"", *headers: str) -> None:
        """Answer; nothing happens when the connection is gone."""
        self._connection.answer(self, status, body, headers)


Handler = Callable[[Exchange], None]


class Connection(asyncio.Protocol):
    """One connection: requests in, one after the other."""

    def __init__(self, handler: Handler, open_ones: set["Connection"]) -> None:
        self._handler = handler
        self._open_ones = open_ones
        self._buffer = b""
        self._current: Exchange | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the socket to answer on."""
        self._transport = cast(asyncio.Transport, transport)
        self._open_ones.add(self)

    def data_received(self, data: bytes) -> None:
        """Take in bytes."""
        self._buffer += data
        self._next()

    def connection_lost(self, _error: Exception | None) -> None:
        """Whatever waits for its answer here gets none."""
        self._open_ones.discard(self)
        self._end()

    def answer(self, exchange: Exchange, status: int, body: bytes, headers: tuple[str, ...]) -> None:
        """Send an answer to the request at hand."""
        if exchange is not self._current:
            return
        length = () if status == 204 else (f"content-length: {len(body)}",)
        head = "\r\n".join((f"HTTP/1.1 {status} Status", *length, *headers, "", ""))
        self._transport.write(head.encode() + body)
        self._end()
        self._next()

    def close(self) -> None:
        """Cut the connection."""
        self._transport.abort()

    def _end(self) -> None:
        exchange, self._current = self._current, None
        if exchange is not None and exchange.ended is not None:
            exchange.ended()

    def _next(self) -> None:
        if self._current is not None:
            return
        at = self._buffer.find(b"\r\n\r\n")
        if at < 0:
            return
        exchange = Exchange(self, self._buffer[:at].decode("latin-1"), b"")
        end = at + 4 + int(exchange.header("content-length") or 0)
        if len(self._buffer) < end:
            return
        exchange.body = self._buffer[at + 4 : end]
        self._buffer = self._buffer[end:]
        self._current = exchange
        self._handler(exchange)


@asynccontextmanager
async def serving(handler: Handler, *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[int]:
    """Serve until the block ends; gives the port."""
    open_ones: set[Connection] = set()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(handler, open_ones), host, port, backlog=4096)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for connection in tuple(open_ones):
            connection.close()
        await asyncio.sleep(0)
