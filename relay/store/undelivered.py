"""What was not delivered, and why: deliveries that were given up, and those that wait for a disabled endpoint."""

from contextlib import suppress
from dataclasses import dataclass

from redis.asyncio import Redis

from relay.domain.model import EndpointId, SourceUid
from relay.domain.references import Reference, parse_reference
from relay.errors import NotFound
from relay.store import keys
from relay.store.scripts import script

LOOK_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Dead:
    """A delivery that was given up. As long as it is listed, its event is kept."""

    at_ms: int
    member: str
    """What stands in the set. Together with the time it says where, also once it is not there any more."""
    endpoint: EndpointId
    reference: Reference | None
    """None: what stands there can't be read. It goes when its time is over."""
    reason: str


@dataclass(frozen=True, slots=True)
class DroppedDelivery:
    """A delivery that was given up, and does not keep its event."""

    at_ms: int
    member: str
    reference: Reference | None
    reason: str
    message: str | None
    row: str | None


class Undelivered:
    """The lists of undelivered events, and how one of them is sent again."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def dead(self, source: SourceUid, *, before: tuple[int, str] | None, limit: int) -> list[Dead]:
        """Up to `limit` deliveries that were given up, newest first; `before`: behind that time and member."""
        members = await self._newest_first(keys.dead(source), before, limit)
        return [_dead(member, at_ms) for member, at_ms in members]

    async def dropped(
        self, source: SourceUid, endpoint: EndpointId, *, before: tuple[int, str] | None, limit: int
    ) -> list[DroppedDelivery]:
        """Up to `limit` deliveries to an endpoint that were dropped, newest first; `before`: behind that one."""
        members = await self._newest_first(keys.dropped(source, endpoint), before, limit)
        return [_dropped(member, at_ms) for member, at_ms in members]

    async def dropped_for(self, source: SourceUid) -> list[EndpointId]:
        """The endpoints of which deliveries were dropped, in order."""
        endpoints = await self._redis.hkeys(keys.dropped_counts(source))  # type: ignore[misc]
        return [EndpointId(endpoint.decode()) for endpoint in sorted(endpoints)]

    async def _newest_first(self, key: str, before: tuple[int, str] | None, limit: int) -> list[tuple[str, int]]:
        first = 0 if before is None else await self._down_to(key, *before)
        members = await self._redis.zrange(key, first, first + limit - 1, desc=True, withscores=True)
        return [(member.decode("utf-8", "replace"), int(at_ms)) for member, at_ms in members]

    async def _down_to(self, key: str, at_ms: int, member: str) -> int:
        """How many are as new as a member, itself included if it was not sent again meanwhile."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.zcount(key, f"({at_ms}", "+inf")
            pipe.zrangebyscore(key, at_ms, at_ms)
            newer, same = await pipe.execute()
        return int(newer) + sum(1 for other in same if other >= member.encode())

    async def waiting(
        self, source: SourceUid, endpoint: EndpointId, *, first: int, limit: int
    ) -> list[tuple[int, Reference | None]]:
        """Up to `limit` deliveries in an endpoint's lane, oldest first, from place `first` on, each with its place.

        Behind them come those that wait behind a blocked key. What waits for its next try is not among them, until the
        time for that has come. None stands for what can't be read.
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
        return [(first + i, _reference(entry)) for i, entry in enumerate(entries[:limit])]

    async def resend(self, source: SourceUid, endpoint: EndpointId, reference: Reference) -> None:
        """Put one delivery at the end of a lane (again), and out of those that were given up if it is there.

        Raises NotFound when its event is not kept any more.
        """
        # Looked for outside of the script, which would keep everybody waiting while it looks through all of them.
        form = f"?{reference.number}:*:{reference.tag}*"
        dead = await self._find(keys.dead(source), f"{endpoint} {form}")
        dropped = await self._find(keys.dropped(source, endpoint), form)
        args = [
            keys.prefix(source), endpoint, reference.text(), keys.EVENTS_PER_BUCKET, keys.WAKE_CHANNEL, source,
            len(dead), *dead, *dropped,
        ]  # fmt: skip
        names = [name(source) for name in (keys.lanes, keys.ready, keys.dead, keys.references, keys.owed)]
        answer = await script("resend_delivery")(
            self._redis, [*names, keys.dropped(source, endpoint), keys.revived(source)], args
        )
        if int(answer) < 0:
            raise NotFound("the message is not kept any more, so it can't be sent again")

    async def _find(self, key: str, match: str) -> list[bytes]:
        return [member async for member, _ in self._redis.zscan_iter(key, match=match, count=LOOK_AT_ONCE)]


def _dead(member: str, at_ms: int) -> Dead:
    endpoint, _, rest = member.partition(" ")
    text, _, reason = rest.partition(" ")
    return Dead(at_ms, member, EndpointId(endpoint), _reference(text.encode()), reason)


def _dropped(member: str, at_ms: int) -> DroppedDelivery:
    text, reason, message, row = (*member.split(" "), "-", "-", "-")[:4]
    named = (None if name == "-" else name for name in (message, row))
    return DroppedDelivery(at_ms, member, _reference(text.encode()), reason, *named)


def _reference(text: bytes) -> Reference | None:
    with suppress(ValueError):
        return parse_reference(text)
    return None
