"""Answers `/metrics`: one answer at a time, and the same one to all requests within a second."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Protocol

from relay.bounded_clients import ClientLimits
from relay.metrics.looping import LoopLag
from relay.metrics.process import cpu_and_memory
from relay.metrics.sheet import Sheet
from relay.serving import server

PATH = "/metrics"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
FRESH_S = 1.0
"""An answer serves so long, so that many requests do not keep the process busy."""
LIMITS = ClientLimits(head_s=5.0, body_s=5.0, read_s=5.0, connections=100, head_bytes=16_384)
HEADERS = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
)
Send = Callable[[dict[str, Any]], Awaitable[None]]
App = Callable[[dict[str, Any], Any, Send], Awaitable[None]]


class Source(Protocol):
    """What fills a sheet."""

    async def fill(self, sheet: Sheet) -> None:
        """Add all samples."""


class Answering:
    """The metrics of a process as an ASGI application."""

    def __init__(self, source: Source, lag: LoopLag) -> None:
        self._source = source
        self._lag = lag
        self._one_at_a_time = asyncio.Lock()
        self._text = b""
        self._until = 0.0

    async def text(self) -> bytes:
        """The metrics in the text format 0.0.4."""
        now = asyncio.get_running_loop().time
        async with self._one_at_a_time:
            if now() >= self._until:
                sheet = Sheet()
                await self._source.fill(sheet)
                self._text, self._until = await sheet.text() + cpu_and_memory(), now() + FRESH_S
            return self._text

    async def __call__(self, scope: dict[str, Any], _receive: object, send: Send) -> None:
        """Answer one request (ASGI)."""
        if scope.get("path") == PATH:
            await _answer(send, 200, CONTENT_TYPE, await self.text())
        else:
            await _answer(send, 404, "text/plain; charset=utf-8", b"not found: /metrics is here")

    def in_front_of(self, app: App) -> App:
        """An application that answers `/metrics` itself, and leaves the rest to another one."""

        async def either(scope: dict[str, Any], receive: Any, send: Send) -> None:
            await (self if scope.get("path") == PATH else app)(scope, receive, send)

        return either

    @asynccontextmanager
    async def measuring(self, port: socket.socket | None) -> AsyncIterator[None]:
        """Measure the loop, and serve on a port of its own if there is one, for as long as this is used."""
        tasks = [asyncio.create_task(self._lag.run(), name="loop lag")]
        serves = server(self, lifespan=False, limits=LIMITS)
        if port is not None:
            tasks.append(asyncio.create_task(serves.serve([port]), name="metrics"))
        try:
            yield
        finally:
            serves.should_exit = True
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _answer(send: Send, status: int, content_type: str, body: bytes) -> None:
    headers = [*HEADERS, (b"content-type", content_type.encode()), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
