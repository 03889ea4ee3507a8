"""Outboxes: operational events that wait to become posts, where the steps that cause them can write them.

The changes of endpoints have one, and so have the deliveries of each stream, because a step works on one slot.
"""

from collections.abc import Sequence

from redis.asyncio import Redis

from relay.domain.model import SourceUid
from relay.store import outbox_keys
from relay.store.operations import Operation, read_operations

KEPT = 10_000
"""Events that an outbox keeps at most, about: the oldest go first."""


class Outboxes:
    """All outboxes. Their names are those of streams, or None for that of changes."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def sizes(self, streams: Sequence[SourceUid]) -> dict[SourceUid, int]:
        """How many events wait in the outboxes of streams, in one round trip. Raises StoreUnavailable."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for stream in streams:
                pipe.xlen(outbox_keys.outbox(stream))
            found = await pipe.execute()
        return dict(zip(streams, found, strict=True))

    async def oldest(self, stream: SourceUid | None, *, limit: int) -> list[Operation]:
        """Up to `limit` events of an outbox, oldest first."""
        return read_operations(await self._redis.xrange(_key(stream), count=limit))

    async def remove(self, stream: SourceUid | None, position: str) -> None:
        """Remove an event that is a post now."""
        await self._redis.xdel(_key(stream), position)


def _key(stream: SourceUid | None) -> str:
    return outbox_keys.OUTBOX if stream is None else outbox_keys.outbox(stream)
