"""The connection to Redis: its own faults become StoreUnavailable, whatever command met them."""

import asyncio
from collections.abc import Awaitable, Iterable
from typing import Any

import hiredis
from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import (
    BusyLoadingError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
)
from redis.exceptions import (
    ConnectionError as RedisConnectionError,
)
from redis.exceptions import (
    TimeoutError as RedisTimeoutError,
)

from relay.errors import StoreFull, StoreRefused, StoreUnavailable

PASSING = (RedisConnectionError, RedisTimeoutError, BusyLoadingError, ReadOnlyError, OutOfMemoryError)
"""A server that is away, starting, demoted or full: it may work later, and nothing was changed half way."""
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
        except PASSING as error:
            raise _passing(error) from error
        except ResponseError as error:
            raise sorted_out(error) from error


class StoreRedis(Redis):
    """A client whose passing faults are StoreUnavailable."""

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send one command."""
        try:
            return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        except PASSING as error:
            raise _passing(error) from error
        except ResponseError as error:
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


class OwnConnection(AbstractConnection):
    """A connection that never loses the cancellation of whoever waits for it, and packs commands in C.

    redis-py sends with asyncio.wait_for, which in Python 3.11 swallows a cancellation that comes just as it ends: a
    task that should have ended goes on, and who cancelled it waits for ever. It also makes a task for each command.
    Its asyncio side packs commands in Python, which took a fifth of the time of ingest: a page has 5,000 arguments.
    """

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
    pool.connection_class = type(kind.__name__, (OwnConnection, kind), {})


async def ping(redis: Redis) -> None:
    """Ask for a sign of life. Raises StoreUnavailable."""
    answer: Awaitable[bool] | bool = redis.ping()
    if not isinstance(answer, bool):
        await answer


class _Refusal(StoreRefused, ResponseError):  # noqa: N818 - named for what it says, like the others
    """What redis-py raises, under the relay's own name too."""


def sorted_out(error: ResponseError) -> Exception:
    """The relay's own error for a refusal. A script that the server does not know yet stays what it is."""
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
    kind = StoreFull if isinstance(error, OutOfMemoryError) else StoreUnavailable
    return kind(_message(error))


def _message(error: Exception) -> str:
    return f"Redis does not answer as it should ({type(error).__name__}); what was asked for can be tried again"
