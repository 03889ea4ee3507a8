"""A proxy that ends TLS in front of a port, as an ingress does."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def terminating(port: int, context: ssl.SSLContext) -> AsyncIterator[int]:
    """Pass what comes by TLS on to a port of this machine; gives the port that takes TLS."""

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_copy(reader, behind[1]), _copy(behind[0], writer))

    server = await asyncio.start_server(pass_on, "127.0.0.1", 0, ssl=context)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass  # The browser breaks connections off as it likes.
    finally:
        writer.close()
