"""Depths: how many deliveries wait, are in flight, wait for a retry or are dead, by stream and by endpoint.

A stream that owes nothing costs one command, and every other one a script for its endpoints that are owed something.
The same script looks at the retries, of which no count is kept for each endpoint.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from redis.asyncio import Redis

from relay.domain.model import EndpointId, SourceUid
from relay.domain.references import Reference, number_of, parse_reference, tag_of
from relay.store import keys
from relay.store.events import Events
from relay.store.scripts import script

ENDPOINTS_AT_ONCE = 500
"""Of one script: a millisecond of the server's time, about."""
STREAMS_AT_ONCE = 500
RETRIES_AT_ONCE = 2_000
"""Of one script: about 5 ms of the server's time."""
MOST_RETRIES = 10_000
"""Looked at in one reading, over all streams, those that are due next first."""
HEADS = 1_000
"""Events of which it is read when they were stored, the oldest of each stream first: they come with their bodies."""


class Depth(msgspec.Struct):
    """The deliveries of an endpoint that have not been attempted, or not to the end."""

    waiting: int = 0
    """In lanes, and in flight."""
    ready_ms: int | None = None
    """When the oldest of their events was stored; None: there is none, or it cannot be read."""
    oldest_ms: int | None = None
    """The same, with the deliveries that wait for a retry."""

    def add(self, other: "Depth") -> None:
        """Add those of another endpoint."""
        self.waiting += other.waiting
        self.ready_ms = _earlier(self.ready_ms, other.ready_ms)
        self.oldest_ms = _earlier(self.oldest_ms, other.oldest_ms)

    def date(self, stored_ms: int, *, is_retry: bool) -> None:
        """Take in when the event of a delivery was stored."""
        self.oldest_ms = _earlier(self.oldest_ms, stored_ms)
        if not is_retry:
            self.ready_ms = _earlier(self.ready_ms, stored_ms)


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


Head = tuple[SourceUid, bytes]
"""The reference of an event of a stream."""
Heads = dict[Head, list[tuple[EndpointId, bool]]]
"""The oldest events of streams, with the endpoints whose oldest they are, and whether these wait for a retry of it."""


class Depths:
    """Reads them."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._events = Events(redis)

    async def read(self, streams: Sequence[SourceUid]) -> Found:
        """The depths of some streams. Raises StoreUnavailable."""
        found, heads, left = Found({}, {}), Heads(), MOST_RETRIES
        for first in range(0, len(streams), STREAMS_AT_ONCE):
            some = streams[first : first + STREAMS_AT_ONCE]
            for stream, owed in zip(some, await self._owed(some), strict=True):
                if owed:
                    left -= await self._read(found, heads, stream, owed, left)
        await self._date(found, heads)
        return found

    async def _read(self, found: Found, heads: Heads, stream: SourceUid, owed: Sequence[bytes], most: int) -> int:
        """Read a stream with `most` of its retries. Gives how many these were."""
        of_stream = found.streams.setdefault(stream, StreamDepth())
        parts, looked_at, retries = _parts(owed), 0, dict[EndpointId, bytes]()
        while (part := next(parts, ())) or looked_at < min(most, of_stream.retry):
            until = min(looked_at + RETRIES_AT_ONCE, most)
            answer = await self._ask(stream, looked_at, until, part)
            looked_at = until
            for endpoint, reference in _take_in(found, of_stream, part, answer):
                heads.setdefault((stream, reference), []).append((endpoint, False))
            _keep_oldest(retries, answer[3])
        for endpoint, reference in retries.items():
            found.endpoints.setdefault(endpoint, Depth())
            heads.setdefault((stream, reference), []).append((endpoint, True))
        return min(looked_at, of_stream.retry)

    async def _owed(self, streams: Sequence[SourceUid]) -> list[list[bytes]]:
        async with self._redis.pipeline(transaction=False) as pipe:
            for stream in streams:
                pipe.hkeys(keys.owed(stream))
            return list(await pipe.execute())

    async def _ask(self, stream: SourceUid, first: int, until: int, endpoints: Sequence[EndpointId]) -> Sequence[Any]:
        names = [keys.references(stream), keys.due(stream), keys.dead(stream)]
        arguments = [keys.prefix(stream), first, until - first, *endpoints]
        answer: Sequence[Any] = await script("read_depths")(self._redis, names, arguments)
        return answer

    async def _date(self, found: Found, heads: Heads) -> None:
        """Find out when the oldest events were stored. Many endpoints have the same one."""
        oldest = sorted(heads, key=lambda head: number_of(head[1]) or 0)[:HEADS]
        for stream in {stream for stream, _ in oldest}:
            references = {head: _parsed(head[1]) for head in oldest if head[0] == stream}
            events = await self._events.read(stream, {each.number for each in references.values() if each})
            for head, reference in references.items():
                event = events.get(reference.number) if reference else None
                if reference is not None and event is not None and tag_of(event.id) == reference.tag:
                    for endpoint, is_retry in heads[head]:
                        found.endpoints[endpoint].date(event.stored_at_ms, is_retry=is_retry)


def _parsed(reference: bytes) -> Reference | None:
    try:
        return parse_reference(reference)
    except ValueError:
        return None


def _parts(owed: Sequence[bytes]) -> Iterator[list[EndpointId]]:
    for first in range(0, len(owed), ENDPOINTS_AT_ONCE):
        yield [EndpointId(name.decode()) for name in owed[first : first + ENDPOINTS_AT_ONCE]]


def _take_in(
    found: Found, of_stream: StreamDepth, endpoints: Sequence[EndpointId], answer: Sequence[Any]
) -> Iterator[tuple[EndpointId, bytes]]:
    """Take in an answer of the script. Gives each endpoint's oldest event in its lane or in flight."""
    total, of_stream.retry, of_stream.dead, _, *depths = answer
    for endpoint, (lane, flight, replay, oldest) in zip(endpoints, depths, strict=True):
        of_stream.lane += lane
        of_stream.flight += flight
        of_stream.replay += replay
        found.endpoints.setdefault(endpoint, Depth()).waiting += lane + flight
        if oldest:
            yield endpoint, oldest
    elsewhere = of_stream.lane + of_stream.flight + of_stream.replay + of_stream.retry + of_stream.dead
    of_stream.behind = max(0, total - elsewhere)


def _keep_oldest(retries: dict[EndpointId, bytes], members: Sequence[bytes]) -> None:
    for member in members:
        name, _, reference = member.partition(b" ")
        endpoint = EndpointId(name.decode("utf-8", "replace"))
        if endpoint not in retries or (number_of(reference) or 0) < (number_of(retries[endpoint]) or 0):
            retries[endpoint] = reference


def _earlier(one_ms: int | None, other_ms: int | None) -> int | None:
    return min((each for each in (one_ms, other_ms) if each is not None), default=None)
