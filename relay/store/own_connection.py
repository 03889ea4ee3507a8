"""Connections that keep what asyncio promises, and leave a server that is not the right one any more."""

import asyncio
from collections.abc import Iterable
from typing import Any

import hiredis
from redis.asyncio import ConnectionPool
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import BusyLoadingError, ClusterDownError, ReadOnlyError
from redis.exceptions import (
    ConnectionError as RedisConnectionError,
)
from redis.exceptions import (
    TimeoutError as RedisTimeoutError,
)

WRONG_SERVER = (ReadOnlyError, BusyLoadingError, ClusterDownError)
"""Another server may have taken over: the relay looks for it again and connects again."""

Address = tuple[str, int]
"""A host and its port."""


class Place:
    """Where the server of a pool is: as its URL says, which a subclass changes."""

    wrong: tuple[type[Exception], ...] = WRONG_SERVER
    """After which answers the pool leaves its server."""

    def __init__(self) -> None:
        self.left = 0
        """How often the pool has left a server. Connections from before are all to be closed."""

    def leave(self) -> None:
        """The server is not the right one any more: each connection is opened again before its next command."""
        self.left += 1

    async def find(self) -> Address | None:
        """Where to connect to now; None: as the URL says. Raises redis-py's own errors."""
        return None

    def look(self) -> None:
        """Before each command: a chance to notice that the server is another one by now. Must not wait."""


class OwnConnection(AbstractConnection):
    """A connection that never loses the cancellation of a task that waits for it, and packs commands in C.

    When one of a pool hears that its server was demoted, each of them is opened again before its next command: also
    those that only read, which such a server would answer for ever. One that is new sends nothing before it has said
    who it is: redis-py 5.3 would send PING first, which a server with a password refuses.

    redis-py sends with asyncio.wait_for, which in Python 3.11 swallows a cancellation that comes just as it ends: a
    task that should have ended continues, and its canceller waits for ever. It also makes a task for each command.
    Its asyncio side packs commands in Python, which took a fifth of the time of ingest: a page has 5,000 arguments.
    """

    place: Place
    """Of the pool that it belongs to."""
    host: str
    port: int
    _left_before = 0

    async def _connect(self) -> None:
        if (found := await self.place.find()) is not None:
            self.host, self.port = found
        await super()._connect()  # type: ignore[safe-super, no-untyped-call]

    async def on_connect(self) -> None:
        """Say who it is."""
        self._left_before = self.place.left
        self.next_health_check = asyncio.get_running_loop().time() + self.health_check_interval
        await super().on_connect()

    async def read_response(self, *args: Any, **options: Any) -> Any:
        """One answer. Raises redis-py's own errors."""
        # Who subscribes sends nothing: it must notice here.
        if options.get("push_request") and self._left_before != self.place.left:
            await self.disconnect(nowait=True)
            raise RedisConnectionError("another server has taken over")
        try:
            return await super().read_response(*args, **options)
        except self.place.wrong:
            # Answers to further commands may be on their way: it is closed when they were read.
            if self._left_before == self.place.left:
                self.place.leave()
            raise

    def pack_command(self, *args: Any) -> list[bytes]:
        """One command as bytes."""
        # redis-py's own rule: a literal argument may stand in the command's name, as in `CONFIG GET`.
        name = args[0].encode() if isinstance(args[0], str) else bytes(args[0])
        return [hiredis.pack_command((*name.split(), *args[1:]))]

    def pack_commands(self, commands: Iterable[Iterable[Any]]) -> list[bytes]:
        """Several commands as bytes."""
        return [b"".join(chunk for command in commands for chunk in self.pack_command(*command))]

    async def send_packed_command(self, command: bytes | str | Iterable[bytes], check_health: bool = True) -> None:
        """Send within the time-out. Raises redis-py's own errors."""
        self.place.look()
        # uvloop raises a RuntimeError for a transport that is closed: a write failed, or another task closed it.
        if self._left_before != self.place.left or (self._writer is not None and self._writer.is_closing()):
            await self.disconnect(nowait=True)
        within_s, self.socket_timeout = self.socket_timeout, None
        try:
            async with asyncio.timeout(within_s):
                await super().send_packed_command(command, check_health)
        except TimeoutError:
            raise RedisTimeoutError("time-out while sending") from None
        finally:
            self.socket_timeout = within_s


def use_own_connections(pool: ConnectionPool, place: Place | None = None) -> None:
    """Have a pool make OwnConnections of its own kind: by TCP, TLS or a socket in the file system."""
    kind = pool.connection_class
    pool.connection_class = type(kind.__name__, (OwnConnection, kind), {"place": place or Place()})
