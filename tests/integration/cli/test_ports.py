"""The ports that the relay listens on."""

import asyncio
import socket

import pytest

from relay.errors import CannotListen
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


@pytest.mark.parametrize("port", [-1, 65_536, 70_000])
def test_a_port_that_does_not_exist_is_refused(port: int) -> None:
    """The resolver of names would make 4464 of 70000."""
    with pytest.raises(CannotListen, match=f"port {port} can't be used: set --port to a port from 0 to 65535"):
        open_port("127.0.0.1", port, setting="--port")
