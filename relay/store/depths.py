"""Depths: how many deliveries wait, are in flight, wait for a retry or are dead, by stream and by endpoint.

Nothing is scanned for. A stream that owes nothing costs one command, and every other one a script for its endpoints
that are owed something.
"""

from collections.abc import Collection, Sequence
from typing import Any

import msgspec
from redis.asyncio import Redis

from relay.domain.model import EndpointId, SourceUid
from relay.domain.references import number_of
from relay.store import keys
from relay.store.queues import Queues
from relay.store.scripts import Call, run_all, script
from relay.store.tallies import Pair

ENDPOINTS_AT_ONCE = 500
"""Of one script: a millisecond of the server's time, about."""
STREAMS_AT_ONCE = 500
HEADS = 1_000
"""Events of which it is read when they were stored, the oldest of each stream first: they come with their bodies."""


class Depth(msgspec.Struct):
    """The deliveries of an endpoint that have not been attempted, or not to the end."""

    waiting: int = 0
    """In lanes, and in flight."""
    oldest_ms: int | None = None
    """When the oldest of their events was stored; None: there is none, or it cannot be read."""

    def add(self, waiting: int, oldest_ms: int | None) -> None:
        """Add those of another stream, or of another endpoint."""
        self.waiting += waiting
        if oldest_ms is not None:
            self.oldest_ms = oldest_ms if self.oldest_ms is None else min(self.oldest_ms, oldest_ms)


class StreamDepth(msgspec.Struct):
    """The deliveries of a stream that have not ended."""

    lane: int = 0
    flight: int = 0
    replay: int = 0
    """In lists of replays, which wait behind lanes."""
    retry: int = 0
    behind: int = 0
    """Behind a key of an ordered endpoint."""
    dead: int = 0

    def add(self, other: "StreamDepth") -> None:
        """Add those of another stream."""
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def by_state(self) -> dict[str, int]:
        """The numbers by the words that metrics use."""
        return {
            "waiting": self.lane, "in_flight": self.flight, "replay": self.replay, "retry": self.retry,
            "behind_key": self.behind, "dead": self.dead,
        }  # fmt: skip


class Found(msgspec.Struct):
    """The depths of all streams."""

    streams: dict[SourceUid, StreamDepth]
    """Those that owe something."""
    endpoints: dict[EndpointId, Depth]
    """Those that are owed something, also deleted ones."""


class Depths:
    """Reads them."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._queues = Queues(redis)

    async def read(self, streams: Sequence[SourceUid]) -> Found:
        """The depths of some streams. Raises StoreUnavailable."""
        found, heads = Found({}, {}), dict[Pair, bytes]()
        for first in range(0, len(streams), STREAMS_AT_ONCE):
            some = streams[first : first + STREAMS_AT_ONCE]
            owed = {stream: each for stream, each in zip(some, await self._owed(some), strict=True) if each}
            calls = [(stream, part, _call(stream, part)) for stream, each in owed.items() for part in _parts(each)]
            answers = await run_all(self._redis, [call for *_, call in calls])
            for (stream, part, _), answer in zip(calls, answers, strict=True):
                _take_in(found, heads, stream, part, answer)
        oldest = await self._queues.stored_at(_oldest(heads))
        for (endpoint, _), at_ms in oldest.items():
            found.endpoints[endpoint].add(0, at_ms)
        return found

    async def _owed(self, streams: Sequence[SourceUid]) -> list[list[EndpointId]]:
        async with self._redis.pipeline(transaction=False) as pipe:
            for stream in streams:
                pipe.hkeys(keys.owed(stream))
            return [[EndpointId(name.decode()) for name in names] for names in await pipe.execute()]


def _parts(endpoints: Sequence[EndpointId]) -> list[Sequence[EndpointId]]:
    return [endpoints[first : first + ENDPOINTS_AT_ONCE] for first in range(0, len(endpoints), ENDPOINTS_AT_ONCE)]


def _oldest(heads: dict[Pair, bytes]) -> dict[Pair, bytes]:
    """Those of the oldest events, so that at most HEADS are read."""
    ordered = sorted(heads, key=lambda pair: number_of(heads[pair]) or 0)
    chosen = set(list(dict.fromkeys((pair[1], number_of(heads[pair])) for pair in ordered))[:HEADS])
    return {pair: heads[pair] for pair in ordered if (pair[1], number_of(heads[pair])) in chosen}


def _call(stream: SourceUid, endpoints: Collection[EndpointId]) -> Call:
    names = [keys.references(stream), keys.due(stream), keys.dead(stream)]
    return script("read_depths"), names, [keys.prefix(stream), *endpoints]


def _take_in(
    found: Found, heads: dict[Pair, bytes], stream: SourceUid, endpoints: Sequence[EndpointId], answer: Sequence[Any]
) -> None:
    total, retry, dead, *depths = answer
    of_stream = found.streams.setdefault(stream, StreamDepth())
    of_stream.retry, of_stream.dead = retry, dead
    for endpoint, (lane, flight, replay, oldest) in zip(endpoints, depths, strict=True):
        of_stream.lane += lane
        of_stream.flight += flight
        of_stream.replay += replay
        found.endpoints.setdefault(endpoint, Depth()).add(lane + flight, None)
        if number_of(oldest) is not None:
            heads[endpoint, stream] = oldest
    elsewhere = of_stream.lane + of_stream.flight + of_stream.replay + retry + dead
    of_stream.behind = max(0, total - elsewhere)
