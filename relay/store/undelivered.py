"""What was not delivered, and why: deliveries that were given up, and those that wait for a disabled endpoint."""

from dataclasses import dataclass

from redis.asyncio import Redis

from relay.domain.model import EndpointId, SourceUid
from relay.domain.references import Reference, parse_reference
from relay.store import keys


@dataclass(frozen=True, slots=True)
class Dead:
    """A delivery that was given up. `position` orders them; newer ones are greater."""

    position: str
    at_ms: int
    endpoint: EndpointId
    reference: Reference
    reason: str


class Undelivered:
    """Reads lists of undelivered events; nothing here changes one."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def dead(self, source: SourceUid, *, before: str | None, limit: int) -> list[Dead]:
        """Up to `limit` deliveries that were given up, newest first; `before`: older than that position."""
        key = keys.dead(source)
        first = 0
        if before is not None:
            rank = await self._redis.zrevrank(key, before)
            if rank is None:
                return []
            first = int(rank) + 1
        members = await self._redis.zrange(key, first, first + limit - 1, desc=True, withscores=True)
        return [_dead(member.decode(), int(at_ms)) for member, at_ms in members]

    async def waiting(
        self, source: SourceUid, endpoint: EndpointId, *, first: int, limit: int
    ) -> list[tuple[int, Reference]]:
        """Up to `limit` deliveries in an endpoint's lane, oldest first, from place `first` on, each with its place."""
        entries = await self._redis.lrange(keys.lane(source, endpoint), first, first + limit - 1)  # type: ignore[misc]
        return [(first + i, parse_reference(entry)) for i, entry in enumerate(entries)]


def _dead(member: str, at_ms: int) -> Dead:
    endpoint, reference, reason = member.split(" ", 2)
    return Dead(member, at_ms, EndpointId(endpoint), parse_reference(reference.encode()), reason)
