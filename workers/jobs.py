"""arq's jobs: each unpacks its context and calls the pipeline."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import structlog
from arq.connections import ArqRedis
from redis.exceptions import RedisError

from relay import jobs
from relay.domain.model import SourceUid
from relay.errors import StoreRefused, StoreUnavailable
from workers.context import Context

log = structlog.get_logger()


async def poll(ctx: dict[str, Any], *sources: str) -> None:
    """Poll the routes of some sources for a while, side by side. Each has its own lease, and none waits for another."""
    context: Context = ctx["context"]
    with context.count.counting():
        await _poll(context, ctx["redis"], sources)


async def _poll(context: Context, queue: ArqRedis, sources: Sequence[str]) -> None:
    try:
        if context.vouching is not None and not await context.vouching.may_poll():
            return  # Their routes would begin behind the newest row, and not where they were.
    except (StoreUnavailable, StoreRefused) as error:
        log.warning("slices_not_begun", sources=len(sources), error=str(error))
        return
    slices = [_slice(context, queue, SourceUid(source)) for source in sources]
    for ended in await asyncio.gather(*slices, return_exceptions=True):
        if isinstance(ended, BaseException):
            raise ended


async def _slice(context: Context, queue: ArqRedis, source: SourceUid) -> None:
    async def hand_on(uid: SourceUid) -> None:
        try:
            await jobs.poll(queue, [uid], tick=context.clock.now_ms() // 1000)
        except (RedisError, OSError) as error:
            # The slice ends a little later, and the next tick enqueues another one.
            log.warning("slice_not_handed_on", source=uid, error=str(error))

    try:
        await context.polling.slice(source, hand_on=hand_on)
    except (StoreUnavailable, StoreRefused) as error:
        # The next tick enqueues another slice; this one loses nothing, because the cursor did not move.
        log.warning("slice_ended", source=source, error=str(error))


async def reconcile(ctx: dict[str, Any], source: str) -> None:
    """Go on with the reconciliation of a source for a few seconds."""
    context: Context = ctx["context"]
    try:
        with context.count.counting():
            if context.vouching is None or await context.vouching.may_poll():
                await context.reconciling.turn(SourceUid(source))
    except (StoreUnavailable, StoreRefused) as error:
        # The next turn continues from what is written down.
        log.warning("reconciliation_interrupted", source=source, error=str(error))


JOBS: dict[str, Callable[..., Awaitable[None]]] = {"poll": poll, "reconcile": reconcile}
"""Every job by the name that relay.jobs enqueues it under."""
