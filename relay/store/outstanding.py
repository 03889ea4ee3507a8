"""How many deliveries have not ended, over all endpoints, from the counts that each bucket of events has."""

from collections.abc import Sequence

from redis.asyncio import Redis

from relay.domain.model import SourceUid
from relay.store import keys

SOURCES_AT_ONCE = 500
Moment = tuple[bytes | None, bytes | None]
"""A source's counters of commits, and of deliveries that were sent again by hand."""


class Outstanding:
    """Counts. A source without deliveries, in which nothing was committed since, costs two commands."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._idle: dict[SourceUid, Moment] = {}

    async def count(self, sources: Sequence[SourceUid]) -> int:
        """All that wait, are in flight, wait for their next try, or were given up. Raises StoreUnavailable."""
        total = 0
        for first in range(0, len(sources), SOURCES_AT_ONCE):
            total += await self._count(sources[first : first + SOURCES_AT_ONCE])
        self._idle = {source: moment for source, moment in self._idle.items() if source in set(sources)}
        return total

    async def _count(self, sources: Sequence[SourceUid]) -> int:
        async with self._redis.pipeline(transaction=False) as pipe:
            for source in sources:
                pipe.get(keys.sequence(source))
                pipe.get(keys.revived(source))
            told = await pipe.execute()
        moments = dict(zip(sources, zip(told[::2], told[1::2], strict=True), strict=True))
        busy = [source for source in sources if self._idle.get(source) != moments[source]]
        total = 0
        for source in busy:
            # What is no number is damage, and counts as nothing.
            counts = await self._redis.hvals(keys.references(source))  # type: ignore[misc]
            waiting = sum(int(count) for count in counts if count.isdigit())
            total += waiting
            if waiting:
                self._idle.pop(source, None)
            else:
                self._idle[source] = moments[source]
        return total
