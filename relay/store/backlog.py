"""The backlog of an endpoint: what its deliveries keep in the store, and how the oldest of them are dropped."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from redis.asyncio import Redis

from relay.domain.model import EndpointId, SourceUid, StoredEvent
from relay.domain.references import Reference, parse_reference, tag_of
from relay.store import keys
from relay.store.events import Events
from relay.store.scripts import script

LISTED = 10_000
"""Dropped deliveries that are listed, of each endpoint; more are only counted."""
AT_ONCE = 500
STEPS = 1_000
DUE_AT_MOST = 20_000
DEAD_PAGES = 100
DEAD_AT_ONCE = 1_000
EVERYTHING = 2**53


@dataclass(frozen=True, slots=True)
class _Found:
    """A delivery that may be dropped."""

    place: Literal["lane", "behind", "due", "dead"]
    member: bytes
    reference: Reference | None
    """None: it is damaged, and goes without being listed."""
    at_ms: int
    key: str = ""
    reason: str = ""
    """Why it was given up before; empty: it was not."""


@dataclass(slots=True)
class Dropped:
    """How much was dropped."""

    deliveries: int = 0
    bytes: int = 0

    def add(self, deliveries: int, size: int) -> None:
        """Count more."""
        self.deliveries += deliveries
        self.bytes += size


class Backlog:
    """The backlogs of all endpoints, source by source."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._events = Events(redis)
        self._looked_at: dict[SourceUid, int] = {}

    async def owed(self, source: SourceUid) -> dict[EndpointId, int]:
        """Bytes of events that each endpoint's deliveries keep."""
        return (await self.all_owed([source]))[source]

    async def all_owed(self, sources: Sequence[SourceUid]) -> dict[SourceUid, dict[EndpointId, int]]:
        """The same for several sources, in one round trip."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for source in sources:
                pipe.hgetall(keys.owed(source))
            found = await pipe.execute()
        return {
            source: {EndpointId(endpoint.decode()): int(size) for endpoint, size in sizes.items() if size.isdigit()}
            for source, sizes in zip(sources, found, strict=True)
        }

    async def endpoints(self, source: SourceUid) -> list[EndpointId]:
        """The endpoints that something waits for."""
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.hkeys(keys.owed(source))
            pipe.hkeys(keys.lanes(source))
            owed, lanes = await pipe.execute()
        return [EndpointId(endpoint.decode()) for endpoint in sorted({*owed, *lanes})]

    async def older_than(self, source: SourceUid, *, time_ms: int) -> int:
        """The number below which all events were stored before a time; 0: none was. Only of those that somebody needs.

        One that can't be read is as old as the next one that can.
        """
        counts = await self._redis.hgetall(keys.references(source))  # type: ignore[misc]
        below = 0
        for bucket in sorted(int(bucket) for bucket, count in counts.items() if bucket.isdigit() and count != b"0"):
            first = bucket * keys.EVENTS_PER_BUCKET
            events = await self._events.read(source, range(first, first + keys.EVENTS_PER_BUCKET))
            young = [number for number, event in events.items() if event.stored_at_ms >= time_ms]
            if len(young) < len(events):
                below = min(young, default=first + keys.EVENTS_PER_BUCKET)
            if young:
                break
        return below

    async def drop_dead(self, source: SourceUid, wanted: Mapping[EndpointId, int]) -> dict[EndpointId, Dropped]:
        """Let the oldest given-up deliveries of endpoints go of their events, until so many bytes are let go."""
        dropped = {endpoint: Dropped() for endpoint in wanted}
        # Where the last round ended: what is before that is of others, or was done.
        first = self._looked_at.get(source, 0)
        for _ in range(DEAD_PAGES):
            members = await self._redis.zrange(keys.dead(source), first, first + DEAD_AT_ONCE - 1, withscores=True)
            gone = 0
            for endpoint, found in _by_endpoint(members, wanted).items():
                left = wanted[endpoint] - dropped[endpoint].bytes
                deliveries, size = await self._drop(source, endpoint, found, "", left)
                dropped[endpoint].add(deliveries, size)
                gone += deliveries
            first += len(members) - gone
            if len(members) < DEAD_AT_ONCE or all(dropped[e].bytes >= wanted[e] for e in wanted):
                first = 0
                break
        self._looked_at[source] = first
        return dropped

    async def drop_waiting(
        self,
        source: SourceUid,
        endpoint: EndpointId,
        *,
        reason: str,
        now_ms: int,
        most_bytes: int = EVERYTHING,
        below: int = EVERYTHING,
    ) -> Dropped:
        """Drop the oldest deliveries that wait: in the lane, then behind keys, then those that wait for a retry.

        Ends when `most_bytes` of events are let go, and leaves events from the number `below` on.
        """
        dropped = Dropped()
        for look in (self._in_lane, self._behind, self._due):
            for _ in range(STEPS):
                found = await look(source, endpoint, now_ms, below)
                deliveries, size = await self._drop(source, endpoint, found, reason, most_bytes - dropped.bytes)
                dropped.add(deliveries, size)
                if not deliveries or dropped.bytes >= most_bytes:
                    break
        return dropped

    async def _in_lane(self, source: SourceUid, endpoint: EndpointId, now_ms: int, below: int) -> list[_Found]:
        # The lane first: a reference that is unchanged has not been tried since, so no key began to wait for it.
        entries = await self._redis.lrange(keys.lane(source, endpoint), 0, AT_ONCE - 1)  # type: ignore[misc]
        waited_for = await self._waited_for(source, endpoint) if entries else {}
        found = []
        for entry in entries:
            reference = _reference(entry)
            if reference is not None and reference.number >= below:
                break
            key = "" if reference is None else waited_for.get(reference.number, "")
            found.append(_Found("lane", entry, reference, now_ms, key))
        return found

    async def _behind(self, source: SourceUid, endpoint: EndpointId, now_ms: int, below: int) -> list[_Found]:
        found: list[_Found] = []
        async for name, _ in self._redis.hscan_iter(keys.blocked(source, endpoint), count=AT_ONCE):
            key = name.decode()
            entries = await self._redis.lrange(keys.waiting(source, endpoint, key), 0, AT_ONCE - 1)  # type: ignore[misc]
            for entry in entries:
                reference = _reference(entry)
                if reference is not None and reference.number >= below:
                    break
                found.append(_Found("behind", entry, reference, now_ms, key))
            if len(found) >= AT_ONCE:
                break
        return found

    async def _due(self, source: SourceUid, endpoint: EndpointId, now_ms: int, below: int) -> list[_Found]:
        found: list[tuple[int, bytes, Reference]] = []
        async for member, _ in self._redis.zscan_iter(keys.due(source), match=f"{endpoint} *", count=AT_ONCE):
            reference = _reference(member.partition(b" ")[2])
            if reference is not None and reference.number < below:
                found.append((reference.number, member, reference))
            if len(found) >= DUE_AT_MOST:
                break
        waited_for = await self._waited_for(source, endpoint) if found else {}
        return [
            _Found("due", member, reference, now_ms, waited_for.get(number, ""))
            for number, member, reference in sorted(found)
        ]

    async def _waited_for(self, source: SourceUid, endpoint: EndpointId) -> dict[int, str]:
        """Numbers of events that the next ones of their key wait for, with the key."""
        return {
            int(number): key.decode()
            async for key, number in self._redis.hscan_iter(keys.blocked(source, endpoint), count=AT_ONCE)
            if number.isdigit()
        }

    async def _drop(
        self, source: SourceUid, endpoint: EndpointId, found: Sequence[_Found], reason: str, most_bytes: int
    ) -> tuple[int, int]:
        names = [
            *(name(source) for name in (keys.lanes, keys.ready, keys.due, keys.dead, keys.references, keys.owed)),
            keys.dropped(source, endpoint),
            keys.dropped_counts(source),
            keys.blocked(source, endpoint),
        ]
        deliveries = size = 0
        for first in range(0, len(found), AT_ONCE):
            some = found[first : first + AT_ONCE]
            events = await self._events.read(source, [each.reference.number for each in some if each.reference])
            left = most_bytes - size
            args: list[str | bytes | int] = [
                keys.prefix(source), endpoint, keys.EVENTS_PER_BUCKET, left, LISTED, keys.WAKE_CHANNEL, source
            ]  # fmt: skip
            for each in some:
                args += (each.place, each.member, _entry(each, reason, events), each.at_ms, each.key)
            gone, freed = await script("drop_backlog")(self._redis, names, args)
            deliveries, size = deliveries + int(gone), size + int(freed)
            if size >= most_bytes:
                break
        return deliveries, size


def _entry(found: _Found, reason: str, events: Mapping[int, StoredEvent]) -> str:
    """What is listed of a dropped delivery: all that is shown of it, for its event need not be kept."""
    if (reference := found.reference) is None:
        return ""
    event = events.get(reference.number)
    what = f"{event.id} {event.row_id or '-'}" if event is not None and tag_of(event.id) == reference.tag else "- -"
    return f"{reference.text()} {found.reason or reason} {what}"


def _by_endpoint(
    members: Sequence[tuple[bytes, float]], wanted: Mapping[EndpointId, int]
) -> dict[EndpointId, list[_Found]]:
    groups: dict[EndpointId, list[_Found]] = {}
    for member, at_ms in members:
        endpoint, _, rest = member.decode("utf-8", "replace").partition(" ")
        text, _, reason = rest.partition(" ")
        reference = _reference(text.encode())
        if reference is not None and endpoint in wanted:
            found = _Found("dead", member, reference, int(at_ms), reason=reason)
            groups.setdefault(EndpointId(endpoint), []).append(found)
    return groups


def _reference(text: bytes) -> Reference | None:
    try:
        return parse_reference(text)
    except ValueError:
        return None
