"""Changes of expressions after which dead deliveries are to be sent again. save_configuration.lua writes them down."""

from typing import NamedTuple, get_args

from redis.asyncio import Redis

from relay.domain.model import EndpointId
from relay.domain.replaying import Failed
from relay.store import replay_keys
from relay.store.scripts import script

REASONS: tuple[Failed, ...] = get_args(Failed)


class Correction(NamedTuple):
    """The last change of an endpoint that may cure deliveries of a reason."""

    endpoint: EndpointId
    reason: Failed
    at_ms: int


class Corrections:
    """All of them."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def before(self, ms: int) -> list[Correction]:
        """Those that were made before a time, oldest first. Raises StoreUnavailable."""
        found = await self._redis.hgetall(replay_keys.CORRECTIONS)  # type: ignore[misc]
        read = [_read(field.decode("utf-8", "replace"), at) for field, at in found.items()]
        return sorted((each for each in read if each is not None and each.at_ms < ms), key=lambda each: each.at_ms)

    async def forget(self, correction: Correction) -> None:
        """Its task has begun. One that was made since stays. Raises StoreUnavailable."""
        field = f"{correction.endpoint} {correction.reason}"
        await script("end_correction")(self._redis, [replay_keys.CORRECTIONS], [field, correction.at_ms])


def _read(field: str, at: bytes) -> Correction | None:
    endpoint, _, text = field.partition(" ")
    reason = next((each for each in REASONS if each == text), None)
    return Correction(EndpointId(endpoint), reason, int(at)) if reason is not None and at.isdigit() else None
