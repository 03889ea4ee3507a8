"""Sending rights: the rate limits of endpoints and applications, one bucket each for all workers."""

from collections.abc import Mapping

from redis.asyncio import Redis

from relay.store import keys
from relay.store.scripts import script


class Rates:
    """The buckets."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def take(self, limits: Mapping[str, int], *, wanted: int) -> tuple[int, float]:
        """Take up to `wanted` rights from every bucket of `limits` (its name and its rate a second).

        Gives how many there were, and the seconds until there is another one when there was none.
        """
        given, wait_us = await script("take_tokens")(
            self._redis, [keys.rate(bucket) for bucket in limits], [wanted, *limits.values()]
        )
        return int(given), int(wait_us) / 1_000_000
