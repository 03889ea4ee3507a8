"""Notices between processes over pub/sub: quick, but not reliable. A process that misses one finds out by itself."""

from collections.abc import AsyncGenerator
from typing import NamedTuple

from redis.asyncio import Redis
from redis.exceptions import RedisError

from relay.domain.model import EndpointId, SourceUid
from relay.errors import StoreUnavailable
from relay.store import keys
from relay.store.tail import TAILED_CHANNEL

QUIET_S = 5.0


class Changed(NamedTuple):
    """The configuration changed."""


class Woken(NamedTuple):
    """A source has new work in its lanes."""

    source: SourceUid


class ConditionChanged(NamedTuple):
    """What is remembered of an endpoint was changed by a session, or by the API."""

    endpoint: EndpointId
    session: str


class Room(NamedTuple):
    """The worker of a session has room for more work."""

    session: str


class Expunged(NamedTuple):
    """The content of an event of a source was removed; None: that may have been missed, of any source."""

    source: SourceUid | None


class Tailed(NamedTuple):
    """Somebody listens to the tail."""


Notice = Changed | Woken | ConditionChanged | Room | Expunged | Tailed


class Notices:
    """Hears of changes of the configuration and of new work."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def tell_room(self, session: str) -> None:
        """Tell the other workers that this one has room for more work. Raises StoreUnavailable."""
        await self._redis.publish(keys.ROOM_CHANNEL, session)

    async def listen(self) -> AsyncGenerator[Notice, None]:
        """What others tell; at the start, Expunged and Changed, for what was missed.

        Raises StoreUnavailable when the connection is lost.
        """
        async with self._redis.pubsub() as channel:
            try:
                await channel.subscribe(*keys.CHANNELS, TAILED_CHANNEL)
                yield Expunged(None)
                yield Changed()
                while True:
                    message = await channel.get_message(ignore_subscribe_messages=True, timeout=QUIET_S)
                    if message is None:
                        continue
                    yield _read(message["channel"].decode(), message["data"].decode())
            except (RedisError, OSError) as error:
                raise StoreUnavailable(f"the notices of Redis were interrupted ({type(error).__name__})") from error


def _read(channel: str, text: str) -> Notice:
    if channel == keys.WAKE_CHANNEL:
        return Woken(SourceUid(text))
    if channel == keys.CONDITION_CHANNEL:
        endpoint, _, session = text.partition(" ")
        return ConditionChanged(EndpointId(endpoint), session)
    if channel == keys.ROOM_CHANNEL:
        return Room(text)
    if channel == keys.EXPUNGED_CHANNEL:
        return Expunged(SourceUid(text))
    return Tailed() if channel == TAILED_CHANNEL else Changed()
