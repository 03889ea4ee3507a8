"""Events as they are kept: packed once, in buckets of 256, found by number or by message id."""

from collections.abc import Iterable, Mapping
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
        return (await self.of({source: numbers}))[source]

    async def of(self, wanted: Mapping[SourceUid, Iterable[int]]) -> dict[SourceUid, dict[int, StoredEvent]]:
        """The same for several sources, in one round trip."""
        groups = [
            (source, bucket, list(members))
            for source, numbers in wanted.items()
            for bucket, members in groupby(sorted(set(numbers)), key=bucket_of)
        ]
        events: dict[SourceUid, dict[int, StoredEvent]] = {source: {} for source in wanted}
        if not groups:
            return events
        async with self._redis.pipeline(transaction=False) as pipe:
            for source, bucket, members in groups:
                pipe.hmget(keys.events(source, bucket), [str(n) for n in members])
            found = await pipe.execute()
        for (source, _, members), values in zip(groups, found, strict=True):
            for number, packed in zip(members, values, strict=True):
                if packed is not None:
                    with suppress(Unreadable):
                        events[source][number] = PACKING.unpack(packed)
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

    async def keeps_bucket_of(self, source: SourceUid, number: int) -> bool:
        """Whether the bucket of an event is kept, with the event or without it."""
        return bool(await self._redis.exists(keys.events(source, bucket_of(number))))

    async def first_after(self, source: SourceUid, at_ms: int) -> int:
        """The number of the first event that was stored after a time; or, if there is none, at most the next one."""
        visible = await self._visible(source)
        kept = [bucket for bucket in await self._kept(source) if bucket <= bucket_of(visible)]
        low, high = 0, len(kept)
        while low < high:
            middle = (low + high) // 2
            events = await self.read(source, _numbers(kept[middle]))
            # A bucket that shows no event counts as later: that gives an event too many, and never one too few.
            if events and events[min(events)].stored_at_ms <= at_ms:
                low = middle + 1
            else:
                high = middle
        events = await self.read(source, _numbers(kept[low - 1])) if low else {}
        later = [number for number, event in events.items() if event.stored_at_ms > at_ms]
        if later:
            return min(later)
        return kept[low] * keys.EVENTS_PER_BUCKET if low < len(kept) else visible + 1

    async def page(
        self, source: SourceUid, *, edge: int | None = None, newer: bool = False, limit: int
    ) -> list[tuple[int, StoredEvent]]:
        """Up to `limit` events by number, the newest below `edge` first; an empty list: there are no more.

        With `newer`, the oldest at or above `edge` come first.
        """
        if newer:
            # Buckets are read one after the other. Without this bound, a commit between two of them would leave a gap.
            low, high = edge or 0, await self._visible(source) + 1
        else:
            low, high = 0, await self.newest(source) + 1 if edge is None else edge
        events: list[tuple[int, StoredEvent]] = []
        for size in (limit, keys.EVENTS_PER_BUCKET):
            # Numbers next to the edge mostly have events. Which buckets are kept need not be asked then.
            numbers = range(low, min(high, low + size)) if newer else range(max(low, high - size), high)
            events += sorted((await self.read(source, numbers)).items(), reverse=not newer)
            low, high = (numbers.stop, high) if newer else (low, numbers.start)
            if len(events) >= limit or low >= high:
                return events[:limit]
        return [*events, *await self._sparse(source, low, high, newer=newer, limit=limit - len(events))]

    async def _sparse(
        self, source: SourceUid, low: int, high: int, *, newer: bool, limit: int
    ) -> list[tuple[int, StoredEvent]]:
        """Up to `limit` events of the buckets that are kept, with numbers from `low` on and below `high`."""
        kept = await self._kept(source)
        if not newer:
            kept.reverse()
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

    async def _visible(self, source: SourceUid) -> int:
        """The number of the newest event that is stored; -1 when none is. Pollers take numbers before they commit them.

        Events become visible in the order of their numbers: all up to this one are, now and later.
        """
        newest = bucket_of(await self.newest(source))
        if numbers := await self._redis.hkeys(keys.events(source, newest)):  # type: ignore[misc]
            return max(map(int, numbers))
        for bucket in reversed(await self._kept(source)):
            if numbers := await self._redis.hkeys(keys.events(source, bucket)):  # type: ignore[misc]
                return max(map(int, numbers))
        return -1

    async def _kept(self, source: SourceUid) -> list[int]:
        """The buckets that are kept, in order."""
        return sorted(int(bucket) for bucket in await self._redis.hkeys(keys.references(source)))  # type: ignore[misc]


def _numbers(bucket: int) -> range:
    return range(bucket * keys.EVENTS_PER_BUCKET, (bucket + 1) * keys.EVENTS_PER_BUCKET)
