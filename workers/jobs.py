"""arq's jobs: each unpacks its context and calls the pipeline."""

from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from redis.exceptions import RedisError

from relay import jobs
from relay.domain.model import SourceUid
from relay.errors import StoreRefused, StoreUnavailable
from workers.context import Context

log = structlog.get_logger()


async def poll(ctx: dict[str, Any], source: str) -> None:
    """Poll a source's routes for a while."""
    context: Context = ctx["context"]

    async def hand_on(uid: SourceUid) -> None:
        try:
            await jobs.poll(ctx["redis"], uid, tick=context.clock.now_ms() // 1000)
        except (RedisError, OSError) as error:
            # The slice ends a little later, and the next tick enqueues another one.
            log.warning("slice_not_handed_on", source=uid, error=str(error))

    try:
        if context.vouching is not None and not await context.vouching.may_poll():
            return  # Its routes would begin behind the newest row, and not where they were.
        await context.polling.slice(SourceUid(source), hand_on=hand_on)
    except (StoreUnavailable, StoreRefused) as error:
        # The next tick enqueues another slice; this one loses nothing, because the cursor did not move.
        log.warning("slice_ended", source=source, error=str(error))


async def reconcile(ctx: dict[str, Any], source: str) -> None:
    """Go on with the reconciliation of a source for a few seconds."""
    context: Context = ctx["context"]
    try:
        if context.vouching is None or await context.vouching.may_poll():
            await context.reconciling.turn(SourceUid(source))
    except (StoreUnavailable, StoreRefused) as error:
        # The next turn continues from what is written down.
        log.warning("reconciliation_interrupted", source=source, error=str(error))


JOBS: dict[str, Callable[..., Awaitable[None]]] = {"poll": poll, "reconcile": reconcile}
"""Every job by the name that relay.jobs enqueues it under."""
