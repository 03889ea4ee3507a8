"""Sending rights: the rate limits of endpoints and applications, one bucket each for all workers."""

from collections.abc import Mapping, Sequence

from redis.asyncio import Redis

from relay.store import keys
from relay.store.scripts import run_all, script


class Rates:
    """The buckets."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def take(self, wishes: Sequence[tuple[Mapping[str, int], int]]) -> list[tuple[int, float]]:
        """For each wish take up to so many rights from every bucket of its limits (name and rate a second).

        Gives how many there were, and the seconds until there is another one when there was none. One round trip.
        """
        take = script("take_tokens")
        calls = [(take, [keys.rate(bucket) for bucket in limits], [n, *limits.values()]) for limits, n in wishes]
        return [(int(given), int(wait_us) / 1_000_000) for given, wait_us in await run_all(self._redis, calls)]
