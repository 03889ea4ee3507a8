"""What was not delivered, and why: deliveries that were given up, and those that wait for a disabled endpoint."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain

from redis.asyncio import Redis

from relay.domain.model import EndpointId, SourceUid
from relay.domain.references import Reference, number_of, parse_reference
from relay.errors import NotFound
from relay.store import book_keys, keys
from relay.store.scripts import script
from relay.store.timeline import Place, read_timeline

LOOK_AT_ONCE = 1000
RESENT_AT_ONCE = 500
_Delivery = tuple[EndpointId, int]
"""An endpoint, and the number of an event."""
_Members = defaultdict[_Delivery, list[bytes]]
"""Members of a list, by the deliveries that they stand for."""


@dataclass(frozen=True, slots=True)
class Dead:
    """A delivery that was given up. As long as it is listed, its event is kept."""

    at_ms: int
    member: str
    """The entry of the set. Together with the time it says where, also once it is not there any more."""
    endpoint: EndpointId
    reference: Reference | None
    """None: the entry can't be read. It goes when its time is over."""
    reason: str


@dataclass(frozen=True, slots=True)
class DroppedDelivery:
    """A delivery that was given up, and does not keep its event."""

    at_ms: int
    member: str
    reference: Reference | None
    reason: str
    message: str | None
    row: str | None


class Undelivered:
    """The lists of undelivered events, and how one of them is sent again."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def dead(
        self, source: SourceUid, *, edge: Place | None = None, newer: bool = False, limit: int
    ) -> list[Dead]:
        """Up to `limit` deliveries that were given up, the newest below `edge` first.

        With `newer`, the oldest at or above it come first.
        """
        found = await read_timeline(self._redis, keys.dead(source), edge=edge, newer=newer, limit=limit)
        return [read_dead(member, at_ms) for at_ms, member in found]

    async def dropped(
        self, source: SourceUid, endpoint: EndpointId, *, edge: Place | None = None, newer: bool = False, limit: int
    ) -> list[DroppedDelivery]:
        """Up to `limit` deliveries to an endpoint that were dropped, in the same order."""
        key = keys.dropped(source, endpoint)
        found = await read_timeline(self._redis, key, edge=edge, newer=newer, limit=limit)
        return [read_dropped(member, at_ms) for at_ms, member in found]

    async def dropped_for(self, source: SourceUid) -> list[EndpointId]:
        """The endpoints of which deliveries were dropped, in order."""
        endpoints = await self._redis.hkeys(keys.dropped_counts(source))  # type: ignore[misc]
        return [EndpointId(endpoint.decode()) for endpoint in sorted(endpoints)]

    async def waiting(
        self, source: SourceUid, endpoint: EndpointId, *, first: int, limit: int
    ) -> list[tuple[int, Reference | None]]:
        """Up to `limit` deliveries in an endpoint's lane, oldest first, from place `first` on, each with its place.

        Behind them come those that wait behind a blocked key. Deliveries that wait for their next try are not
        listed until it is due. None stands for what can't be read.
        """
        lengths = await self._lengths(source, endpoint)
        async with self._redis.pipeline(transaction=False) as pipe:
            skip, wanted = first, limit
            for name, length in lengths.items():
                if skip < length and wanted:
                    pipe.lrange(name, skip, skip + wanted - 1)
                    wanted -= min(wanted, length - skip)
                skip = max(0, skip - length)
            entries = [entry for found in await pipe.execute() for entry in found]
        return [(first + i, _reference(entry)) for i, entry in enumerate(entries[:limit])]

    async def count_waiting(self, source: SourceUid, endpoint: EndpointId) -> int:
        """How many deliveries `waiting` can list."""
        return sum((await self._lengths(source, endpoint)).values())

    async def _lengths(self, source: SourceUid, endpoint: EndpointId) -> dict[str, int]:
        """The lists of a lane, in order, with their lengths."""
        blocked = await self._redis.hkeys(keys.blocked(source, endpoint))  # type: ignore[misc]
        lists = [keys.lane(source, endpoint), *(keys.waiting(source, endpoint, k.decode()) for k in sorted(blocked))]
        async with self._redis.pipeline(transaction=False) as pipe:
            for name in lists:
                pipe.llen(name)
            return dict(zip(lists, map(int, await pipe.execute()), strict=True))

    async def replaced(self, source: SourceUid, deliveries: Iterable[_Delivery]) -> None:
        """Take dropped deliveries out of the list whose events are stored again under other numbers.

        Raises StoreUnavailable.
        """
        numbers_of: dict[EndpointId, set[int]] = {}
        for endpoint, number in deliveries:
            numbers_of.setdefault(endpoint, set()).add(number)
        for endpoint, numbers in numbers_of.items():
            key, gone = keys.dropped(source, endpoint), list[bytes]()
            async for member, _ in self._redis.zscan_iter(key, count=LOOK_AT_ONCE):
                if number_of(member) in numbers:
                    gone.append(member)
            for first in range(0, len(gone), RESENT_AT_ONCE):
                await self._redis.zrem(key, *gone[first : first + RESENT_AT_ONCE])

    async def resend(
        self, source: SourceUid, endpoint: EndpointId, reference: Reference, *, lost: bool = False
    ) -> None:
        """Put one delivery at the end of a lane (again), and out of those that were given up if it is there.

        `lost`: it is nowhere, although it has not ended, so that its event is still kept for it. Raises NotFound when
        its event is not kept any more.
        """
        form = f"?{reference.number}:*:{reference.tag}*"
        dead = await self._find(keys.dead(source), f"{endpoint} {form}")
        dropped = await self._find(keys.dropped(source, endpoint), form)
        (answer,) = await self._put_back(source, [_entry(endpoint, reference, dead, dropped, lost=lost)])
        if answer < 0:
            raise NotFound("the message is not kept any more, so it can't be sent again")

    async def resend_all(
        self, source: SourceUid, deliveries: Sequence[tuple[EndpointId, Reference]], *, listed: Collection[_Delivery]
    ) -> set[int]:
        """Put deliveries at the ends of their lanes again; gives the numbers of the events that are not kept any more.

        `listed`: those that the lists of undelivered ones may have. Each of these lists is read once.
        """
        dead, dropped = await self._listed(source, {each for each in deliveries if (each[0], each[1].number) in listed})
        gone = set[int]()
        for first in range(0, len(deliveries), RESENT_AT_ONCE):
            some = deliveries[first : first + RESENT_AT_ONCE]
            entries = [
                _entry(endpoint, ref, dead[endpoint, ref.number], dropped[endpoint, ref.number])
                for endpoint, ref in some
            ]
            answers = await self._put_back(source, entries)
            gone |= {ref.number for (_, ref), answer in zip(some, answers, strict=True) if answer < 0}
        return gone

    async def _put_back(self, source: SourceUid, entries: Iterable[Sequence[str | bytes | int]]) -> list[int]:
        names = [name(source) for name in (keys.lanes, keys.ready, keys.dead, keys.references, keys.owed)]
        names += [keys.revived(source), book_keys.book_sizes(source)]
        head = [keys.prefix(source), keys.EVENTS_PER_BUCKET, keys.WAKE_CHANNEL, source]
        answers = await script("resend_deliveries")(self._redis, names, [*head, *chain.from_iterable(entries)])
        return [int(answer) for answer in answers]

    async def _listed(
        self, source: SourceUid, deliveries: Collection[tuple[EndpointId, Reference]]
    ) -> tuple[_Members, _Members]:
        """The members that stand for some deliveries: of the dead ones, and of the dropped ones."""
        dead, dropped = _Members(list), _Members(list)
        tags = {(endpoint, reference.number): reference.tag for endpoint, reference in deliveries}
        if tags:
            async for member, _ in self._redis.zscan_iter(keys.dead(source), count=LOOK_AT_ONCE):
                found = read_dead(member.decode("utf-8", "replace"), 0)
                _note(dead, member, found.endpoint, found.reference, tags)
        for endpoint in sorted({endpoint for endpoint, _ in tags}):
            async for member, _ in self._redis.zscan_iter(keys.dropped(source, endpoint), count=LOOK_AT_ONCE):
                _note(dropped, member, endpoint, _reference(member.partition(b" ")[0]), tags)
        return dead, dropped

    async def _find(self, key: str, match: str) -> list[bytes]:
        # Looked for outside of the script, which would keep everybody waiting while it looks through all of them.
        return [member async for member, _ in self._redis.zscan_iter(key, match=match, count=LOOK_AT_ONCE)]


def _note(
    members: _Members, member: bytes, endpoint: EndpointId, reference: Reference | None, tags: Mapping[_Delivery, str]
) -> None:
    if reference is not None and tags.get((endpoint, reference.number)) == reference.tag:
        members[endpoint, reference.number].append(member)


def _entry(
    endpoint: EndpointId, reference: Reference, dead: Sequence[bytes], dropped: Sequence[bytes], *, lost: bool = False
) -> list[str | bytes | int]:
    """One delivery, as resend_deliveries.lua takes it."""
    return [endpoint, reference.text(), int(lost), len(dead), *dead, len(dropped), *dropped]


def read_dead(member: str, at_ms: int) -> Dead:
    """Read a member of the dead deliveries of a source."""
    endpoint, _, rest = member.partition(" ")
    text, _, reason = rest.partition(" ")
    return Dead(at_ms, member, EndpointId(endpoint), _reference(text.encode()), reason)


def read_dropped(member: str, at_ms: int) -> DroppedDelivery:
    """Read a member of the dropped deliveries to an endpoint."""
    text, reason, message, row = (*member.split(" "), "-", "-", "-")[:4]
    named = (None if name == "-" else name for name in (message, row))
    return DroppedDelivery(at_ms, member, _reference(text.encode()), reason, *named)


def _reference(text: bytes) -> Reference | None:
    with suppress(ValueError):
        return parse_reference(text)
    return None
