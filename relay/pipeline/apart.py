"""Work on each source apart from the others: what is damaged in one must not keep upkeep from the rest."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import structlog

from relay.domain.model import SourceUid
from relay.errors import StoreUnavailable

log = structlog.get_logger()

ASKED_TOGETHER = 500
T = TypeVar("T")


async def each_apart(chore: str, sources: Iterable[SourceUid], work: Callable[[SourceUid], Awaitable[None]]) -> None:
    """Do something for one source after the other; a fault is logged, with the source. Raises StoreUnavailable."""
    for source in sources:
        try:
            await work(source)
        except Exception as error:
            if isinstance(error, StoreUnavailable):
                raise
            log.error("upkeep_failed", chore=chore, source=source, error=repr(error), do="see docs/runbook.md")


async def ask_apart(
    chore: str,
    sources: Sequence[SourceUid],
    ask: Callable[[Sequence[SourceUid]], Awaitable[Mapping[SourceUid, T]]],
) -> dict[SourceUid, T]:
    """Ask something about many sources in few round trips. A source that is damaged is logged, and left out.

    Raises StoreUnavailable.
    """
    found: dict[SourceUid, T] = {}

    async def ask_about(source: SourceUid) -> None:
        found.update(await ask([source]))

    for first in range(0, len(sources), ASKED_TOGETHER):
        some = sources[first : first + ASKED_TOGETHER]
        try:
            found |= await ask(some)
        except StoreUnavailable:
            raise
        except Exception:  # noqa: BLE001 - whose fault it is shows when each is asked alone
            await each_apart(chore, some, ask_about)
    return found
