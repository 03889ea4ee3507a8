"""The tail over pub/sub: workers publish attempts while somebody listens. Nothing is kept."""

from collections.abc import AsyncGenerator

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from relay.domain.tail import Batch
from relay.errors import StoreUnavailable

TAIL_CHANNEL = "relay:tail"
"""Pub/sub: attempts that have ended, see relay.domain.tail. Workers publish while somebody listens."""
TAILED_CHANNEL = "relay:tailed"
"""Pub/sub: somebody listens to the tail. Told every two seconds; workers publish for some seconds more."""
VERSION = 1
"""What a batch begins with. A batch of another version cannot be read."""
TICK_S = 1.0

_HEAD = bytes([VERSION])
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Batch).decode


class Tail:
    """The channel of attempts, and the one that says that somebody listens."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def publish(self, batch: Batch) -> None:
        """Give attempts to all that listen. Raises StoreUnavailable."""
        await self._redis.publish(TAIL_CHANNEL, _HEAD + _encode(batch))

    async def want(self) -> None:
        """Tell workers that somebody listens. Raises StoreUnavailable."""
        await self._redis.publish(TAILED_CHANNEL, "")

    async def listen(self) -> AsyncGenerator[Batch | None, None]:
        """The batches that are published from now on.

        None comes first, as soon as nothing is missed any more, and then at least once a second. A batch that cannot be
        read is one lost entry. Raises StoreUnavailable when the connection is lost.
        """
        async with self._redis.pubsub() as channel:
            try:
                await channel.subscribe(TAIL_CHANNEL)
                while True:
                    message = await channel.get_message(timeout=TICK_S)
                    is_batch = message is not None and message["type"] == "message"
                    yield _read(message["data"]) if message is not None and is_batch else None
            except (RedisError, OSError) as error:
                raise StoreUnavailable(f"the tail of Redis was interrupted ({type(error).__name__})") from error


def _read(data: bytes) -> Batch:
    if data[:1] != _HEAD:
        return Batch([], lost=1)
    try:
        return _decode(memoryview(data)[1:])
    except msgspec.MsgspecError:
        return Batch([], lost=1)
