"""Depths: how many deliveries wait, are in flight, wait for a retry or are dead, by stream and by endpoint.

Nothing is scanned for. A stream that owes nothing costs one command, and every other one a script for its endpoints
that are owed something.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from redis.asyncio import Redis

from relay.domain.model import EndpointId, SourceUid
from relay.domain.references import Reference, number_of, parse_reference
from relay.store import keys
from relay.store.queues import Queues
from relay.store.scripts import script

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


Heads = dict[tuple[SourceUid, bytes], list[EndpointId]]
"""The references of the oldest events of streams, with the endpoints whose oldest they are."""


class Depths:
    """Reads them."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._queues = Queues(redis)

    async def read(self, streams: Sequence[SourceUid]) -> Found:
        """The depths of some streams. Raises StoreUnavailable."""
        found, heads = Found({}, {}), Heads()
        for first in range(0, len(streams), STREAMS_AT_ONCE):
            some = streams[first : first + STREAMS_AT_ONCE]
            for stream, owed in zip(some, await self._owed(some), strict=True):
                for part in _parts(owed):
                    _take_in(found, heads, stream, part, await self._depths(stream, part))
        await self._date(found, heads)
        return found

    async def _owed(self, streams: Sequence[SourceUid]) -> list[list[bytes]]:
        async with self._redis.pipeline(transaction=False) as pipe:
            for stream in streams:
                pipe.hkeys(keys.owed(stream))
            return list(await pipe.execute())

    async def _depths(self, stream: SourceUid, endpoints: Sequence[EndpointId]) -> Sequence[Any]:
        names = [keys.references(stream), keys.due(stream), keys.dead(stream)]
        answer: Sequence[Any] = await script("read_depths")(self._redis, names, [keys.prefix(stream), *endpoints])
        return answer

    async def _date(self, found: Found, heads: Heads) -> None:
        """Find out when the oldest events were stored. Many endpoints have the same one."""
        oldest = sorted(heads, key=lambda head: number_of(head[1]) or 0)[:HEADS]
        stored = await self._queues.oldest_of({(heads[head][0], head[0]): _read(head[1]) for head in oldest})
        for head in oldest:
            of_head = stored.get((heads[head][0], head[0]))
            for endpoint in heads[head]:
                found.endpoints[endpoint].add(0, of_head.stored_at_ms if of_head else None)


def _read(reference: bytes) -> Reference | None:
    try:
        return parse_reference(reference)
    except ValueError:
        return None


def _parts(owed: Sequence[bytes]) -> Iterator[list[EndpointId]]:
    for first in range(0, len(owed), ENDPOINTS_AT_ONCE):
        yield [EndpointId(name.decode()) for name in owed[first : first + ENDPOINTS_AT_ONCE]]


def _take_in(
    found: Found, heads: Heads, stream: SourceUid, endpoints: Sequence[EndpointId], answer: Sequence[Any]
) -> None:
    total, retry, dead, *depths = answer
    of_stream = found.streams.setdefault(stream, StreamDepth())
    of_stream.retry, of_stream.dead = retry, dead
    for endpoint, (lane, flight, replay, oldest) in zip(endpoints, depths, strict=True):
        of_stream.lane += lane
        of_stream.flight += flight
        of_stream.replay += replay
        found.endpoints.setdefault(endpoint, Depth()).add(lane + flight, None)
        if oldest:
            heads.setdefault((stream, oldest), []).append(endpoint)
    elsewhere = of_stream.lane + of_stream.flight + of_stream.replay + retry + dead
    of_stream.behind = max(0, total - elsewhere)
