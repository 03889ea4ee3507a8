"""The queues of endpoints: how much waits in their lanes, and since when."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from redis.asyncio import Redis

from relay.domain.model import EndpointId, SourceUid
from relay.domain.references import parse_reference, tag_of
from relay.store import keys
from relay.store.events import Events
from relay.store.tallies import Pair

AT_ONCE = 500


class Queue(NamedTuple):
    """The deliveries that wait for an endpoint, in some streams together."""

    waiting: int = 0
    """Deliveries in lanes and in flight. Those that wait for a retry are not among them."""
    bytes: int = 0
    """Of the events that all deliveries that have not ended keep, also those that wait for a retry, and dead ones."""
    oldest_ms: int | None = None
    """When the oldest event at the head of a lane was stored; None: no lane has any."""

    def and_(self, other: "Queue") -> "Queue":
        """Both together."""
        times = [at_ms for at_ms in (self.oldest_ms, other.oldest_ms) if at_ms is not None]
        return Queue(self.waiting + other.waiting, self.bytes + other.bytes, min(times, default=None))


class Queues:
    """The queues of all endpoints."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._events = Events(redis)

    async def read(self, pairs: Sequence[Pair]) -> dict[EndpointId, Queue]:
        """The queues of some endpoints, each over its streams. Raises StoreUnavailable."""
        found = {endpoint: Queue() for endpoint, _ in pairs}
        for first in range(0, len(pairs), AT_ONCE):
            some = pairs[first : first + AT_ONCE]
            async with self._redis.pipeline(transaction=False) as pipe:
                for endpoint, stream in some:
                    pipe.llen(keys.lane(stream, endpoint))
                    pipe.scard(keys.flight(stream, endpoint))
                    pipe.hget(keys.owed(stream), endpoint)
                    pipe.lindex(keys.lane(stream, endpoint), 0)
                answers = await pipe.execute()
            heads = {pair: head for pair, head in zip(some, answers[3::4], strict=True) if head is not None}
            oldest = await self.stored_at(heads)
            for pair, waiting, flying, owed in zip(some, answers[::4], answers[1::4], answers[2::4], strict=True):
                size = int(owed) if owed and owed.isdigit() else 0
                found[pair[0]] = found[pair[0]].and_(Queue(waiting + flying, size, oldest.get(pair)))
        return found

    async def stored_at(self, heads: dict[Pair, bytes]) -> dict[Pair, int]:
        """When the events of some references were stored; without those that are not kept or cannot be read."""
        wanted: dict[SourceUid, dict[Pair, tuple[int, str]]] = {}
        for pair, head in heads.items():
            try:
                reference = parse_reference(head)
            except ValueError:
                continue
            wanted.setdefault(pair[1], {})[pair] = (reference.number, reference.tag)
        found: dict[Pair, int] = {}
        for stream, places in wanted.items():
            events = await self._events.read(stream, _numbers(places.values()))
            for pair, (number, tag) in places.items():
                if (event := events.get(number)) is not None and tag_of(event.id) == tag:
                    found[pair] = event.stored_at_ms
        return found


def _numbers(places: Iterable[tuple[int, str]]) -> set[int]:
    return {number for number, _ in places}
