"""Endpoints for which the relay holds events back: their lanes are parked, or their breakers are open."""

from collections.abc import Collection, Sequence

from redis.asyncio import Redis

from relay.domain.breaking import parse_condition
from relay.domain.model import EndpointId, SourceUid
from relay.store import keys
from relay.store.tallies import Pair

AT_ONCE = 1_000


class HeldBack:
    """Reads which endpoints wait. No list of all endpoints is read."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def parked(self, streams: Sequence[SourceUid], *, most: int) -> set[Pair]:
        """Up to `most` lanes of each stream that are put aside, because their endpoint is disabled or paused, or rests.

        Raises StoreUnavailable.
        """
        async with self._redis.pipeline(transaction=False) as pipe:
            for stream in streams:
                pipe.zrange(keys.parked(stream), 0, most - 1)
            answers = await pipe.execute() if streams else []
        return {
            (EndpointId(bytes(name).decode()), stream)
            for stream, answer in zip(streams, answers, strict=True)
            for name in answer
        }

    async def open(self, *, most: int) -> set[EndpointId]:
        """Up to `most` endpoints whose breakers are open. While one is probed, its lane is not parked.

        Raises StoreUnavailable.
        """
        found: set[EndpointId] = set()
        async for name, text in self._redis.hscan_iter(keys.CONDITIONS, count=AT_ONCE):
            if parse_condition(text).opens:
                found.add(EndpointId(name.decode()))
            if len(found) >= most:
                break
        return found

    async def kept_in(self, streams: Sequence[SourceUid], endpoints: Collection[EndpointId]) -> set[Pair]:
        """The streams in which the relay keeps events for some endpoints. Raises StoreUnavailable."""
        names = list(endpoints)
        if not names:
            return set()
        async with self._redis.pipeline(transaction=False) as pipe:
            for stream in streams:
                pipe.hmget(keys.owed(stream), names)
            answers = await pipe.execute() if streams else []
        return {
            (name, stream)
            for stream, sizes in zip(streams, answers, strict=True)
            for name, size in zip(names, sizes, strict=True)
            if size is not None
        }
