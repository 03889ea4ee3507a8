"""Compaction: one delivery that waits keeps a bucket of 256 events; the others among them need not be kept.

Which events are needed is not written down, because that would cost more than the waiting deliveries. It is found by a
look at all deliveries, while they move. The look is believed only where it found as many as the bucket's count says,
and neither that nor what was sent again has changed since before it: then no delivery has ended or begun, so it found
them all.
"""

import re
from collections import defaultdict
from collections.abc import AsyncGenerator, Collection, Iterable
from dataclasses import dataclass

from redis.asyncio import Redis

from relay.domain.model import EndpointId, SourceUid
from relay.store import keys, replay_keys
from relay.store.events import Events, bucket_of
from relay.store.past_events import PastEvents
from relay.store.retention import Bucket, Retention
from relay.store.scripts import script

BUCKETS_AT_ONCE = 50
LOOKED_AT = 5_000
ENDPOINTS_AT_ONCE = 100
ENTRIES_AT_ONCE = 1_000
_NUMBER = re.compile(rb"[a-z](\d{1,16})")

Needed = dict[int, set[tuple[bytes, int]]]
"""For each bucket the deliveries that need one of its events: endpoint and number."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Buckets that hold more than is needed, and what their counts were before the look."""

    buckets: dict[int, Bucket]
    counts: dict[int, bytes]
    revived: bytes


class Compaction:
    """Forgets events that are kept for nobody, in buckets that are kept for somebody."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._events = Events(redis)
        self._retention = Retention(redis)
        self._past = PastEvents(redis)
        self._behind: dict[SourceUid, int] = {}

    async def compact(self, source: SourceUid, *, before_ms: int, past_from_ms: int | None = None) -> tuple[int, int]:
        """One round over buckets that were stored before a time; gives how many events went, and their bytes.

        Those that were stored at `past_from_ms` or later are kept as past events (None: none are).
        """
        wanted = await self._wasteful(source, before_ms)
        if not wanted.buckets:
            return 0, 0
        needed = await self._needed(source, wanted.buckets)
        forgotten = size = 0
        for number, bucket in wanted.buckets.items():
            if len(needed[number]) == int(wanted.counts[number]):
                kept = {event for _, event in needed[number]}
                if past_from_ms is not None and (bucket.newest_ms or 0) >= past_from_ms:
                    over = {event: packed for event, packed in bucket.packed.items() if event not in kept}
                    await self._past.keep(source, number, over, newest_ms=bucket.newest_ms or 0)
                gone, freed = await self._forget(source, bucket, kept, wanted)
                forgotten, size = forgotten + gone, size + freed
        return forgotten, size

    async def _wasteful(self, source: SourceUid, before_ms: int) -> _Wanted:
        """The next buckets, from where the last round ended, that hold more events than deliveries need them."""
        revived = await self._redis.get(keys.revived(source)) or b"0"
        found = await self._redis.hgetall(keys.references(source))  # type: ignore[misc]
        newest = bucket_of(await self._events.newest(source))
        counts = {int(b): count for b, count in found.items() if b.isdigit() and count.isdigit() and int(b) < newest}
        needed = sorted(bucket for bucket, count in counts.items() if int(count) > 0)
        behind = self._behind.get(source, -1)
        rest = [bucket for bucket in needed if bucket > behind][:LOOKED_AT]
        self._behind[source] = -1
        buckets: dict[int, Bucket] = {}
        async with self._redis.pipeline(transaction=False) as pipe:
            for bucket in rest:
                pipe.hlen(keys.events(source, bucket))
            sizes = await pipe.execute() if rest else []
        for bucket, events in zip(rest, sizes, strict=True):
            if events > int(counts[bucket]):
                read = await self._retention.bucket(source, bucket)
                if (read.newest_ms or 0) >= before_ms:
                    break
                buckets[bucket] = read
            if len(buckets) == BUCKETS_AT_ONCE:
                self._behind[source] = bucket
                break
        return _Wanted(buckets, counts, revived)

    async def _needed(self, source: SourceUid, buckets: Collection[int]) -> Needed:
        needed: Needed = defaultdict(set)
        below = (max(buckets) + 1) * keys.EVENTS_PER_BUCKET

        def note(endpoint: bytes, entries: Iterable[bytes]) -> bool:
            """Whether all of the entries are of events below the last bucket's end."""
            numbers = [int(found[1]) for entry in entries if (found := _NUMBER.match(entry))]
            for number in numbers:
                if (bucket := bucket_of(number)) in buckets:
                    needed[bucket].add((endpoint, number))
            return all(number < below for number in numbers)

        for name in (keys.due(source), keys.dead(source)):
            async for member, _ in self._redis.zscan_iter(name, count=ENTRIES_AT_ONCE):
                endpoint, _, reference = member.partition(b" ")
                note(endpoint, [reference])
        async for endpoint, flight in self._flights(source):
            note(endpoint, flight)
            for name in await self._lists(source, EndpointId(endpoint.decode())):
                first = 0
                while entries := await self._redis.lrange(name, first, first + ENTRIES_AT_ONCE - 1):  # type: ignore[misc]
                    # In order, but for what was sent again by hand: a bucket that needs that is left as it is.
                    if not note(endpoint, entries):
                        break
                    first += len(entries)
        return needed

    async def _flights(self, source: SourceUid) -> AsyncGenerator[tuple[bytes, set[bytes]], None]:
        """Every endpoint that something waits for, with what is in flight to it."""
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.hkeys(keys.lanes(source))
            pipe.hkeys(keys.owed(source))
            lanes, owed = await pipe.execute()
        endpoints = sorted({*lanes, *owed})
        for first in range(0, len(endpoints), ENDPOINTS_AT_ONCE):
            some = endpoints[first : first + ENDPOINTS_AT_ONCE]
            async with self._redis.pipeline(transaction=False) as pipe:
                for endpoint in some:
                    pipe.smembers(keys.flight(source, EndpointId(endpoint.decode())))
                for endpoint, flight in zip(some, await pipe.execute(), strict=True):
                    yield endpoint, flight

    async def _lists(self, source: SourceUid, endpoint: EndpointId) -> list[str]:
        """The lists that an endpoint's deliveries wait in."""
        names = [keys.lane(source, endpoint), replay_keys.replay_list(source, endpoint)]
        async for key, _ in self._redis.hscan_iter(keys.blocked(source, endpoint), count=ENTRIES_AT_ONCE):
            names.append(keys.waiting(source, endpoint, key.decode()))
        return names

    async def _forget(
        self, source: SourceUid, bucket: Bucket, kept: Collection[int], wanted: _Wanted
    ) -> tuple[int, int]:
        names = [keys.references(source), keys.revived(source)]
        args: list[str | bytes | int] = [
            keys.prefix(source), bucket.number, wanted.counts[bucket.number], wanted.revived,
        ]  # fmt: skip
        size = 0
        for event in bucket.events:
            if event.number not in kept:
                args += (*event.index, event.number)
                size += event.size
        gone = int(await script("forget_ended")(self._redis, names, args))
        return (gone, size) if gone > 0 else (0, 0)
