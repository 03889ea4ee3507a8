"""Moments: what tells whether anything was stored in a source since somebody looked."""

from collections.abc import Sequence

from redis.asyncio import Redis

from relay.domain.model import SourceUid
from relay.store import keys

Moment = tuple[bytes | None, bytes | None]
"""A source's counters of commits, and of deliveries that were sent again by hand."""


class Moments:
    """The moments of all sources."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def of(self, sources: Sequence[SourceUid]) -> dict[SourceUid, Moment]:
        """The moments of sources, in one round trip. Raises StoreUnavailable."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for source in sources:
                pipe.mget(keys.sequence(source), keys.revived(source))
            found = await pipe.execute()
        return {source: (told[0], told[1]) for source, told in zip(sources, found, strict=True)}
