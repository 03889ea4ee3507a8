"""The ports that the relay listens on."""

import asyncio
import socket

from relay.serving import open_port


async def test_answers_do_not_wait_for_acknowledgements() -> None:
    """asyncio sets TCP_NODELAY only on sockets that say that they are TCP. Without it, answers can take 40 ms more."""
    found: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def accepted(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = writer.get_extra_info("socket")
        found.set_result(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    listener = open_port("127.0.0.1", 0, setting="RELAY_PORT")
    async with await asyncio.start_server(accepted, sock=listener) as server:
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        assert await found
        writer.close()
        await writer.wait_closed()
