"""The worker's clock: which sources are due for a poll slice.

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
"""The longest pause between two ticks."""
SOONEST_TICK_S = 0.4
"""The shortest. Sources that are due within it are polled by one job."""
ENLIST_S = 10.0
"""How often sources are looked for that have no time for their next slice."""
TOGETHER = 25
"""Sources of one job: as many as one worker takes before another one can take some, too."""
RECONCILE_TICK_S = 2.0


async def tick_forever(
    queue: ArqRedis, routes: Routes, catalogue: Catalogue, *, clock: Clock, refresh: Callable[[], Awaitable[None]]
) -> None:
    """Enqueue what is due, until cancelled. Redis may go away and come back."""
    loop = asyncio.get_running_loop()
    next_refresh = next_enlist = 0.0
    while True:
        pause_s = TICK_S
        try:
            if catalogue.has_changed or loop.time() >= next_refresh:
                next_refresh = loop.time() + TICK_S
                if catalogue.has_changed or await catalogue.is_stale():
                    await refresh()
            if loop.time() >= next_enlist:
                await routes.enlist(catalogue.sources)
                next_enlist = loop.time() + ENLIST_S
            pause_s = await _tick(queue, routes, catalogue, now_ms=clock.now_ms())
        except (StoreUnavailable, RedisError, OSError) as error:
            log.warning("tick_failed", error=str(error))
        await asyncio.sleep(pause_s)


async def _tick(queue: ArqRedis, routes: Routes, catalogue: Catalogue, *, now_ms: int) -> float:
    """Enqueue what is due; gives the seconds until the next tick."""
    due = await routes.take_due(now_ms=now_ms)
    # One that is not known here was deleted, or is new: who learns of it has it polled at once.
    known = [source for source in due.sources if source in catalogue.sources]
    for first in range(0, len(known), TOGETHER):
        await jobs.poll(queue, known[first : first + TOGETHER], tick=now_ms // 1000)
    wait_s = TICK_S if due.next_ms is None else (due.next_ms - now_ms) / 1000
    return min(TICK_S, max(SOONEST_TICK_S, wait_s))


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
