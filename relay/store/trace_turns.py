"""Whose turn it is to ask a source's upstream for a visitor's trace: one request at a time, over all processes."""

from redis.asyncio import Redis

from relay.domain.model import SourceUid
from relay.store import request_keys
from relay.store.scripts import script


class TraceTurns:
    """The turns of all sources. They are apart from the lease of a source, so that no trace stops its polling."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def take(self, source: SourceUid, *, lives_ms: int) -> bool:
        """Take the turn for a time at most. False: another request has it. Raises StoreUnavailable."""
        return bool(await script("take_chore")(self._redis, [request_keys.tracing(source)], [lives_ms]))

    async def give_back(self, source: SourceUid) -> None:
        """End the turn before its time. Raises StoreUnavailable."""
        await self._redis.delete(request_keys.tracing(source))
