"""Chores of upkeep: the first worker does one, and the others leave it alone for a while."""

from redis.asyncio import Redis

from relay.store import keys
from relay.store.scripts import script


class Chores:
    """Who does what. A chore may be done twice at once, which costs work and nothing else."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def take(self, chore: str, *, seconds: float) -> bool:
        """Take a chore for a time; False: another worker has it."""
        return bool(await script("take_chore")(self._redis, [keys.upkeep(chore)], [round(seconds * 1000)]))
