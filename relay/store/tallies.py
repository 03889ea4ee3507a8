"""Tallies of endpoints, read from all of their streams. relay/store/scripts/shared/tallies.lua writes them."""

from collections.abc import Sequence

from redis.asyncio import Redis

from relay.domain.model import EndpointId, SourceUid
from relay.domain.tallies import Buckets, Unit, merge_into, read_ended, read_under_way
from relay.store import tally_keys

Pair = tuple[EndpointId, SourceUid]
"""An endpoint, and a stream that it gets events of."""
AT_ONCE = 200
"""Endpoints of a stream in one round trip: each has at most some kilobytes."""


class Tallies:
    """The tallies of all endpoints."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def read(self, pairs: Sequence[Pair], unit: Unit, *, newest: int) -> dict[EndpointId, Buckets]:
        """The buckets of some endpoints, merged over streams: the newest that have attempts, with the one under way.

        `newest`: how many buckets of each pair to read at most. Raises StoreUnavailable.
        """
        found: dict[EndpointId, Buckets] = {endpoint: {} for endpoint, _ in pairs}
        for first in range(0, len(pairs), AT_ONCE):
            some = pairs[first : first + AT_ONCE]
            async with self._redis.pipeline(transaction=False) as pipe:
                for endpoint, stream in some:
                    # In this order: a minute that ends in between is read twice, and not missed.
                    # MGET passes over a key of another type, which is damage.
                    pipe.mget(tally_keys.tally(stream, endpoint))
                    pipe.lrange(tally_keys.ended(stream, endpoint, unit), -newest, -1)
                answers = await pipe.execute()
            for (endpoint, _), current, ended in zip(some, answers[::2], answers[1::2], strict=True):
                read = [read_ended(bytes(each).decode("ascii", "replace")) for each in ended]
                numbers = {at for at, _ in read}
                merge_into(found[endpoint], read)
                under_way = read_under_way(bytes(current[0] or b"").decode("ascii", "replace"), unit)
                merge_into(found[endpoint], (each for each in under_way if each[0] not in numbers))
        return found

    async def failing(self, streams: Sequence[SourceUid], *, since_ms: int, most: int) -> dict[Pair, int]:
        """The endpoints whose last failure is not older, with its ms; of each stream at most so many, the newest.

        Raises StoreUnavailable.
        """
        async with self._redis.pipeline(transaction=False) as pipe:
            for stream in streams:
                pipe.zrevrangebyscore(tally_keys.failing(stream), "+inf", since_ms, start=0, num=most, withscores=True)
            answers = await pipe.execute()
        return {
            (EndpointId(bytes(name).decode()), stream): int(at_ms)
            for stream, answer in zip(streams, answers, strict=True)
            for name, at_ms in answer
        }
