"""What bare clients reach on a sink: a protocol that only counts answers, and the HTTP client that callbacks use."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import cast

import httpx
from pyreqwest.client import Client, ClientBuilder

from relay.domain.addresses import EgressPolicy
from relay.outbound.egress import Egress
from relay.outbound.resolver import Resolver
from tests.bench.sinks import Sink

LOOPBACK = IPv4Network("127.0.0.0/8")
IN_FLIGHT = 64
BODY = b'{"type":"call.created","data":"' + os.urandom(1084).hex().encode() + b'"}'
"""2.2 kB, as a callback has."""
HEADERS = [
    (b"content-type", b"application/json"),
    (b"webhook-id", b"msg_a7fl2xk5qjz3bd6n4ycw5ehm2ruv3tspg4ioqx7dzkh6jwmyn2ca"),
    (b"webhook-timestamp", b"1700000000"),
    (b"webhook-signature", b"v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4="),
]


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a driver was. `cpu_us` is this process's share of one request, in µs of CPU."""

    per_s: float
    cpu_us: float


class _Connection(asyncio.Protocol):
    """Sends one request after the other; an answer counts when its head is complete, for it has no body."""

    def __init__(self, request: bytes, take: Callable[[], bool]) -> None:
        self._request = request
        self._take = take
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
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
    head = b"POST /hook HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: %d\r\n" % len(BODY)
    request = head + b"".join(b"%s: %s\r\n" % header for header in HEADERS) + b"\r\n" + BODY
    left = count

    def take() -> bool:
        nonlocal left
        left -= 1
        return left >= 0

    async def send_all() -> None:
        loop = asyncio.get_running_loop()
        made = [
            await loop.create_connection(lambda: _Connection(request, take), "127.0.0.1", sink.port)
            for _ in range(IN_FLIGHT)
        ]
        await asyncio.gather(*(connection.done for _, connection in made))

    return await _paced(send_all(), count)


async def drive_transport(transport: httpx.AsyncBaseTransport, sink: Sink, count: int) -> Pace:
    """What a transport reaches, called directly with an httpx.Request each, 64 in flight."""
    url = httpx.URL(sink.url)
    turns = iter(range(count))

    async def send() -> None:
        for _ in turns:
            request = httpx.Request("POST", url, headers=HEADERS, stream=httpx.ByteStream(BODY))
            response = await transport.handle_async_request(request)
            assert response.status_code == 204
            await response.aread()
            await response.aclose()

    async def send_all() -> None:
        await asyncio.gather(*(send() for _ in range(IN_FLIGHT)))

    return await _paced(send_all(), count)


async def _paced(work: Awaitable[None], count: int) -> Pace:
    began, cpu = time.perf_counter(), time.process_time()
    await work
    return Pace(count / (time.perf_counter() - began), (time.process_time() - cpu) / count * 1e6)


class BareTransport(httpx.AsyncBaseTransport):
    """The least that makes a transport of pyreqwest: nothing is vetted, pinned, capped or timed. The baseline."""

    def __init__(self) -> None:
        self._client: Client = ClientBuilder().follow_redirects(False).no_proxy().build()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request whose body is bytes."""
        headers = [(k.decode(), v.decode()) for k, v in request.headers.raw if k not in (b"Host", b"Content-Length")]
        sending = self._client.request(request.method, str(request.url)).headers(headers)
        response = await sending.body_bytes(await request.aread()).build().send()
        return httpx.Response(response.status, stream=httpx.ByteStream((await response.bytes()).to_bytes()))


def relay_transport() -> Egress:
    """The relay's own transport, as a worker has it, allowed to reach this machine."""
    policy = EgressPolicy(allow=(LOOPBACK,))
    return Egress(policy=policy, resolver=Resolver())
