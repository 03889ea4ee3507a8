"""What the consumers of pollers acknowledged."""

from typing import Literal

from redis.asyncio import Redis

from relay.domain.model import EndpointId
from relay.errors import Conflict
from relay.store import keys
from relay.store.scripts import script

CONSUMERS_AT_MOST = 100
"""Of one endpoint: each holds a bookmark of some hundred bytes."""
LIFE_MS = 90 * 86_400_000
Verb = Literal["resume", "acknowledge", "seek"]


class Consumers:
    """The consumers of all pollers. A bookmark is JSON without line feeds, and nothing here reads it."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def acknowledged(self, endpoint: EndpointId, consumer: str) -> bytes:
        """The bookmark that a consumer acknowledged; empty: none."""
        found = await self._redis.hget(keys.consumers(endpoint), consumer)  # type: ignore[misc]
        return bytes(found or b"").partition(b"\n")[0]

    async def turn(self, endpoint: EndpointId, consumer: str, verb: Verb, sent: bytes, *, given: bytes) -> None:
        """Note what a consumer sent, and the bookmark that it is given: see turn_consumer.lua for the verbs.

        Raises Conflict if another client has gone on with this consumer, or the endpoint has too many consumers.
        """
        answer = await script("turn_consumer")(
            self._redis, [keys.consumers(endpoint)], [consumer, verb, sent, given, CONSUMERS_AT_MOST, LIFE_MS]
        )
        if answer == b"passed":
            raise Conflict(
                f"another client polled as consumer {consumer} after this iterator was given. Poll without `iterator` "
                "to continue from what is acknowledged, and give each client a consumer id of its own"
            )
        if answer == b"many":
            raise Conflict(f"an endpoint has at most {CONSUMERS_AT_MOST} consumers: use the id of an existing one")
