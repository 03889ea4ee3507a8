"""Past events: what rows were, kept condensed after the retention, until no reading finds changes of them any more."""

import asyncio
from collections.abc import Collection, Mapping
from contextlib import suppress
from hashlib import sha1
from typing import NamedTuple

from redis.asyncio import Redis

from relay.domain.condensing import EVENTS_TOGETHER, condense, expand
from relay.domain.model import SourceUid, StoredEvent
from relay.errors import StoreFull, Unreadable
from relay.store import keys, reading_keys
from relay.store.event_form import PACKING
from relay.store.events import bucket_of
from relay.store.scripts import script

BUCKET_BYTES = 150
"""What a bucket takes of the server's memory in addition to its pieces."""
REMOVED_AT_ONCE = 100
TRIES = 5
"""How often a bucket is condensed, if its events are changed all the time."""


class _Kept(NamedTuple):
    bucket: int
    newest_ms: int
    size: int


class PastEvents:
    """The past events of all sources. They lead nowhere: no delivery and no list has them."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def keep(self, source: SourceUid, bucket: int, events: Mapping[int, bytes], *, newest_ms: int) -> None:
        """Keep packed events of a bucket, the newest of which was stored at `newest_ms`.

        The bucket must still have events. Nothing is kept while the server is full. What has lost its content since it
        was read is kept without it.
        """
        # What is over must be forgotten all the same.
        with suppress(StoreFull):
            for _ in range(TRIES):
                if await self._keep(source, bucket, events, newest_ms):
                    return
                found = await self._redis.hmget(keys.events(source, bucket), [str(number) for number in events])  # type: ignore[misc]
                events = {number: packed for number, packed in zip(events, found, strict=True) if packed is not None}

    async def _keep(self, source: SourceUid, bucket: int, events: Mapping[int, bytes], newest_ms: int) -> bool:
        """False: an event or a piece is another one by now."""
        name, pieces = reading_keys.past(source, bucket), dict[int, bytes]()
        kept = await self._redis.hgetall(name)  # type: ignore[misc]
        there = {int(place): piece for place, piece in kept.items() if place.isdigit()}
        for place, some in _pieces(events).items():
            # A few milliseconds for all of a bucket: others get their turn in between.
            await asyncio.sleep(0)
            pieces[place] = condense(expand(there.get(place, b"")) | some)
        if not pieces:
            return True
        size = BUCKET_BYTES + sum(map(len, (there | pieces).values()))
        names = [keys.events(source, bucket), name, reading_keys.past_buckets(source)]
        args: list[str | bytes | int] = [bucket, f"{newest_ms} {size}", len(events)]
        for number, packed in events.items():
            args += (number, sha1(packed, usedforsecurity=False).hexdigest())
        for place, piece in pieces.items():
            args += (place, there.get(place, b""), piece)
        return int(await script("keep_past")(self._redis, names, args)) >= 0

    async def read(self, source: SourceUid, numbers: Collection[int]) -> dict[int, StoredEvent]:
        """Read events by number; those that are not kept, or unreadable, are left out."""
        wanted = sorted({_place(number) for number in numbers})
        async with self._redis.pipeline(transaction=False) as pipe:
            for bucket, place in wanted:
                pipe.hget(reading_keys.past(source, bucket), str(place))
            pieces = await pipe.execute() if wanted else []
        events: dict[int, StoredEvent] = {}
        for piece in pieces:
            await asyncio.sleep(0)
            found = expand(piece or b"")
            for number in found.keys() & set(numbers):
                try:
                    events[number] = PACKING.unpack(found[number])
                except Unreadable:
                    continue
        return events

    async def forget(self, source: SourceUid, *, before_ms: int, most_bytes: int) -> int:
        """Forget buckets whose events were stored before a time, and the oldest beyond a budget; gives the bytes."""
        kept = await self._all(source)
        left, gone = sum(each.size for each in kept), list[_Kept]()
        for each in kept:
            if each.newest_ms >= before_ms and left <= most_bytes:
                break
            gone.append(each)
            left -= each.size
        for first in range(0, len(gone), REMOVED_AT_ONCE):
            some = gone[first : first + REMOVED_AT_ONCE]
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.unlink(*(reading_keys.past(source, each.bucket) for each in some))
                pipe.hdel(reading_keys.past_buckets(source), *(str(each.bucket) for each in some))
                await pipe.execute()
        return sum(each.size for each in gone)

    async def total_bytes(self, source: SourceUid) -> int:
        """What all past events of a source take."""
        return sum(each.size for each in await self._all(source))

    async def _all(self, source: SourceUid) -> list[_Kept]:
        """All buckets, oldest first."""
        found: dict[bytes, bytes] = await self._redis.hgetall(reading_keys.past_buckets(source))  # type: ignore[misc]
        kept = []
        for field, value in found.items():
            newest_ms, _, size = value.partition(b" ")
            if field.isdigit():
                # Of a bucket whose entry is damaged, nobody knows the age: it goes first.
                is_whole = newest_ms.isdigit() and size.isdigit()
                kept.append(_Kept(int(field), int(newest_ms) if is_whole else -1, int(size) if is_whole else 0))
        return sorted(kept, key=lambda each: (each.newest_ms >= 0, each.bucket))


def _place(number: int) -> tuple[int, int]:
    return bucket_of(number), number % keys.EVENTS_PER_BUCKET // EVENTS_TOGETHER


def _pieces(events: Mapping[int, bytes]) -> dict[int, dict[int, bytes]]:
    pieces: dict[int, dict[int, bytes]] = {}
    for number in sorted(events):
        pieces.setdefault(_place(number)[1], {})[number] = events[number]
    return pieces
