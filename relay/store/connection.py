"""The connection to Redis: its own faults become StoreUnavailable, whatever command met them."""

import asyncio
from collections.abc import Awaitable, Iterable
from typing import Any

import hiredis
from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ClusterDownError,
    InvalidResponse,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.exceptions import (
    ConnectionError as RedisConnectionError,
)
from redis.exceptions import (
    TimeoutError as RedisTimeoutError,
)

from relay.errors import StoreDenied, StoreFull, StoreRefused, StoreUnavailable

PASSING = (RedisConnectionError, RedisTimeoutError, InvalidResponse, BusyLoadingError, ReadOnlyError, OutOfMemoryError)
"""A server that is away, starting, demoted or full: it may work later, and nothing was changed half way."""
WRONG_SERVER = (ReadOnlyError, BusyLoadingError, ClusterDownError)
"""Another server may have taken over: the relay looks its name up again and connects again."""
BUSY = ("BUSY ", "MASTERDOWN", "LOADING", "CLUSTERDOWN", "TRYAGAIN", "NOREPLICAS", "MISCONF")
"""How its answer begins when it is not able to work now: busy with a script of anybody's, or without what it needs."""
OF_PIPELINE = "of pipeline caused error: "
ANSWER_WITHIN_S = 5.0
CONNECT_WITHIN_S = 2.0


class StorePipeline(Pipeline):
    """A pipeline whose passing faults are StoreUnavailable."""

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Send what was gathered."""
        try:
            return await super().execute(raise_on_error)
        except (*PASSING, ResponseError) as error:
            raise sorted_out(error) from error


class StoreRedis(Redis):
    """A client whose passing faults are StoreUnavailable."""

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send one command."""
        try:
            return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        except (*PASSING, ResponseError) as error:
            raise sorted_out(error) from error

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:
        """Gather commands for one round trip."""
        return StorePipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)


def connect(url: str) -> Redis:
    """A client for a `redis://`, `rediss://` or `unix://` URL. Nothing is dialled before the first command."""
    client: Redis = StoreRedis.from_url(
        url,
        protocol=3,
        socket_timeout=ANSWER_WITHIN_S,
        socket_connect_timeout=CONNECT_WITHIN_S,
        health_check_interval=15,
    )
    use_own_connections(client.connection_pool)
    return client


class LeftServers:
    """How often a pool has left its server, for that was demoted: connections from before are all to be closed."""

    count = 0


class OwnConnection(AbstractConnection):
    """A connection that never loses the cancellation of a task that waits for it, and packs commands in C.

    When one of a pool hears that its server was demoted, each of them is dialled again before its next command: also
    those that only read, which such a server would answer for ever. One that is new sends nothing before it has said
    who it is: redis-py 5.3 would send PING first, which a server with a password refuses.

    redis-py sends with asyncio.wait_for, which in Python 3.11 swallows a cancellation that comes just as it ends: a
    task that should have ended continues, and its canceller waits for ever. It also makes a task for each command.
    Its asyncio side packs commands in Python, which took a fifth of the time of ingest: a page has 5,000 arguments.
    """

    left: "LeftServers"
    """Of the pool that it belongs to."""
    _left_before = 0

    async def on_connect(self) -> None:
        """Say who it is."""
        self._left_before = self.left.count
        self.next_health_check = asyncio.get_running_loop().time() + self.health_check_interval
        await super().on_connect()

    async def read_response(self, *args: Any, **options: Any) -> Any:
        """One answer. Raises redis-py's own errors."""
        try:
            return await super().read_response(*args, **options)
        except WRONG_SERVER:
            # Answers to further commands may be on their way: it is closed when they were read.
            if self._left_before == self.left.count:
                self.left.count += 1
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
        if self._left_before != self.left.count:
            await self.disconnect(nowait=True)
        within_s, self.socket_timeout = self.socket_timeout, None
        try:
            async with asyncio.timeout(within_s):
                await super().send_packed_command(command, check_health)
        except TimeoutError:
            raise RedisTimeoutError("time-out while sending") from None
        finally:
            self.socket_timeout = within_s


def use_own_connections(pool: ConnectionPool) -> None:
    """Have a pool make OwnConnections of its own kind: by TCP, TLS or a socket in the file system."""
    kind = pool.connection_class
    pool.connection_class = type(kind.__name__, (OwnConnection, kind), {"left": LeftServers()})


async def ping(redis: Redis) -> None:
    """Ask for a sign of life. Raises StoreUnavailable."""
    answer: Awaitable[bool] | bool = redis.ping()
    if not isinstance(answer, bool):
        await answer


class _Refusal(StoreRefused, ResponseError):  # noqa: N818 - named for what it says, like the others
    """What redis-py raises, under the relay's own name too."""


def sorted_out(error: RedisError) -> Exception:
    """The relay's own error for one of redis-py's. A script that the server does not know yet stays what it is."""
    # What a server says while a socket is opened comes wrapped into a ConnectionError.
    if isinstance(error.__cause__, RedisError):
        return sorted_out(error.__cause__)
    # Before what was said stands which command of a pipeline it was about, with its arguments.
    text = str(error).rpartition(OF_PIPELINE)[2].strip("(,)'\"")
    if isinstance(error, NoScriptError | StoreRefused):
        return error
    if isinstance(error, PASSING):
        return _passing(error)
    if text.startswith("OOM"):
        return StoreFull(_message(error))
    if text.startswith(BUSY):
        return StoreUnavailable(_message(error))
    # What a command was called with may be anybody's data.
    said = text.partition(", with args")[0].partition("\n")[0][:300]
    return _Refusal(f"Redis refuses a command ({type(error).__name__}: {said})")


def _passing(error: Exception) -> StoreUnavailable:
    kind: type[StoreUnavailable] = StoreUnavailable
    if isinstance(error, OutOfMemoryError):
        kind = StoreFull
    elif isinstance(error, AuthenticationError):
        kind = StoreDenied
    return kind(_message(error))


def _message(error: Exception) -> str:
    text = str(error)
    for kind, said in _SAID:
        if isinstance(error, kind):
            return said
    return next((said for begins, said in _SAYS if text.startswith(begins)), f"Redis can't be reached ({text[:300]})")


_SAID: tuple[tuple[type[Exception], str], ...] = (
    (AuthenticationError, "Redis rejects the user name or the password of RELAY_REDIS_URL"),
    (OutOfMemoryError, "Redis is out of memory"),
    (ReadOnlyError, "Redis is a read-only replica: RELAY_REDIS_URL must lead to the primary"),
    (BusyLoadingError, "Redis is loading its data"),
    (RedisTimeoutError, "Redis did not answer in time"),
    (InvalidResponse, "the server at RELAY_REDIS_URL does not speak Redis's protocol"),
)
_SAYS = (
    ("OOM", "Redis is out of memory"),
    ("BUSY ", "Redis is busy with a script"),
    ("LOADING", "Redis is loading its data"),
    ("MASTERDOWN", "Redis is a replica without a connection to its primary"),
    ("CLUSTERDOWN", "the Redis cluster is down"),
    ("NOREPLICAS", "Redis has too few replicas to accept writes (min-replicas-to-write)"),
    ("MISCONF", "Redis can't write its data to disk, and refuses writes"),
)
"""What a server's own words mean, by how they begin."""
