"""Erasing a person from a stream: its events, what rows were, attempts, and lines that could not be read.

Each step is about one bucket, can end anywhere, and is harmless when it is done again. The event leads to its attempts,
so they lose their answers before it loses its content.
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec
from redis.asyncio import Redis

from relay.domain import erasing
from relay.domain.condensing import condense, expand
from relay.domain.erasing import Sought
from relay.domain.model import Attempt, SourceUid, StoredEvent
from relay.domain.references import tag_of
from relay.errors import Unreadable
from relay.store import keys, reading_keys
from relay.store.attempts import PACKING as ATTEMPT_PACKING
from relay.store.event_form import PACKING, pack_event
from relay.store.scripts import script

ATTEMPTS_AT_ONCE = 1000
EVENTS_BETWEEN_PAUSES = 25
"""A millisecond: other tasks of the process get their turn."""


class Erasing:
    """Removes an identity from what is kept of a stream. All methods raise StoreUnavailable."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def buckets(self, stream: SourceUid) -> list[int]:
        """The buckets of events that are kept, in order."""
        return sorted(int(each) for each in await self._redis.hkeys(keys.references(stream)))  # type: ignore[misc]

    async def past_buckets(self, stream: SourceUid) -> list[int]:
        """The buckets of past events that are kept, in order."""
        found = await self._redis.hkeys(reading_keys.past_buckets(stream))  # type: ignore[misc]
        return sorted(int(each) for each in found if each.isdigit())

    async def attempt_buckets(self, stream: SourceUid) -> list[int]:
        """The buckets of attempts that are kept, in order."""
        return sorted(int(each) for each in await self._redis.zrange(keys.attempt_buckets(stream), 0, -1))

    async def from_events(self, stream: SourceUid, bucket: int, sought: Sought) -> tuple[int, int]:
        """Remove the content of a bucket's events that contain an identity; gives how many events and attempts.

        A delivery that waits for one of them stays in its lane, and ends without a request.
        """
        name = keys.events(stream, bucket)
        found = dict[int, tuple[bytes, StoredEvent]]()
        for at, (number, packed) in enumerate((await self._redis.hgetall(name)).items()):  # type: ignore[misc]
            if at % EVENTS_BETWEEN_PAUSES == EVENTS_BETWEEN_PAUSES - 1:
                await asyncio.sleep(0)
            if (event := _sought_event(packed, sought)) is not None:
                found[int(number)] = packed, event
        if sought.dry_run:
            return len(found), 0
        answers = await self._answers_of(stream, {number: event for number, (_, event) in found.items()}, sought)
        for number, (packed, event) in found.items():
            after = pack_event(erasing.erased_event(event, sought.identity))
            # If another event is there by now, it was not in the stream when the person was to be erased.
            args = [number, packed, after, keys.EXPUNGED_CHANNEL, stream]
            await script("replace_event")(self._redis, [name], args)
        return len(found), answers

    async def from_past(self, stream: SourceUid, bucket: int, sought: Sought) -> int:
        """Remove a bucket's past events that contain an identity; gives how many they were."""
        name, removed = reading_keys.past(stream, bucket), 0
        for place in await self._redis.hkeys(name):  # type: ignore[misc]
            while (piece := await self._redis.hget(name, place)) is not None:  # type: ignore[misc]
                events = expand(piece)
                kept = {number: packed for number, packed in events.items() if _sought_event(packed, sought) is None}
                is_done = sought.dry_run or len(kept) == len(events)
                if is_done or await script("replace_field")(self._redis, [name], [place, piece, condense(kept)]):
                    removed += len(events) - len(kept)
                    break
        return removed

    async def from_attempts(self, stream: SourceUid, bucket: int, sought: Sought) -> int:
        """Remove the recorded answers of a bucket's attempts that contain an identity; gives how many they were.

        Their events may be gone. Also those of new data go: nobody knows what an answer is about.
        """
        return await self._clear(stream, bucket, sought, {})

    async def from_lines(self, stream: SourceUid, sought: Sought) -> int:
        """Remove lines that could not be read and contain an identity; gives how many they were.

        Only the beginning of a line is kept, and an escape in it can be broken, so it is read as a text.
        """
        name, found = keys.quarantine(stream), list[Any]()
        for digest, value in (await self._redis.hgetall(name)).items():  # type: ignore[misc]
            with suppress(msgspec.MsgspecError):
                entry = msgspec.json.decode(value)
                if isinstance(entry, dict) and sought.identity.is_in_text(str(entry.get("line", ""))):
                    found.append(digest)
        if found and not sought.dry_run:
            await self._redis.hdel(name, *found)  # type: ignore[misc]
        return len(found)

    async def _answers_of(self, stream: SourceUid, events: Mapping[int, StoredEvent], sought: Sought) -> int:
        """Remove what receivers answered to some events, whether it contains the identity or not."""
        by_bucket = defaultdict[int, dict[int, str]](dict)
        for number, event in events.items():
            by_bucket[number // keys.ATTEMPTS_PER_BUCKET][number] = tag_of(event.id)
        return sum([await self._clear(stream, bucket, sought, tags) for bucket, tags in by_bucket.items()])

    async def _clear(self, stream: SourceUid, bucket: int, sought: Sought, tags: Mapping[int, str]) -> int:
        """Clear attempts of some events (numbers with tags), and all others that contain the identity."""
        name, cleared, identity = keys.attempts(stream, bucket), 0, sought.identity
        async for field, packed in self._redis.hscan_iter(name, count=ATTEMPTS_AT_ONCE):
            try:
                attempt: Attempt = ATTEMPT_PACKING.unpack(packed)
            except Unreadable:
                continue
            if tags.get(attempt.seq) != attempt.tag and not erasing.is_in_attempt(identity, attempt):
                continue
            after = ATTEMPT_PACKING.pack(erasing.erased_attempt(attempt, identity))
            if sought.dry_run:
                cleared += 1
            elif after != packed:
                # An attempt is written once: if it is not there, it was shed.
                cleared += int(await script("replace_field")(self._redis, [name], [field, packed, after]))
        return cleared


def _sought_event(packed: bytes, sought: Sought) -> StoredEvent | None:
    """An event that is to be erased. One of a form that this release does not know goes with its retention."""
    try:
        event = PACKING.unpack(packed)
    except Unreadable:
        return None
    return event if erasing.is_in_event(sought.identity, event) and erasing.is_by(event, sought.until_ms) else None
