"""What becomes of connections and requests when the API is told to end: real processes and sockets."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from relay.cli.demo.ports import free_port
from tests.bench.processes import Child, child, listens, says_ready
from tests.patience import PATIENCE_S

HEAD = b"%s HTTP/1.1\r\nhost: here\r\n"
GET_FINE = HEAD % b"GET /" + b"\r\n"


class Api:
    """A process that serves."""

    def __init__(self, process: Child, port: int) -> None:
        self.process, self.port = process, port

    async def connect(self, sent: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection on which something was sent."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(sent)
        await writer.drain()
        return reader, writer

    def leave(self) -> None:
        """SIGTERM."""
        self.process.process.terminate()

    async def ended(self) -> int:
        """Its exit code."""
        async with asyncio.timeout(PATIENCE_S):
            return await self.process.process.wait()


@asynccontextmanager
async def serving(folder: Path, *, cut_s: float = PATIENCE_S) -> AsyncIterator[Api]:
    """One that cuts off after `cut_s` what does not end."""
    port = free_port()
    command = (sys.executable, "-m", "tests.fakes.leaving_app", str(port), str(cut_s))
    async with child("app", *command, folder=folder, ready=listens(port)) as process:
        yield Api(process, port)


async def rest(reader: asyncio.StreamReader) -> bytes:
    """Everything until the connection is closed, also by force."""
    data = b""
    async with asyncio.timeout(PATIENCE_S):
        try:
            while part := await reader.read(65536):
                data += part
        except ConnectionResetError:
            pass
    return data


async def test_what_is_under_way_is_answered(tmp_path: Path) -> None:
    """A request in flight, and one that comes on a connection that idles, or was just opened; then it ends with 0."""
    async with serving(tmp_path) as api:
        slow, writer = await api.connect(HEAD % b"GET /soon" + b"\r\n")
        idle, again = await api.connect(GET_FINE)
        first = await idle.readuntil(b"ok\r\n0\r\n\r\n")
        fresh, late = await api.connect(b"")
        await asyncio.sleep(0.1)
        api.leave()
        await asyncio.sleep(0.3)
        for one in (again, late):
            one.write(GET_FINE)
        second, third, answer = await asyncio.gather(rest(idle), rest(fresh), rest(slow))
        assert await api.ended() == 0
        for each in (writer, again, late):
            each.close()
    assert b"connection: close" not in first.lower()
    for each in (second, third):
        assert each.startswith(b"HTTP/1.1 200 ")
        assert b"connection: close" in each.lower()
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"ok\r\n0\r\n\r\n")


async def test_what_does_not_end_is_cut(tmp_path: Path) -> None:
    """An answer without an end, a body that drips, and silence: 503 where there is no answer yet, and exit code 0."""
    async with serving(tmp_path, cut_s=1.0) as api:
        endless, writer = await api.connect(HEAD % b"GET /endless" + b"\r\n")
        await endless.readuntil(b"\r\n\r\n")
        body, drips = await api.connect(HEAD % b"POST /body" + b"content-length: 1000000\r\n\r\n")
        half, silent = await api.connect(HEAD % b"GET /")
        await asyncio.sleep(0.1)
        api.leave()

        async def drip() -> None:
            while not drips.is_closing():
                drips.write(b"x")
                await asyncio.sleep(0.02)

        dripping = asyncio.create_task(drip())
        cut, refused, _ = await asyncio.gather(rest(endless), rest(body), rest(half))
        dripping.cancel()
        assert await api.ended() == 0
        for each in (writer, drips, silent):
            each.close()
    assert cut
    assert not cut.endswith(b"0\r\n\r\n")
    assert refused.startswith(b"HTTP/1.1 503 ")


@pytest.mark.usefixtures("redis")
async def test_it_says_that_it_leaves_before_it_closes_its_port(short_folder: Path, redis_url: str) -> None:
    """`relay serve` is not ready any more, and serves on for RELAY_SHUTDOWN_DELAY_SECONDS; then it ends with 0."""
    port = free_port()
    env = {
        "RELAY_ADMIN_KEY": "k" * 16, "RELAY_ENCRYPTION_KEY": "A" * 43 + "=", "RELAY_PORT": str(port),
        "RELAY_REDIS_URL": redis_url, "RELAY_SHUTDOWN_DELAY_SECONDS": "2", "RELAY_DATA_DIR": str(short_folder),
    }  # fmt: skip
    command = (sys.executable, "-m", "relay.cli.main", "serve")
    async with (
        child("api", *command, folder=short_folder, ready=says_ready(port), env=env) as api,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_S) as client,
    ):
        before = await client.get("/health/live")
        api.process.terminate()
        ready = await client.get("/health/ready")
        async with asyncio.timeout(PATIENCE_S):
            while ready.status_code == 200:
                ready = await client.get("/health/ready")
        live = await client.get("/health/live")
        async with asyncio.timeout(PATIENCE_S):
            assert await api.process.wait() == 0, api.log.read_text()
        with pytest.raises(httpx.ConnectError):
            await client.get("/health/live")
    assert (before.status_code, live.status_code, ready.status_code) == (200, 200, 503)
    assert "connection" not in before.headers
    assert live.headers["connection"] == "close"
    assert "the process is ending" in ready.text
    assert '"level": "error"' not in api.log.read_text()
