"""Erasing a person from a stream: its events, what rows were, attempts, and lines that could not be read.

Each step is about one bucket, can end anywhere, and is harmless when it is done again. The event leads to its attempts,
so they lose their answers before it loses its content.
"""

from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec
from redis.asyncio import Redis

from relay.domain import erasing
from relay.domain.condensing import condense, expand
from relay.domain.erasing import Identity
from relay.domain.model import Attempt, SourceUid, StoredEvent
from relay.domain.references import tag_of
from relay.errors import Unreadable
from relay.store import keys, reading_keys
from relay.store.attempts import PACKING as ATTEMPT_PACKING
from relay.store.event_form import PACKING, pack_event
from relay.store.scripts import script

ATTEMPTS_AT_ONCE = 1000


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

    async def from_events(self, stream: SourceUid, bucket: int, identity: Identity) -> int:
        """Remove the content of a bucket's events that contain an identity; gives how many they were.

        A delivery that waits for one of them stays in its lane, and ends without a request.
        """
        name = keys.events(stream, bucket)
        found = {
            int(number): (packed, event)
            for number, packed in (await self._redis.hgetall(name)).items()  # type: ignore[misc]
            if (event := _event(packed)) is not None and erasing.is_in_event(identity, event)
        }
        await self._answers_of(stream, {number: event for number, (_, event) in found.items()}, identity)
        for number, (packed, event) in found.items():
            after = pack_event(erasing.erased_event(event, identity))
            # If another event is there by now, it was not in the stream when the person was to be erased.
            args = [number, packed, after, keys.EXPUNGED_CHANNEL, stream]
            await script("replace_event")(self._redis, [name], args)
        return len(found)

    async def from_past(self, stream: SourceUid, bucket: int, identity: Identity) -> int:
        """Remove a bucket's past events that contain an identity; gives how many they were."""
        name, removed = reading_keys.past(stream, bucket), 0
        for place in await self._redis.hkeys(name):  # type: ignore[misc]
            while (piece := await self._redis.hget(name, place)) is not None:  # type: ignore[misc]
                events = expand(piece)
                kept = {number: packed for number, packed in events.items() if not _is_in_packed(identity, packed)}
                if len(kept) == len(events):
                    break
                if await script("replace_field")(self._redis, [name], [place, piece, condense(kept)]):
                    removed += len(events) - len(kept)
                    break
        return removed

    async def from_attempts(self, stream: SourceUid, bucket: int, identity: Identity) -> int:
        """Remove the recorded answers of a bucket's attempts that contain an identity; gives how many they were.

        Their events may be gone.
        """
        return await self._clear(stream, bucket, identity, {})

    async def from_lines(self, stream: SourceUid, identity: Identity) -> int:
        """Remove lines that could not be read and contain an identity; gives how many they were.

        Only the beginning of a line is kept, and an escape in it can be broken, so it is read as a text.
        """
        name, found = keys.quarantine(stream), list[Any]()
        for digest, value in (await self._redis.hgetall(name)).items():  # type: ignore[misc]
            with suppress(msgspec.MsgspecError):
                entry = msgspec.json.decode(value)
                if isinstance(entry, dict) and identity.is_in_text(str(entry.get("line", ""))):
                    found.append(digest)
        if found:
            await self._redis.hdel(name, *found)  # type: ignore[misc]
        return len(found)

    async def _answers_of(self, stream: SourceUid, events: Mapping[int, StoredEvent], identity: Identity) -> None:
        """Remove what receivers answered to some events, whether it contains the identity or not."""
        by_bucket = defaultdict[int, dict[int, str]](dict)
        for number, event in events.items():
            by_bucket[number // keys.ATTEMPTS_PER_BUCKET][number] = tag_of(event.id)
        for bucket, tags in by_bucket.items():
            await self._clear(stream, bucket, identity, tags)

    async def _clear(self, stream: SourceUid, bucket: int, identity: Identity, tags: Mapping[int, str]) -> int:
        """Clear attempts of some events (numbers with tags), and all others that contain the identity."""
        name, cleared = keys.attempts(stream, bucket), 0
        async for field, packed in self._redis.hscan_iter(name, count=ATTEMPTS_AT_ONCE):
            try:
                attempt: Attempt = ATTEMPT_PACKING.unpack(packed)
            except Unreadable:
                continue
            if tags.get(attempt.seq) == attempt.tag or erasing.is_in_attempt(identity, attempt):
                after = ATTEMPT_PACKING.pack(erasing.erased_attempt(attempt, identity))
                # An attempt is written once: if it is not there, it was shed.
                cleared += int(await script("replace_field")(self._redis, [name], [field, packed, after]))
        return cleared


def _event(packed: bytes) -> StoredEvent | None:
    """None: of a form that this release does not know. It goes with its retention."""
    try:
        return PACKING.unpack(packed)
    except Unreadable:
        return None


def _is_in_packed(identity: Identity, packed: bytes) -> bool:
    event = _event(packed)
    return event is not None and erasing.is_in_event(identity, event)
