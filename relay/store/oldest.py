"""The oldest of all that was not delivered: only the fronts of the lists are read, in few round trips."""

from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from contextlib import suppress
from operator import itemgetter
from typing import Any, TypeVar

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline

from relay.domain.model import EndpointId, SourceUid
from relay.domain.references import number_of, parse_reference
from relay.store import keys
from relay.store.events import Events
from relay.store.fronts import FOREVER, Front, GivenUpFront, Waiting, WaitingFront
from relay.store.tallies import Pair

T = TypeVar("T")
Own = Collection[EndpointId] | None
"""The endpoints that are asked for. None: all."""

AT_ONCE = 500
"""Lists that are read in one round trip."""
NAMES_MOST = 100_000
"""Endpoints of all sources together whose names are read."""
LISTS_MOST = 10_000
"""Lists of dropped deliveries, lanes, and blocked keys: so many of each are read."""
DEEP = 1_000
"""Deliveries that are read of a list of those that wait, if there are few such lists."""
SHALLOW = 10
"""The same, if there are many."""
WAITING_MOST = 50_000
"""Deliveries that are read of all these lists, unless they are so many that `SHALLOW` of each are more."""


class Oldest:
    """Reads fronts. Its methods raise StoreUnavailable."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._events = Events(redis)

    async def given_up(self, sources: Sequence[SourceUid], own: Own) -> tuple[list[Front], bool]:
        """The lists of dead deliveries and of dropped ones; and whether these are all lists."""
        pairs, is_all = await self._named(keys.dropped_counts, sources, own)
        fronts: list[Front] = [GivenUpFront(source) for source in sources]
        return [*fronts, *(GivenUpFront(source, endpoint=endpoint) for endpoint, source in pairs)], is_all

    async def queues(self, sources: Sequence[SourceUid], own: Own) -> tuple[dict[Pair, list[str]], bool]:
        """The lists of waiting deliveries, by endpoint and source; and whether these are all lists."""
        pairs, is_all = await self._named(keys.owed, sources, own)
        lists: dict[Pair, list[str]] = {}
        async for pair, length in self._each(pairs, lambda pipe, pair: pipe.llen(keys.lane(*pair[::-1]))):
            if length:
                lists[pair] = [keys.lane(*pair[::-1])]
        blocking = [
            (pair, int(count))
            async for pair, count in self._each(pairs, lambda pipe, pair: pipe.hlen(keys.blocked(*pair[::-1])))
            if count
        ]
        left = LISTS_MOST
        few = [pair for pair, count in sorted(blocking, key=itemgetter(1)) if (left := left - count) >= 0]
        async for pair, names in self._each(few, lambda pipe, pair: pipe.hkeys(keys.blocked(*pair[::-1]))):
            blocked = (name.decode("utf-8", "replace") for name in sorted(names))
            lists[pair] = lists.get(pair, []) + [keys.waiting(*pair[::-1], key) for key in blocked]
        return lists, is_all and len(few) == len(blocking)

    async def waiting(self, queues: dict[Pair, list[str]]) -> tuple[list[Front], bool]:
        """The deliveries in some lists, by source; and whether the rest of each list is newer than those that are read.

        The oldest stand in front, and retries before all others. Deliveries that are sent again stand at the end.
        """
        lists = [(pair, name) for pair, names in queues.items() for name in names]
        depth = max(SHALLOW, min(DEEP, WAITING_MOST // max(1, len(lists))))
        fronts: dict[SourceUid, WaitingFront] = {}
        are_first_tries = True
        async for ((endpoint, source), _), texts in self._each(lists, lambda pipe, at: pipe.lrange(at[1], 0, depth)):
            numbered = ((number_of(text), text) for text in texts[:depth])
            front = fronts.setdefault(source, WaitingFront(source))
            front.add(Waiting(number, text, endpoint) for number, text in numbered if number is not None)
            if len(texts) > depth:
                front.known_to = min(front.known_to, number_of(texts[depth - 1]) or 0)
                are_first_tries = are_first_tries and _is_first_try(texts[depth - 1])
        deep = [source for source, front in fronts.items() if front.known_to < FOREVER]
        for front in fronts.values():
            front.order()
        revived = [count async for _, count in self._each(deep, lambda pipe, at: pipe.get(keys.revived(at)))]
        return list(fronts.values()), are_first_tries and not any(revived)

    async def fill(self, fronts: Collection[Front], own: Own, *, limit: int) -> int:
        """Read on in some lists; gives how many deliveries were read."""
        count = 0
        given_up = [front for front in fronts if isinstance(front, GivenUpFront)]
        async for front, found in self._each(given_up, _read_on):
            front.note(found, own)
            count += len(found)
        waiting = [front for front in fronts if isinstance(front, WaitingFront)]
        for first in range(0, len(waiting), AT_ONCE):
            some = waiting[first : first + AT_ONCE]
            events = await self._events.of({each.source: [one.number for one in each.next] for each in some})
            for each in some:
                count += len(each.next)
                each.note(events[each.source])
        for read in fronts:
            read.grow(limit)
        return count

    async def _named(
        self, key: Callable[[SourceUid], str], sources: Sequence[SourceUid], own: Own
    ) -> tuple[list[Pair], bool]:
        """The endpoints that a hash of each source names; and whether these are all."""
        sizes = [(source, int(n)) async for source, n in self._each(sources, lambda pipe, at: pipe.hlen(key(at))) if n]
        left = NAMES_MOST
        few = [source for source, size in sorted(sizes, key=itemgetter(1)) if (left := left - size) >= 0]
        pairs: list[Pair] = []
        async for source, names in self._each(few, lambda pipe, at: pipe.hkeys(key(at))):
            endpoints = (EndpointId(name.decode("utf-8", "replace")) for name in names)
            pairs += [(endpoint, source) for endpoint in endpoints if own is None or endpoint in own]
        return pairs[:LISTS_MOST], len(few) == len(sizes) and len(pairs) <= LISTS_MOST

    async def _each(
        self, things: Sequence[T], command: Callable[[Pipeline, T], object]
    ) -> AsyncGenerator[tuple[T, Any], None]:
        """Each thing with what the server answers to a command about it."""
        for first in range(0, len(things), AT_ONCE):
            some = things[first : first + AT_ONCE]
            async with self._redis.pipeline(transaction=False) as pipe:
                for thing in some:
                    command(pipe, thing)
                answers = await pipe.execute()
            for thing, answer in zip(some, answers, strict=True):
                yield thing, answer


def _read_on(pipe: Pipeline, front: GivenUpFront) -> None:
    name = keys.dropped(front.source, front.endpoint) if front.endpoint else keys.dead(front.source)
    pipe.zrangebyscore(name, front.read_ms, "+inf", start=front.skip, num=front.size, withscores=True)


def _is_first_try(text: bytes) -> bool:
    """Whether a list has no retries behind a delivery, because this one is none."""
    with suppress(ValueError):
        return parse_reference(text).attempt == 1
    return False
