"""What was not delivered, and why: deliveries that were given up, and those that wait for a disabled endpoint."""

from dataclasses import dataclass

from redis.asyncio import Redis

from relay.domain.model import EndpointId, SourceUid
from relay.domain.references import Reference, parse_reference
from relay.store import keys


@dataclass(frozen=True, slots=True)
class Dead:
    """A delivery that was given up."""

    at_ms: int
    member: str
    """What stands in the set. Together with the time it says where, also once it is not there any more."""
    endpoint: EndpointId
    reference: Reference
    reason: str


class Undelivered:
    """Reads lists of undelivered events; nothing here changes one."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def dead(self, source: SourceUid, *, before: tuple[int, str] | None, limit: int) -> list[Dead]:
        """Up to `limit` deliveries that were given up, newest first; `before`: behind that time and member."""
        key = keys.dead(source)
        first = 0 if before is None else await self._down_to(key, *before)
        members = await self._redis.zrange(key, first, first + limit - 1, desc=True, withscores=True)
        return [_dead(member.decode(), int(at_ms)) for member, at_ms in members]

    async def _down_to(self, key: str, at_ms: int, member: str) -> int:
        """How many are as new as a member, itself included if it was not sent again meanwhile."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.zcount(key, f"({at_ms}", "+inf")
            pipe.zrangebyscore(key, at_ms, at_ms)
            newer, same = await pipe.execute()
        return int(newer) + sum(1 for other in same if other >= member.encode())

    async def waiting(
        self, source: SourceUid, endpoint: EndpointId, *, first: int, limit: int
    ) -> list[tuple[int, Reference]]:
        """Up to `limit` deliveries in an endpoint's lane, oldest first, from place `first` on, each with its place.

        Behind them come those that wait behind a blocked key. What waits for its next try is not among them, until the
        time for that has come.
        """
        blocked = await self._redis.hkeys(keys.blocked(source, endpoint))  # type: ignore[misc]
        lists = [keys.lane(source, endpoint), *(keys.waiting(source, endpoint, k.decode()) for k in sorted(blocked))]
        async with self._redis.pipeline(transaction=False) as pipe:
            for name in lists:
                pipe.llen(name)
            lengths = await pipe.execute()
            skip, wanted = first, limit
            for name, length in zip(lists, lengths, strict=True):
                if skip < length and wanted:
                    pipe.lrange(name, skip, skip + wanted - 1)
                    wanted -= min(wanted, length - skip)
                skip = max(0, skip - length)
            entries = [entry for found in await pipe.execute() for entry in found]
        return [(first + i, parse_reference(entry)) for i, entry in enumerate(entries[:limit])]


def _dead(member: str, at_ms: int) -> Dead:
    endpoint, reference, reason = member.split(" ", 2)
    return Dead(at_ms, member, EndpointId(endpoint), parse_reference(reference.encode()), reason)
