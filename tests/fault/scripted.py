"""A receiver of raw bytes: each connection is served by a function of the test."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from tests.patience import PATIENCE_S


@dataclass(eq=False)
class Scripted:
    """What a scripted receiver has seen."""

    port: int
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0
    closed: int = 0
    """Connections of which the sender's end has come."""


@dataclass(eq=False)
class Peer:
    """One connection, from the receiver's side."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    number: int
    """Which connection it is, from 0."""
    seen: Scripted

    async def request(self) -> bytes:
        """Read one request with its body."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"content-length:"))
        request = head + await self.reader.readexactly(length)
        self.seen.requests.append(request)
        return request

    async def answer(self, *pieces: bytes) -> None:
        """Read a request, and send pieces, each by itself."""
        await self.request()
        for piece in pieces:
            self.writer.write(piece)
            await asyncio.sleep(0.002)

    async def until_closed(self) -> None:
        """Wait until the sender has closed."""
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(65536):
                pass
        self.seen.closed += 1


Script = Callable[[Peer], Awaitable[None]]


@contextlib.asynccontextmanager
async def scripted(
    script: Script, *, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Scripted]:
    """Run a receiver; when its script ends, the connection is closed."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        peer = Peer(reader, writer, seen.connections, seen)
        seen.connections += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await script(peer)
        tasks.discard(task)
        writer.transport.abort()

    server = await asyncio.start_server(serve, host, port, ssl=tls)
    seen = Scripted(server.sockets[0].getsockname()[1])
    try:
        yield seen
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)


async def happens(condition: Callable[[], bool], within_s: float = PATIENCE_S) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.002)
