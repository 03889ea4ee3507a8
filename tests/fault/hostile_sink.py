"""A receiver of callbacks with one bad habit for each path: the catalogue of what an endpoint can do to its sender."""

import asyncio
import contextlib
import gzip
import ssl
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

OK = b"HTTP/1.1 200 OK\r\n"
FOREVER_S = 3600.0


@dataclass(slots=True)
class Received:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Exchange:
    """One request and the connection that it came on."""

    received: Received
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    number: int
    """Which request of its connection it is, from 0."""

    async def send(self, data: bytes) -> None:
        """Write, waiting while the peer does not read."""
        if self.writer.is_closing():
            # uvloop has an error of its own for that.
            raise ConnectionResetError
        self.writer.write(data)
        await self.writer.drain()


Behaviour = Callable[[Exchange], Awaitable[None]]

BEHAVIOURS: dict[str, Behaviour] = {}
"""By path. Each answers one request and then the connection is closed, unless it is among KEEPS_ALIVE."""

KEEPS_ALIVE = {"fine", "fine-with-body"}


def behaviour(path: str) -> Callable[[Behaviour], Behaviour]:
    """Name a behaviour by the path that asks for it."""

    def register(function: Behaviour) -> Behaviour:
        BEHAVIOURS[path] = function
        return function

    return register


def answers(path: str, data: bytes) -> None:
    """Name a behaviour that is nothing but bytes."""

    @behaviour(path)
    async def answer(exchange: Exchange) -> None:
        await exchange.send(data)


def _head(status: str, *headers: str, close: bool = True) -> bytes:
    """Who closes says so, for else the next callback might already be under way on the same connection."""
    closing = ("connection: close",) if close else ()
    return "\r\n".join((f"HTTP/1.1 {status}", *headers, *closing, "", "")).encode("latin-1")


answers("fine", _head("204 No Content", close=False))
answers("fine-with-body", _head("200 OK", "content-length: 2", close=False) + b"ok")
answers("closes-unsaid", _head("204 No Content", close=False))
answers("http09", b"<html>hello</html>")
answers("garbage", b"\x16\x03\x01\x00\xff\xfe" * 20)
answers("close-before-answer", b"")
answers("short-body", _head("200 OK", "content-length: 100") + b"only this")
answers("two-lengths", _head("200 OK", "content-length: 2", "content-length: 3") + b"ok")
answers("negative-length", _head("200 OK", "content-length: -1") + b"ok")
answers(
    "length-and-chunks", _head("200 OK", "content-length: 2", "transfer-encoding: chunked") + b"2\r\nok\r\n0\r\n\r\n"
)
answers("bad-chunk", _head("200 OK", "transfer-encoding: chunked") + b"zz\r\nok")
answers(
    "double-encoding", _head("200 OK", "content-encoding: gzip", "content-encoding: gzip", "content-length: 2") + b"ok"
)
answers("control-bytes", _head("200 OK", "content-length: 24") + b"\x00\x1b[31m<script>x</script>")
answers("latin-header", _head("503 Nö", "x-note: gr\xfc\xdfe", "content-length: 0"))
answers("ten-thousand-headers", _head("200 OK", *(f"x-{n}: 1" for n in range(10_000)), "content-length: 0"))
answers("megabyte-header", _head("200 OK", "x-long: " + "a" * 1_000_000, "content-length: 0"))
answers("upgrade", _head("101 Switching Protocols", "upgrade: websocket", "connection: upgrade", close=False))
answers(
    "alt-svc",
    _head("200 OK", 'alt-svc: h2="127.0.0.2:1"; ma=9999', "refresh: 0; url=http://127.0.0.2:1/", "content-length: 0"),
)
answers("says-br", _head("200 OK", "content-encoding: br", "content-length: 5") + b"plain")
answers("says-zstd", _head("200 OK", "content-encoding: zstd", "content-length: 5") + b"plain")
answers("cookie", _head("200 OK", "set-cookie: a=b", "content-length: 0"))


@behaviour("never-answers")
async def _never_answers(exchange: Exchange) -> None:
    """Keeps reading, so that it sees the sender go."""
    while await exchange.reader.read(65536):
        pass


@behaviour("header-drip")
async def _header_drip(exchange: Exchange) -> None:
    await exchange.send(OK)
    while True:
        await exchange.send(b"x")
        await asyncio.sleep(0.02)


@behaviour("body-drip")
async def _body_drip(exchange: Exchange) -> None:
    await exchange.send(_head("200 OK", "content-length: 3600"))
    while True:
        await exchange.send(b"x")
        await asyncio.sleep(0.02)


@behaviour("endless-chunks")
async def _endless_chunks(exchange: Exchange) -> None:
    await exchange.send(_head("200 OK", "transfer-encoding: chunked"))
    while True:
        await exchange.send(b"10000\r\n" + b"x" * 65536 + b"\r\n")


@behaviour("gigabyte")
async def _gigabyte(exchange: Exchange) -> None:
    await exchange.send(_head("200 OK", f"content-length: {1 << 30}"))
    for _ in range(1 << 14):
        await exchange.send(b"x" * 65536)


@behaviour("gzip-bomb")
async def _gzip_bomb(exchange: Exchange) -> None:
    await exchange.send(_head("200 OK", "content-encoding: gzip", f"content-length: {len(_BOMB)}") + _BOMB)


_BOMB = gzip.compress(bytes(1 << 24), compresslevel=9)
"""16 MiB of zeros in 16 KiB: all of it is read, and none of it may be inflated."""


@behaviour("deflate-bomb")
async def _deflate_bomb(exchange: Exchange) -> None:
    await exchange.send(_head("200 OK", "content-encoding: deflate", f"content-length: {len(_DEFLATED)}") + _DEFLATED)


_DEFLATED = zlib.compress(bytes(1 << 24), 9)


@behaviour("continue-forever")
async def _continue_forever(exchange: Exchange) -> None:
    while True:
        await exchange.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        await asyncio.sleep(0.02)


@behaviour("informational-flood")
async def _informational_flood(exchange: Exchange) -> None:
    while True:
        await exchange.send(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" * 100)
        await asyncio.sleep(0.001)


@behaviour("reset-after-headers")
async def _reset_after_headers(exchange: Exchange) -> None:
    await exchange.send(_head("200 OK", "content-length: 100") + b"some")
    await asyncio.sleep(0.05)
    exchange.writer.transport.abort()


@behaviour("reset-before-answer")
async def _reset_before_answer(exchange: Exchange) -> None:
    exchange.writer.transport.abort()


@behaviour("status")
async def _status(exchange: Exchange) -> None:
    """`/status/429?retry-after=…`: any status, with the headers that the query asks for."""
    path, _, query = exchange.received.path.partition("?")
    headers = [pair.replace("=", ": ", 1) for pair in query.split("&") if pair]
    await exchange.send(_head(f"{path.rsplit('/', 1)[1]} Status", *headers, "content-length: 0"))


@dataclass(eq=False)
class HostileSink:
    """A server of the catalogue. `received` are the requests in order, `connections` how many were made."""

    port: int = 0
    received: list[Received] = field(default_factory=list)
    connections: int = 0
    closed: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            number = 0
            while await self._answer(reader, writer, number):
                number += 1
        except (ConnectionError, asyncio.IncompleteReadError, TimeoutError):
            pass
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            self._tasks.discard(task)
            self.closed += 1
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> bool:
        received = await _read(reader)
        self.received.append(received)
        name = received.path.lstrip("/").partition("/")[0].partition("?")[0]
        await BEHAVIOURS[name](Exchange(received, reader, writer, number))
        return name in KEEPS_ALIVE

    async def stop(self) -> None:
        """End every exchange that is under way."""
        await _cancel(self._tasks)


async def _read(reader: asyncio.StreamReader) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in head[1:] if line)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Received(head[0].split(" ")[1], headers, body)


@contextlib.asynccontextmanager
async def hostile_sink(
    *, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[HostileSink]:
    """Run the catalogue on a port of this machine."""
    sink = HostileSink()
    server = await asyncio.start_server(sink.serve, host, port, ssl=tls)
    sink.port = server.sockets[0].getsockname()[1]
    try:
        yield sink
    finally:
        server.close()
        await sink.stop()


@contextlib.asynccontextmanager
async def silent_listener(*, reads: bool = True) -> AsyncIterator[int]:
    """Accept connections and say nothing, as a stalled TLS server does; or do not even read. Gives its port."""

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            if not reads:
                await asyncio.sleep(FOREVER_S)
            while await reader.read(65536):
                pass
        except (ConnectionError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            writer.close()

    tasks: set[asyncio.Task[None]] = set()
    server = await asyncio.start_server(hold, "127.0.0.1", 0, limit=4096)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await _cancel(tasks)


async def _cancel(tasks: set[asyncio.Task[None]]) -> None:
    pending = tuple(tasks)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    # Transports close their sockets in the loop's next turn.
    await asyncio.sleep(0)


@dataclass
class Canary:
    """A listener that nobody may ever reach."""

    port: int
    touched: int = 0


@contextlib.asynccontextmanager
async def canary(host: str, port: int = 0) -> AsyncIterator[Canary]:
    """Listen at a forbidden address and count who comes."""

    async def count(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        bird.touched += 1
        writer.close()

    bird = Canary(0)
    server = await asyncio.start_server(count, host, port)
    bird.port = server.sockets[0].getsockname()[1]
    try:
        yield bird
    finally:
        server.close()
