"""The queues of endpoints: how many deliveries wait, wherever they stand, and which of them is the oldest."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from redis.asyncio import Redis

from relay.domain.model import EndpointId, SourceUid
from relay.domain.references import Reference, parse_reference, tag_of
from relay.store import keys
from relay.store.events import Events
from relay.store.retries import Retries, read_retries
from relay.store.tallies import Pair

AT_ONCE = 500
BLOCKED_AT_MOST = 1_000
"""Keys of an endpoint behind which deliveries are counted."""


class Oldest(NamedTuple):
    """The oldest event that waits for an endpoint."""

    stored_at_ms: int
    row_id: str
    """Empty: it is a post."""


class Queue(NamedTuple):
    """The deliveries that wait for an endpoint, in some streams together."""

    waiting: int = 0
    """Deliveries in lanes, behind a blocked key, in flight, and those that wait for a retry."""
    retrying: int = 0
    """Those of them that wait for a retry."""
    bytes: int = 0
    """Of the events that all deliveries that have not ended keep, also those of dead ones."""
    oldest: Oldest | None = None
    """None: nothing waits, or its event cannot be read."""
    complete: bool = True
    """Everything that waits was counted."""

    def and_(self, other: "Queue") -> "Queue":
        """Both together."""
        oldest = min((each for each in (self.oldest, other.oldest) if each is not None), default=None)
        return Queue(
            self.waiting + other.waiting,
            self.retrying + other.retrying,
            self.bytes + other.bytes,
            oldest,
            self.complete and other.complete,
        )


class _Stood(NamedTuple):
    """The deliveries in the lane of a pair."""

    waiting: int
    size: int
    references: list[bytes]
    """Among them is the oldest."""
    blocked: int


class Queues:
    """The queues of all endpoints."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._events = Events(redis)

    async def read(self, pairs: Sequence[Pair]) -> dict[EndpointId, Queue]:
        """The queues of some endpoints, each over its streams. Raises StoreUnavailable."""
        stood = await self._lanes(pairs)
        behind = await self._behind([pair for pair, each in stood.items() if each.blocked])
        retries, complete = await read_retries(self._redis, stood)
        oldest = await self.oldest_of({pair: _oldest_of(each, retries.get(pair)) for pair, each in stood.items()})
        found: dict[EndpointId, Queue] = {endpoint: Queue() for endpoint, _ in pairs}
        for pair, each in stood.items():
            retrying = retries[pair].number if pair in retries else 0
            waiting = each.waiting + behind.get(pair, 0) + retrying
            is_whole = complete and each.blocked <= BLOCKED_AT_MOST
            found[pair[0]] = found[pair[0]].and_(Queue(waiting, retrying, each.size, oldest.get(pair), is_whole))
        return found

    async def _lanes(self, pairs: Sequence[Pair]) -> dict[Pair, _Stood]:
        stood: dict[Pair, _Stood] = {}
        for first in range(0, len(pairs), AT_ONCE):
            some = pairs[first : first + AT_ONCE]
            async with self._redis.pipeline(transaction=False) as pipe:
                for endpoint, stream in some:
                    pipe.llen(keys.lane(stream, endpoint))
                    pipe.lindex(keys.lane(stream, endpoint), 0)
                    pipe.smembers(keys.flight(stream, endpoint))
                    pipe.hget(keys.owed(stream), endpoint)
                    pipe.hlen(keys.blocked(stream, endpoint))
                answers = iter(await pipe.execute())
            for pair in some:
                length, head, flying, owed, blocked = (next(answers) for _ in range(5))
                size = int(owed) if owed and owed.isdigit() else 0
                heads = [head] if head is not None else []
                stood[pair] = _Stood(length + len(flying), size, [*heads, *flying], blocked)
        return stood

    async def _behind(self, pairs: Sequence[Pair]) -> dict[Pair, int]:
        """How many deliveries wait behind blocked keys: all of them are newer than one that is in flight or due."""
        counts: dict[Pair, int] = {}
        for endpoint, stream in pairs:
            blocked = await self._redis.hkeys(keys.blocked(stream, endpoint))  # type: ignore[misc]
            async with self._redis.pipeline(transaction=False) as pipe:
                for key in blocked[:BLOCKED_AT_MOST]:
                    pipe.llen(keys.waiting(stream, endpoint, key.decode("utf-8", "replace")))
                counts[endpoint, stream] = sum(map(int, await pipe.execute()))
        return counts

    async def oldest_of(self, references: Mapping[Pair, Reference | None]) -> dict[Pair, Oldest]:
        """What is known of the events of some references; without those that are not kept or cannot be read."""
        wanted: dict[SourceUid, dict[Pair, Reference]] = {}
        for pair, reference in references.items():
            if reference is not None:
                wanted.setdefault(pair[1], {})[pair] = reference
        found: dict[Pair, Oldest] = {}
        for stream, places in wanted.items():
            events = await self._events.read(stream, {each.number for each in places.values()})
            for pair, reference in places.items():
                event = events.get(reference.number)
                if event is not None and tag_of(event.id) == reference.tag:
                    found[pair] = Oldest(event.stored_at_ms, event.row_id)
        return found


def _oldest_of(stood: _Stood, retries: Retries | None) -> Reference | None:
    """The reference with the lowest number: events are numbered as they are stored."""
    found = [*_read(stood.references), *([retries.oldest] if retries else [])]
    return min(found, key=lambda each: each.number, default=None)


def _read(references: Iterable[bytes]) -> Iterable[Reference]:
    for each in references:
        with suppress(ValueError):
            yield parse_reference(each)
