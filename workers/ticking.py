"""The worker's clock: each second, which sources are due for a poll slice.

Not arq's cron: a cron job that does nothing each second costs 20 commands, this costs two (docs/adr/0003).
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from arq.connections import ArqRedis
from redis.exceptions import RedisError

from relay import jobs
from relay.errors import StoreUnavailable
from relay.pipeline.catalogue import Catalogue
from relay.pipeline.clock import Clock
from relay.pipeline.reconciling.reconciling import Reconciling
from relay.store.routes import Routes

log = structlog.get_logger()

TICK_S = 1.0
RECONCILE_TICK_S = 2.0


async def tick_forever(
    queue: ArqRedis, routes: Routes, catalogue: Catalogue, *, clock: Clock, refresh: Callable[[], Awaitable[None]]
) -> None:
    """Enqueue what is due, until cancelled. Redis may go away and come back."""
    while True:
        try:
            if catalogue.has_changed or await catalogue.is_stale():
                await refresh()
            now_ms = clock.now_ms()
            for source in await routes.to_poll(list(catalogue.sources), now_ms=now_ms):
                # Until the slice has begun and says so itself.
                await routes.poll_at(source, now_ms + 2000)
                await jobs.poll(queue, source, tick=now_ms // 1000)
        except (StoreUnavailable, RedisError, OSError) as error:
            log.warning("tick_failed", error=str(error))
        await asyncio.sleep(TICK_S)


async def reconcile_forever(queue: ArqRedis, reconciling: Reconciling, *, clock: Clock) -> None:
    """Enqueue the turns of reconciliations that are due, until cancelled."""
    while True:
        try:
            for source in await reconciling.due():
                # Until the turn has begun and says so itself.
                await reconciling.put_off(source)
                await jobs.reconcile(queue, source, tick=clock.now_ms() // 1000)
        except (StoreUnavailable, RedisError, OSError) as error:
            log.warning("reconciliation_tick_failed", error=str(error))
        await asyncio.sleep(RECONCILE_TICK_S)
