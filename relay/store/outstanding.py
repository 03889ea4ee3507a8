"""How many deliveries have not ended, over all endpoints, from the counts that each bucket of events has."""

from collections.abc import Sequence

from redis.asyncio import Redis

from relay.domain.model import SourceUid
from relay.store import keys
from relay.store.moments import Moment, Moments

SOURCES_AT_ONCE = 500


class Outstanding:
    """Counts. A source without deliveries, in which nothing was committed since, costs one command."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._moments = Moments(redis)
        self._idle: dict[SourceUid, Moment] = {}

    async def count(self, sources: Sequence[SourceUid]) -> int:
        """All that wait, are in flight, wait for their next try, or were given up. Raises StoreUnavailable."""
        total, before, self._idle = 0, self._idle, {}
        for first in range(0, len(sources), SOURCES_AT_ONCE):
            moments = await self._moments.of(sources[first : first + SOURCES_AT_ONCE])
            for source, moment in moments.items():
                waiting = 0 if before.get(source) == moment else await self._waiting(source)
                total += waiting
                if not waiting:
                    self._idle[source] = moment
        return total

    async def _waiting(self, source: SourceUid) -> int:
        # What is no number is damage, and counts as nothing.
        counts = await self._redis.hvals(keys.references(source))  # type: ignore[misc]
        return sum(int(count) for count in counts if count.isdigit())
