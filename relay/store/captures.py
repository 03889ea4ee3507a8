"""What was captured from answers: a value for an endpoint and a row, such as the id of a record in a CRM."""

from redis.asyncio import Redis

from relay.domain.model import EndpointId
from relay.store.capture_keys import captured

LONGEST_BYTES = 1024
"""Of a captured value, as JSON."""


class Captures:
    """All captured values. They live for `lives_s` after they were captured last."""

    def __init__(self, redis: Redis, *, lives_s: float) -> None:
        self._redis = redis
        self._lives_ms = max(1, round(lives_s * 1000))

    async def get(self, endpoint: EndpointId, key: str) -> bytes | None:
        """The JSON that was captured for a row; None: nothing. Raises StoreUnavailable."""
        found: bytes | None = await self._redis.get(captured(endpoint, key))
        return found

    async def put(self, endpoint: EndpointId, key: str, value: bytes) -> None:
        """Keep what was captured for a row. Raises StoreUnavailable."""
        await self._redis.set(captured(endpoint, key), value, px=self._lives_ms)
