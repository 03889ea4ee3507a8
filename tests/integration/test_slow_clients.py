"""Slow, silent and greedy clients hold up neither the API nor the worker's health port: real sockets, short limits."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from relay.bounded_clients import ClientLimits
from relay.errors import CannotListen
from relay.serving import open_port, server
from tests.patience import PATIENCE_S
from workers.health import LIMITS, Health

QUICK = ClientLimits(head_s=0.3, body_s=0.5, read_s=0.3, idle_s=0.6)
HEAD = b"POST /echo HTTP/1.1\r\nhost: here\r\n"


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Reads the whole body, and answers with as many bytes as the path says."""
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        more = message.get("more_body", False)
    size = int(scope["path"][1:]) if scope["path"][1:].isdecimal() else 2
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % size)]})
    for _ in range(size // 65536):
        await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
    await send({"type": "http.response.body", "body": b"x" * (size % 65536)})


class Served:
    """A server at work."""

    def __init__(self, serves: Any, listener: socket.socket) -> None:
        self.state = serves.server_state
        self.port = listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    async def connect(self, *parts: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        for part in parts:
            writer.write(part)
        return reader, writer

    async def says(self, *parts: bytes) -> bytes:
        """Everything that is answered until the connection is closed."""
        reader, writer = await self.connect(*parts)
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await reader.read()
        finally:
            writer.close()

    async def is_answered(self) -> bool:
        """Whether an ordinary client is served."""
        async with httpx.AsyncClient(timeout=PATIENCE_S) as client:
            answer = await client.post(f"{self.url}/echo", content=b"x" * 5000)
            return answer.status_code == 200

    async def all_gone(self) -> None:
        """Wait until no connection is left."""
        async with asyncio.timeout(PATIENCE_S):
            while self.state.connections:
                await asyncio.sleep(0.02)


async def serving(application: Any, limits: ClientLimits) -> AsyncIterator[Served]:
    listener = open_port("127.0.0.1", 0, setting="--port")
    serves = server(application, lifespan=False, limits=limits)
    task = asyncio.create_task(serves.serve([listener]))
    async with asyncio.timeout(PATIENCE_S):
        while not serves.started:
            await asyncio.sleep(0.01)
    try:
        yield Served(serves, listener)
    finally:
        serves.should_exit = serves.force_exit = True
        await task


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async for each in serving(app, QUICK):
        yield each


SLOW = {
    "nothing": b"",
    "half a line": b"GE",
    "half a head": HEAD,
    "a head without an end": HEAD + b"x: y\r\n" * 50,
    "half a body": HEAD + b"content-length: 10\r\n\r\n12345",
    "half a chunk": HEAD + b"transfer-encoding: chunked\r\n\r\n5\r\n12",
}


@pytest.mark.parametrize("sent", SLOW.values(), ids=SLOW)
async def test_a_request_that_is_not_finished_is_closed(served: Served, sent: bytes) -> None:
    """With 408, and within its time; also as the second one of a connection."""
    assert (await served.says(sent)).startswith(b"HTTP/1.1 408 ")
    whole = HEAD + b"content-length: 1\r\n\r\nx"
    both = await served.says(whole, sent)
    assert both.startswith(b"HTTP/1.1 200 ")
    assert b"HTTP/1.1 408 " in both or sent == b""
    await served.all_gone()


async def test_a_drip_of_bytes_renews_no_limit(served: Served) -> None:
    async def drip(writer: asyncio.StreamWriter) -> None:
        while not writer.is_closing():
            writer.write(b"a")
            await asyncio.sleep(0.02)

    for start in (b"", HEAD + b"content-length: 100000\r\n\r\n"):
        reader, writer = await served.connect(start)
        dripping = asyncio.create_task(drip(writer))
        async with asyncio.timeout(PATIENCE_S):
            assert b" 408 " in await reader.readuntil(b"\r\n")
        dripping.cancel()
        writer.close()


async def test_two_hundred_slow_clients_hold_up_nobody() -> None:
    slow = list(SLOW.values())
    async for served in serving(app, replace(QUICK, head_s=PATIENCE_S, body_s=PATIENCE_S)):
        clients = [await served.connect(slow[number % len(slow)]) for number in range(200)]
        assert await served.is_answered()
        for _, writer in clients:
            writer.close()


@pytest.mark.parametrize("size", [1000, 10_000_000])
async def test_who_does_not_read_is_left(served: Served, size: int) -> None:
    """Also if all of it fits into the system's buffers, and the connection waits for the next request."""
    client = socket.create_connection(("127.0.0.1", served.port))
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.sendall(b"GET /%d HTTP/1.1\r\nhost: here\r\n\r\n" % size)
    await served.all_gone()
    client.close()
    assert await served.is_answered()


async def test_with_too_many_connections_the_slowest_goes() -> None:
    async for served in serving(app, replace(QUICK, head_s=30.0, connections=20)):
        clients = [await served.connect(b"GE") for _ in range(40)]
        assert await served.is_answered()
        assert await clients[0][0].read() == b""
        assert len(served.state.connections) <= 20
        for _, writer in clients:
            writer.close()


@pytest.mark.parametrize(
    "request_",
    [
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\nx: a\0b\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\nx y: b\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
    ids=["length and chunked", "chunked and length", "two lengths", "bad chunk", "negative length", "HTTP 0.9", "NUL",
         "a blank in a name", "TLS"],
)  # fmt: skip
async def test_what_is_no_clear_request_is_refused(served: Served, request_: bytes) -> None:
    """With 400, headers that every answer has, a problem document, and a connection that is closed."""
    answer = await served.says(request_)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"x-content-type-options: nosniff" in answer.lower()
    assert _problem(answer)["code"] == "malformed"


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        (b"GET /" + b"y" * 70_000, 414, "uri_too_long"),
        (b"GET / HTTP/1.1\r\nhost: a\r\nx: " + b"y" * 70_000, 431, "headers_too_large"),
    ],
)
async def test_what_is_too_long_is_refused_with_a_problem_document(
    served: Served, request_: bytes, status: int, code: str
) -> None:
    """The document says what is too long, and how much is allowed."""
    problem = _problem(await served.says(request_))
    assert (problem["status"], problem["code"], problem["type"]) == (status, code, f"urn:relay:problem:{code}")
    assert "at most 65536 bytes" in problem["detail"]


def _problem(answer: bytes) -> dict[str, Any]:
    """The problem document of an answer."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head
    problem: dict[str, Any] = json.loads(body)
    assert head.startswith(f"HTTP/1.1 {problem['status']} {problem['title']}\r\n".encode())
    return problem


async def test_probes_of_a_worker_are_answered_beside_slow_clients() -> None:
    async def well() -> None:
        return None

    health = Health(alive=lambda: True, ready=well)
    async for served in serving(health, replace(LIMITS, head_s=0.5)):
        clients = [await served.connect(b"GET /health") for _ in range(150)]
        async with httpx.AsyncClient(timeout=PATIENCE_S) as client:
            for path in ("live", "ready"):
                assert (await client.get(f"{served.url}/health/{path}")).text == "ok"
        await served.all_gone()
        for _, writer in clients:
            writer.close()


def test_a_taken_port_is_named_with_its_setting() -> None:
    with open_port("127.0.0.1", 0, setting="RELAY_PORT") as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotListen, match=f"port {port} of 127.0.0.1 can't be used: .* Set RELAY_PORT"):
            open_port("127.0.0.1", port, setting="RELAY_PORT")
    with pytest.raises(CannotListen, match="can't be used"):
        open_port("no.such.host.invalid", 0, setting="RELAY_HOST")
