"""Notices between processes over pub/sub: quick, and not to be relied on. Whoever misses one finds out by itself."""

from collections.abc import AsyncGenerator

from redis.asyncio import Redis
from redis.exceptions import RedisError

from relay.domain.model import SourceUid
from relay.errors import StoreUnavailable
from relay.store import keys

QUIET_S = 5.0


class Notices:
    """Hears of changes of the configuration and of new work."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def listen(self) -> AsyncGenerator[SourceUid | None, None]:
        """None for a change of the configuration (and once at the start), else the source that has new work.

        Raises StoreUnavailable when the connection is lost.
        """
        async with self._redis.pubsub() as channel:
            try:
                await channel.subscribe(keys.CHANGED_CHANNEL, keys.WAKE_CHANNEL)
                yield None
                while True:
                    message = await channel.get_message(ignore_subscribe_messages=True, timeout=QUIET_S)
                    if message is None:
                        continue
                    yield SourceUid(message["data"].decode()) if message["channel"] == WAKE else None
            except (RedisError, OSError) as error:
                raise StoreUnavailable(f"the notices of Redis were interrupted ({type(error).__name__})") from error


WAKE = keys.WAKE_CHANNEL.encode()
