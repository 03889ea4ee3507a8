"""A balancer as a Service of Kubernetes is one: new connections go to the processes of which it has heard.

It never looks into a connection, and leaves those alone that exist. It hears late that a process leaves.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.fault.proxy import Proxy, _Far


class Balancer(Proxy):
    """Leads each new connection to the next of some ports of 127.0.0.1."""

    def __init__(self) -> None:
        super().__init__(0)
        self.ports: list[int] = []
        self._turn = 0

    async def dial(self, far: _Far) -> None:
        """Connect to the one whose turn it is. Raises OSError."""
        self._turn += 1
        port = self.ports[self._turn % len(self.ports)]
        await asyncio.get_running_loop().create_connection(lambda: far, "127.0.0.1", port)


@asynccontextmanager
async def balancer() -> AsyncIterator[Balancer]:
    """Run one at a free port for as long as the block lasts."""
    running = Balancer()
    server = await asyncio.get_running_loop().create_server(running, "127.0.0.1", 0)
    running.port = server.sockets[0].getsockname()[1]
    try:
        yield running
    finally:
        server.close()
        running.cut()
        await asyncio.sleep(0)
