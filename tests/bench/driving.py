"""What clients that store nothing reach on a sink: the two baselines of every figure, and a protocol that only counts.

`client` is pyreqwest, called as its users would: bytes in, status out. `limit` is the least that a client in Python can
do: a protocol that writes a request, parses its answer with httptools, and wakes whoever waits.
"""

import asyncio
import os
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

import httptools
from pyreqwest.client import ClientBuilder

from tests.bench.sinks import Sink

IN_FLIGHT = 64
BODY = b'{"type":"call.created","data":"' + os.urandom(1084).hex().encode() + b'"}'
"""2.2 kB, as a callback has."""
HEADERS = [
    ("content-type", "application/json"),
    ("user-agent", "infinity-event-relay/bench"),
    ("accept-encoding", "identity"),
    ("webhook-id", "msg_IUUKzAM5N8emmn870dUfmdtI"),
    ("webhook-timestamp", "1700000000"),
    ("webhook-signature", "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4="),
    ("idempotency-key", "msg_IUUKzAM5N8emmn870dUfmdtI"),
]
"""Those of a callback, with a signature that never changes."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a driver was. `cpu_us` is this process's share of one request, in µs of CPU."""

    per_s: float
    cpu_us: float


async def drive(send: Callable[[], Awaitable[object]], count: int) -> Pace:
    """Send so many requests, 64 in flight."""
    turns = iter(range(count))

    async def send_some() -> None:
        for _ in turns:
            await send()

    return await _paced(asyncio.gather(*(send_some() for _ in range(IN_FLIGHT))), count)


async def drive_client(url: str, count: int, *, root: bytes | None = None) -> Pace:
    """What pyreqwest reaches."""
    builder = ClientBuilder().no_proxy().follow_redirects(False)
    client = (builder.add_root_certificate_pem(root) if root else builder).build()

    async def send() -> None:
        response = await client.post(url).headers(HEADERS).body_bytes(BODY).build().send()
        assert response.status == 204

    return await drive(send, count)


async def drive_limit(url: str, count: int, *, root: bytes | None = None) -> Pace:
    """What a protocol over httptools reaches."""
    loop, parts = asyncio.get_running_loop(), urlsplit(url)
    context = ssl.create_default_context(cadata=root.decode()) if root else None
    idle: list[_Parsing] = []

    async def send() -> None:
        if idle:
            connection = idle.pop()
        else:
            _, connection = await loop.create_connection(lambda: _Parsing(idle), "127.0.0.1", parts.port, ssl=context)
        lines = "".join([f"{name}: {value}\r\n" for name, value in HEADERS])
        head = f"POST {parts.path} HTTP/1.1\r\nhost: {parts.netloc}\r\n{lines}content-length: {len(BODY)}\r\n\r\n"
        connection.answer = loop.create_future()
        connection.transport.write(head.encode("ascii") + BODY)
        assert await connection.answer == 204

    pace = await drive(send, count)
    for connection in idle:
        connection.transport.abort()
    return pace


class _Parsing(asyncio.Protocol):
    """One exchange after the other; goes back to `idle` with each answer."""

    def __init__(self, idle: list["_Parsing"]) -> None:
        self.answer: asyncio.Future[int]
        self._idle = idle
        self._parser: Any = httptools.HttpResponseParser(self)
        self._headers: list[tuple[bytes, bytes]] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
        self.transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))

    def on_message_complete(self) -> None:
        assert self._parser.should_keep_alive()
        self.answer.set_result(self._parser.get_status_code())
        self._idle.append(self)


class _Counting(asyncio.Protocol):
    """Sends one request after the other; an answer counts when its head is complete, for it has no body."""

    def __init__(self, request: bytes, take: Callable[[], bool]) -> None:
        self._request = request
        self._take = take
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)
        self._next()

    def data_received(self, data: bytes) -> None:
        if data.endswith(b"\r\n\r\n"):
            self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)

    def _next(self) -> None:
        if self._take():
            self._transport.write(self._request)
        else:
            self._transport.close()


async def drive_bare(sink: Sink, count: int) -> Pace:
    """What the sink itself can take: requests that are written as they stand, on 64 connections."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in HEADERS])
    head = f"POST /hook HTTP/1.1\r\nhost: 127.0.0.1\r\n{lines}content-length: {len(BODY)}\r\n\r\n"
    left = count

    def take() -> bool:
        nonlocal left
        left -= 1
        return left >= 0

    async def send_all() -> None:
        loop = asyncio.get_running_loop()
        made = [
            await loop.create_connection(lambda: _Counting(head.encode() + BODY, take), "127.0.0.1", sink.port)
            for _ in range(IN_FLIGHT)
        ]
        await asyncio.gather(*(connection.done for _, connection in made))

    return await _paced(send_all(), count)


async def _paced(work: Awaitable[object], count: int) -> Pace:
    began, cpu = time.perf_counter(), time.process_time()
    await work
    return Pace(count / (time.perf_counter() - began), (time.process_time() - cpu) / count * 1e6)
