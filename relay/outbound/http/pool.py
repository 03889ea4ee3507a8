"""Keeps idle connections of all endpoints, bounded in number and in time."""

import asyncio
import resource
from collections.abc import Container, Hashable

from relay.outbound.http.connection import Connection

IDLE_S = 30.0
"""Shorter than most servers keep a connection (nginx 75 s), so that most close on our side."""
IDLE_PER_ORIGIN = 512
"""As many as a worker has callbacks in flight by default: a burst to one receiver leaves them all idle."""
MOST_IDLE = 2_048
LOOK_AFTER_S = 0.2
"""A connection that was idle for longer is looked at before it is used: the receiver may have closed it."""

RESERVED_FILES = 256
"""For everything that is not a connection to a receiver: Redis, upstreams, name servers, logs."""


def open_limit() -> int:
    """How many connections may be open at once: what the limit of open files leaves to them."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        soft = 1 << 20
    return max(soft - RESERVED_FILES, soft // 2)


class Pool:
    """Idle connections by origin, the last one used first, and all of them in the order in which they became idle.

    `most_open` counts connections that are in use, too. With the least recently used ones closed, and still no room,
    `make_room` says so.
    """

    def __init__(
        self,
        *,
        most_open: int | None = None,
        most_idle: int = MOST_IDLE,
        per_origin: int = IDLE_PER_ORIGIN,
        idle_s: float = IDLE_S,
    ) -> None:
        self._most_open = open_limit() if most_open is None else most_open
        self._most_idle = min(most_idle, max(1, self._most_open // 2))
        self._per_origin = per_origin
        self._idle_s = idle_s
        self._by_origin: dict[Hashable, list[Connection]] = {}
        self._idle: dict[Connection, None] = {}
        self._open: set[Connection] = set()
        self._writing: list[Connection] = []
        self._is_closed = False

    @property
    def idle(self) -> int:
        """How many connections are idle."""
        return len(self._idle)

    @property
    def open(self) -> int:
        """How many connections are open, or being opened."""
        return len(self._open)

    def take(self, origin: Hashable, addresses: Container[object]) -> Connection | None:
        """An idle connection to one of some vetted addresses; those to other addresses are closed."""
        connections = self._by_origin.get(origin)
        while connections:
            connection = connections.pop()
            if not connections:
                del self._by_origin[origin]
            del self._idle[connection]
            is_good = connection.address in addresses and not connection.is_closed
            if is_good and (connection.idle_for_s() < LOOK_AFTER_S or not connection.is_readable()):
                return connection
            connection.abort()
        return None

    def put(self, connection: Connection) -> None:
        """Keep a connection, and close the least recently used one if there are too many."""
        connections = self._by_origin.setdefault(connection.origin, [])
        if self._is_closed or len(connections) >= self._per_origin:
            connection.abort()
            return
        connections.append(connection)
        self._idle[connection] = None
        connection.rest(self._idle_s)
        if len(self._idle) > self._most_idle:
            self.close_idle(1)

    def write_soon(self, connection: Connection) -> None:
        """Write its request in the next turn of the loop.

        A receiver on another core that has nothing to do has to be woken by each write: many at once wake it once.
        """
        if not self._writing:
            asyncio.get_running_loop().call_soon(self._write)
        self._writing.append(connection)

    def make_room(self, connection: Connection) -> bool:
        """Count a connection that is to be opened; False if there are too many."""
        if len(self._open) >= self._most_open and not self.close_idle(1):
            return False
        self._open.add(connection)
        return True

    def forget(self, connection: Connection) -> None:
        """A connection is closed."""
        self._open.discard(connection)
        self._remove(connection)

    def close_idle(self, count: int) -> int:
        """Close so many idle connections, the least recently used ones first; gives how many there were."""
        chosen = list(self._idle)[:count] if count > 1 else [next(iter(self._idle))] if self._idle else []
        for connection in chosen:
            self.forget(connection)
            connection.abort()
        return len(chosen)

    def close(self) -> None:
        """Close what is idle now, and everything else when its exchange ends."""
        self._is_closed = True
        self.close_idle(len(self._idle))

    def _write(self) -> None:
        writing, self._writing = self._writing, []
        for connection in writing:
            connection.write()

    def _remove(self, connection: Connection) -> None:
        if connection not in self._idle:
            return
        del self._idle[connection]
        connections = self._by_origin[connection.origin]
        connections.remove(connection)
        if not connections:
            del self._by_origin[connection.origin]
