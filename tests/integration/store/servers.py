"""The servers that tests try: the embedded Valkey, whichever Redis is installed, and those of RELAY_TEST_PROGRAMS."""

import asyncio
import os
import shutil
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from relay.store.embedded import server_binary
from tests.fault.certificates import Authority

REDIS = shutil.which("redis-server")
OTHERS = [Path(path) for path in os.environ.get("RELAY_TEST_PROGRAMS", "").split(":") if path]
"""Programs of further releases, which no package of this project brings."""
NONE = "name programs of Redis 8 and Valkey 8 in RELAY_TEST_PROGRAMS, separated by colons"
PROGRAMS = [
    pytest.param(server_binary(), id="valkey"),
    pytest.param(REDIS, id="redis", marks=() if REDIS else pytest.mark.skip("redis-server is not installed")),
    *(pytest.param(str(each), id=each.name) for each in OTHERS),
    *(() if OTHERS else [pytest.param(None, id="others", marks=pytest.mark.skip(NONE))]),
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
