"""Events as they are kept: packed once, in buckets of 256, found by number or by message id."""

from collections.abc import Iterable
from contextlib import suppress
from itertools import groupby

from msgspec import structs
from redis.asyncio import Redis

from relay.domain import envelope
from relay.domain.model import MessageId, SourceUid, StoredEvent
from relay.errors import Unreadable
from relay.store import keys
from relay.store.event_form import PACKING, pack_event
from relay.store.scripts import script

__all__ = ["PACKING", "Events", "bucket_of", "pack_event", "shard_of"]


def shard_of(message: MessageId) -> tuple[str, str]:
    """Where a message id is indexed: the shard's name, and the field in it (59 bits of the id)."""
    return message[4:6], message[6:16]


def bucket_of(number: int) -> int:
    """The bucket that an event is kept in."""
    return number // keys.EVENTS_PER_BUCKET


class Events:
    """The events of all sources."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def read(self, source: SourceUid, numbers: Iterable[int]) -> dict[int, StoredEvent]:
        """Read events by number, in one round trip; those that are not kept any more, or unreadable, are left out."""
        groups = [(b, list(n)) for b, n in groupby(sorted(set(numbers)), key=bucket_of)]
        if not groups:
            return {}
        async with self._redis.pipeline(transaction=False) as pipe:
            for bucket, members in groups:
                pipe.hmget(keys.events(source, bucket), [str(n) for n in members])
            found = await pipe.execute()
        events: dict[int, StoredEvent] = {}
        for (_, members), values in zip(groups, found, strict=True):
            for number, packed in zip(members, values, strict=True):
                if packed is not None:
                    with suppress(Unreadable):
                        events[number] = PACKING.unpack(packed)
        return events

    async def find(self, source: SourceUid, message: MessageId) -> tuple[int, StoredEvent] | None:
        """Find an event by its message id: its number and itself."""
        shard, field = shard_of(message)
        number = await self._redis.hget(keys.message_ids(source, shard), field)  # type: ignore[misc]
        if number is None:
            return None
        event = (await self.read(source, [int(number)])).get(int(number))
        return (int(number), event) if event is not None and event.id == message else None

    async def expunge(self, source: SourceUid, number: int, message: MessageId) -> bool:
        """Remove the content of an event for good; False: it is not there any more. Raises Unreadable."""
        name = keys.events(source, bucket_of(number))
        before = await self._redis.hget(name, str(number))  # type: ignore[misc]
        if before is None or (event := PACKING.unpack(before)).id != message:
            return False
        after = pack_event(structs.replace(event, body=envelope.expunged(event)))
        args = [number, before, after, keys.EXPUNGED_CHANNEL, source]
        return bool(await script("replace_event")(self._redis, [name], args))

    async def newest(self, source: SourceUid) -> int:
        """The number of the newest event; 0 when there is none."""
        return int(await self._redis.get(keys.sequence(source)) or 0)

    async def page(
        self, source: SourceUid, *, edge: int | None = None, newer: bool = False, limit: int
    ) -> list[tuple[int, StoredEvent]]:
        """Up to `limit` events by number, the newest below `edge` first; an empty list: there are no more.

        With `newer`, the oldest at or above `edge` come first.
        """
        newest = await self.newest(source)
        low, high = (edge or 0, newest + 1) if newer else (0, newest + 1 if edge is None else edge)
        kept = sorted((int(b) for b in await self._redis.hkeys(keys.references(source))), reverse=not newer)  # type: ignore[misc]
        events: list[tuple[int, StoredEvent]] = []
        for bucket in kept:
            first = bucket * keys.EVENTS_PER_BUCKET
            numbers = range(max(first, low), min(first + keys.EVENTS_PER_BUCKET, high))
            if not numbers:
                continue
            events += sorted((await self.read(source, numbers)).items(), reverse=not newer)
            if len(events) >= limit:
                break
        return events[:limit]
