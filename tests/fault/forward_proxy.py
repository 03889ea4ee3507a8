"""A forward proxy for CONNECT, with faults of its own."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field


@dataclass(eq=False)
class ForwardProxy:
    """Tunnels to where `routes` says a name is; answers `refuses_with` instead, if that is set."""

    port: int = 0
    routes: dict[str, str] = field(default_factory=dict)
    refuses_with: str = ""
    asked: list[str] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one CONNECT and carry bytes both ways."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            asked = head.split(" ")[1]
            self.asked.append(asked)
            if self.refuses_with:
                writer.write(f"HTTP/1.1 {self.refuses_with}\r\ncontent-length: 0\r\n\r\n".encode())
                return
            name, _, port = asked.partition(":")
            back_reader, back_writer = await asyncio.open_connection(self.routes[name], int(port))
            writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
            await asyncio.gather(_carry(reader, back_writer), _carry(back_reader, writer))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@contextlib.asynccontextmanager
async def forward_proxy() -> AsyncIterator[ForwardProxy]:
    """Run one on a free port of this machine."""
    proxy = ForwardProxy()
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
