"""The connection to Redis: its own faults become StoreUnavailable, whatever command met them."""

from collections.abc import Awaitable
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.exceptions import (
    BusyLoadingError,
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

from relay.errors import StoreUnavailable

PASSING = (RedisConnectionError, RedisTimeoutError, BusyLoadingError, ReadOnlyError, OutOfMemoryError)
"""A server that is away, starting, demoted or full: it may work later, and nothing was changed half way."""
ANSWER_WITHIN_S = 5.0
CONNECT_WITHIN_S = 2.0


class StorePipeline(Pipeline):
    """A pipeline whose passing faults are StoreUnavailable."""

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Send what was gathered."""
        try:
            return await super().execute(raise_on_error)
        except PASSING as error:
            raise StoreUnavailable(_message(error)) from error
        except ResponseError as error:
            raise _sorted_out(error) from error


class StoreRedis(Redis):
    """A client whose passing faults are StoreUnavailable."""

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send one command."""
        try:
            return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        except PASSING as error:
            raise StoreUnavailable(_message(error)) from error
        except ResponseError as error:
            raise _sorted_out(error) from error

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
    return client


async def ping(redis: Redis) -> None:
    """Ask for a sign of life. Raises StoreUnavailable."""
    answer: Awaitable[bool] | bool = redis.ping()
    if not isinstance(answer, bool):
        await answer


def _sorted_out(error: ResponseError) -> Exception:
    text = str(error)
    if text.startswith(("OOM", "MASTERDOWN", "LOADING", "CLUSTERDOWN", "TRYAGAIN", "NOREPLICAS", "MISCONF")):
        return StoreUnavailable(_message(error))
    return error


def _message(error: Exception) -> str:
    return f"Redis does not answer as it should ({type(error).__name__}); what was asked for can be tried again"
