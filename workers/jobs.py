"""arq's jobs: each unpacks its context and calls the pipeline."""

from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from relay.domain.model import SourceUid
from relay.errors import StoreRefused, StoreUnavailable
from workers.context import Context

log = structlog.get_logger()


async def poll(ctx: dict[str, Any], source: str) -> None:
    """Poll a source's routes for a while."""
    context: Context = ctx["context"]
    try:
        await context.polling.slice(SourceUid(source))
    except (StoreUnavailable, StoreRefused) as error:
        # The next tick enqueues another slice; this one loses nothing, because the cursor did not move.
        log.warning("slice_ended", source=source, error=str(error))


JOBS: dict[str, Callable[..., Awaitable[None]]] = {"poll": poll}
"""Every job by the name that relay.jobs enqueues it under."""
