"""Work on each source apart from the others: what is damaged in one must not keep upkeep from the rest."""

from collections.abc import Awaitable, Callable, Iterable

import structlog

from relay.domain.model import SourceUid
from relay.errors import StoreUnavailable

log = structlog.get_logger()


async def each_apart(chore: str, sources: Iterable[SourceUid], work: Callable[[SourceUid], Awaitable[None]]) -> None:
    """Do something for one source after the other; a fault is logged, with the source. Raises StoreUnavailable."""
    for source in sources:
        try:
            await work(source)
        except Exception as error:
            if isinstance(error, StoreUnavailable):
                raise
            log.error("upkeep_failed", chore=chore, source=source, error=repr(error), do="see docs/runbook.md")
