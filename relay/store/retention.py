"""Retention: what is kept no longer. An event goes when its time is over and every delivery of it has ended."""

import re
from bisect import bisect_left
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass

from redis.asyncio import Redis

from relay.domain.model import ROUTES, MessageId, SourceUid
from relay.errors import Unreadable
from relay.store import keys
from relay.store.events import PACKING, Events, bucket_of, shard_of
from relay.store.past_events import PastEvents
from relay.store.scripts import script

DEAD_AT_ONCE = 1000
DEAD_STEPS = 100
ENDPOINTS_AT_ONCE = 10
BUCKETS_A_ROUND = 2000
"""256 events each: half a million a minute."""
EVENT_BYTES = 150
"""The memory that an event takes in addition to its packed form: its entry, and that of its id."""
_ENDED = re.compile(rb"0|-\d+")
_ID = re.compile(rb"msg_[a-zA-Z0-9]{24}")


@dataclass(frozen=True, slots=True)
class BucketEvent:
    """One event of a bucket."""

    number: int
    index: tuple[str, str]
    """Where its message id is indexed: shard and field."""
    packed: bytes

    @property
    def size(self) -> int:
        """What it takes of the server's memory, in bytes."""
        return len(self.packed) + EVENT_BYTES


@dataclass(slots=True)
class Bucket:
    """A bucket of events, as far as it matters for forgetting them."""

    number: int
    newest_ms: int | None
    """When its newest event was stored; None: none of them can be read."""
    events: list[BucketEvent]

    @property
    def size(self) -> int:
        """What it takes of the server's memory, in bytes."""
        return sum(event.size for event in self.events)

    @property
    def packed(self) -> dict[int, bytes]:
        """Its events by number, as they are stored."""
        return {event.number: event.packed for event in self.events}


class Retention:
    """Forgets what is over, in steps of bounded work, and no more in a round than is good for the others."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._events = Events(redis)
        self._past = PastEvents(redis)

    async def forget_dead(self, source: SourceUid, *, before_ms: int) -> tuple[int, int]:
        """Forget deliveries that were given up before a time; their events need not be kept for them any more.

        Gives how many, and how many of these could not be read.
        """
        names = [keys.dead(source), keys.references(source), keys.owed(source)]
        args = [keys.prefix(source), before_ms, DEAD_AT_ONCE, keys.EVENTS_PER_BUCKET]
        forgotten = damaged = 0
        for _ in range(DEAD_STEPS):
            gone, unread = await script("forget_dead")(self._redis, names, args)
            forgotten, damaged = forgotten + int(gone), damaged + int(unread)
            if int(gone) < DEAD_AT_ONCE:
                break
        return forgotten + await self._forget_dropped(source, before_ms), damaged

    async def _forget_dropped(self, source: SourceUid, before_ms: int) -> int:
        """Forget deliveries that were dropped before a time."""
        names = [keys.dropped_counts(source)]
        endpoints = sorted(await self._redis.hkeys(names[0]))  # type: ignore[misc]
        forgotten = 0
        for first in range(0, len(endpoints), ENDPOINTS_AT_ONCE):
            some = endpoints[first : first + ENDPOINTS_AT_ONCE]
            args = [keys.prefix(source), before_ms, DEAD_AT_ONCE // ENDPOINTS_AT_ONCE, *some]
            forgotten += int(await script("forget_dropped")(self._redis, names, args))
        return forgotten

    async def forget_events(self, source: SourceUid, *, before_ms: int, past_from_ms: int | None = None) -> int:
        """Forget buckets of events that were stored before a time and have no delivery left; gives how many events.

        Those that were stored at `past_from_ms` or later are kept as past events (None: none are).
        One that can't be read goes with the next one that can, for buckets are in the order of time.
        """
        forgotten = 0
        unread: list[Bucket] = []
        async with aclosing(self._ended(source)) as buckets:
            async for bucket in buckets:
                if bucket.newest_ms is None:
                    unread.append(bucket)
                    continue
                if bucket.newest_ms >= before_ms:
                    break  # The later ones are younger.
                if past_from_ms is not None and bucket.newest_ms >= past_from_ms:
                    await self._past.keep(source, bucket.number, bucket.packed, newest_ms=bucket.newest_ms)
                for each in (*unread, bucket):
                    forgotten += await self._forget(source, each)
                unread.clear()
        return forgotten

    async def shed_events(self, source: SourceUid, *, most_bytes: int) -> tuple[int, int]:
        """Forget the oldest buckets that have no delivery left, whatever their age; gives how many events and bytes."""
        forgotten = size = 0
        async with aclosing(self._ended(source)) as buckets:
            async for bucket in buckets:
                if size >= most_bytes:
                    break
                gone = await self._forget(source, bucket)
                forgotten, size = forgotten + gone, size + (bucket.size if gone else 0)
        return forgotten, size

    async def _ended(self, source: SourceUid) -> AsyncGenerator[Bucket, None]:
        """Buckets without deliveries but for the newest, which may still get events; oldest first."""
        counts = await self._redis.hgetall(keys.references(source))  # type: ignore[misc]
        newest = bucket_of(await self._events.newest(source))
        # What is no number is damage, and keeps its bucket: nobody knows who needs it.
        ended = sorted(int(b) for b, count in counts.items() if b.isdigit() and _ENDED.fullmatch(count))
        for number in ended[: bisect_left(ended, newest)][:BUCKETS_A_ROUND]:
            yield await self.bucket(source, number)

    async def bucket(self, source: SourceUid, number: int) -> Bucket:
        """Read a bucket."""
        packed = await self._redis.hgetall(keys.events(source, number))  # type: ignore[misc]
        found = Bucket(number, None, [])
        for field, value in packed.items():
            with suppress(Unreadable):
                found.newest_ms = max(found.newest_ms or 0, PACKING.unpack(value).stored_at_ms)
            # Looked for in its bytes: also an event of another release has an id that leads to it.
            message = _ID.search(value)
            index = shard_of(MessageId(message[0].decode())) if message else ("", "")
            if field.isdigit():
                found.events.append(BucketEvent(int(field), index, value))
        return found

    async def _forget(self, source: SourceUid, bucket: Bucket) -> int:
        args: list[str | int] = [keys.prefix(source), bucket.number]
        for event in bucket.events:
            args += (*event.index, event.number)
        names = [keys.references(source), *(keys.lowest(source, route) for route in ROUTES)]
        return int(await script("forget_events")(self._redis, names, args))
