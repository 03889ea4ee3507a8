"""The servers that tests try: the embedded Valkey, and whichever Redis is installed."""

import asyncio
import shutil
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from relay.store.embedded import server_binary
from tests.fault.certificates import Authority

REDIS = shutil.which("redis-server")
PROGRAMS = [
    pytest.param(server_binary(), id="valkey"),
    pytest.param(REDIS, id="redis", marks=() if REDIS else pytest.mark.skip("redis-server is not installed")),
]


@asynccontextmanager
async def tls_in_front_of(port: int, folder: Path) -> AsyncIterator[tuple[int, Path]]:
    """A TLS port that leads to a plain one, and the file of the private authority that signed its certificate."""
    authority = Authority()
    pair = authority.issue("localhost")
    (folder / "ca.pem").write_bytes(authority.root)
    (folder / "server.pem").write_text(pair.certificate + pair.private_key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "server.pem")

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        try:
            await asyncio.gather(_pass_on(reader, back), _pass_on(there, writer))
        finally:
            back.close()
            writer.close()

    server = await asyncio.start_server(relay, "localhost", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1], folder / "ca.pem"
        server.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    writer.close()
