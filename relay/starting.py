"""What a process does before it works: it checks its server and its key, follows the server clock, and is ready."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import structlog
from redis.asyncio import Redis

from relay.errors import StoreDenied, StoreRefused, StoreUnavailable
from relay.pipeline.clock import Clock, keep_time
from relay.store.advice import advise
from relay.store.connection import connect
from relay.store.needs import unmet_needs
from relay.store.readiness import Check, Readiness
from relay.store.seal import Seal
from relay.store.server import Server
from relay.wiring import Stores

log = structlog.get_logger()


async def check_start(redis: Redis, seal: Seal, *, is_embedded: bool = False) -> None:
    """Have a process that can't work with its Redis server, or not with its key, say so at its start, and end.

    Raises StoreRefused with what to do, or StoreDenied. A server that is away may come: the process waits for it. The
    log says what else is not as it should be, unless the server is the relay's own.
    """
    try:
        trouble = " ".join(await unmet_needs(redis)) or await seal.trouble()
        if not trouble and not is_embedded:
            await advise(redis)
    except StoreDenied:
        raise
    except StoreUnavailable as error:
        log.warning("redis_unavailable", error=str(error), do="the process continues when Redis answers")
        return
    if trouble:
        raise StoreRefused(trouble)


async def check_queue(url: str) -> bool:
    """The same for the server that has the queue of jobs, where that is another one. False: it does not answer."""
    redis = connect(url)
    try:
        trouble = " ".join(await unmet_needs(redis))
    except StoreDenied as error:
        trouble = str(error)
    except StoreUnavailable as error:
        log.warning("queue_unavailable", error=str(error), do="the worker polls when RELAY_QUEUE_REDIS_URL answers")
        return False
    finally:
        await redis.aclose()
    if trouble:
        raise StoreRefused(f"RELAY_QUEUE_REDIS_URL: {trouble}")
    return True


def readiness_of(stores: Stores, clock: Clock, *further: Check, leaves: Callable[[], bool] = bool) -> Readiness:
    """What a process says of itself when it is asked whether it is ready; `further` are checks of its own.

    `leaves`: whether it was told to end.
    """

    async def right_time() -> str | None:
        return clock.trouble()

    return Readiness(stores.redis, right_time, *further, once=[stores.seal.trouble], leaves=leaves)


@asynccontextmanager
async def open_clock(
    stores: Stores, *, clock: Clock, set_back: Callable[[], Awaitable[None]] | None = None
) -> AsyncIterator[None]:
    """Have a clock follow that of the Redis server for as long as this is used. `set_back`: see `keep_time`."""
    server = Server(stores.redis)
    with suppress(StoreUnavailable, StoreRefused):
        await clock.read(server)
    task = asyncio.create_task(keep_time(clock, server, stores.operations, set_back=set_back), name="clock")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
