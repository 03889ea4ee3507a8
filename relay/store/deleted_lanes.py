"""Waiting deliveries of deleted endpoints: dropped in bounded steps that keep the counts of events right."""

from collections.abc import Collection, Sequence

from redis.asyncio import Redis

from relay.domain.model import EndpointId, SourceUid
from relay.store import keys
from relay.store.books import Books
from relay.store.scripts import run_all, script

DELIVERIES_AT_ONCE = 1000
"""About 2 ms of the server's time."""
LANES_AT_ONCE = 50
"""Calls in one round trip: others get their turn between them."""
LOOK_AT_ONCE = 1000


class DeletedLanes:
    """Empties lanes."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._books = Books(redis)

    async def empty(self, source: SourceUid, endpoints: Collection[EndpointId]) -> set[EndpointId]:
        """Drop the waiting deliveries of deleted endpoints in one source; gives those of which something may be left.

        A lane that a worker holds is left alone: it learns that the endpoint is gone, and lets the lane go.
        """
        held, empty, more = set[EndpointId](), list[EndpointId](), list(endpoints)
        while more:
            states = await self._drop(source, more)
            held |= {endpoint for endpoint, state in states if state == b"held"}
            empty += [endpoint for endpoint, state in states if state == b"empty"]
            more = [endpoint for endpoint, state in states if state == b"more"]
        if empty:
            # Nobody can claim these lanes any more, so nothing comes to those places after the look.
            for key in (keys.due(source), keys.dead(source)):
                await self._drop_members(source, key, frozenset(empty))
            await self._books.forget(source, empty)
            held |= {endpoint for endpoint, state in await self._drop(source, empty, finish=True) if state != b"gone"}
            await self._redis.hdel(keys.CONDITIONS, *empty)  # type: ignore[misc]
            for endpoint in empty:
                await self._redis.unlink(keys.consumers(endpoint))
        return held

    async def _drop(
        self, source: SourceUid, endpoints: Sequence[EndpointId], *, finish: bool = False
    ) -> list[tuple[EndpointId, bytes]]:
        drop, states, prefix = script("empty_lane"), list[bytes](), keys.prefix(source)
        names = [name(source) for name in (keys.lanes, keys.ready, keys.sessions, keys.parked, keys.references,
                                           keys.owed, keys.blockers)]  # fmt: skip
        for first in range(0, len(endpoints), LANES_AT_ONCE):
            some = endpoints[first : first + LANES_AT_ONCE]
            last = "1" if finish else ""
            args = [(prefix, each, DELIVERIES_AT_ONCE, keys.EVENTS_PER_BUCKET, last) for each in some]
            states += await run_all(self._redis, [(drop, names, each) for each in args])
        return list(zip(endpoints, states, strict=True))

    async def _drop_members(self, source: SourceUid, key: str, endpoints: Collection[EndpointId]) -> None:
        owners = {endpoint.encode() for endpoint in endpoints}
        cursor = 0
        while True:
            cursor, found = await self._redis.zscan(key, cursor, count=LOOK_AT_ONCE)
            members = [member for member, _ in found if bytes(member).partition(b" ")[0] in owners]
            for first in range(0, len(members), DELIVERIES_AT_ONCE):
                await script("drop_deliveries")(
                    self._redis,
                    [key, keys.references(source), keys.owed(source)],
                    [keys.prefix(source), keys.EVENTS_PER_BUCKET, *members[first : first + DELIVERIES_AT_ONCE]],
                )
            if not cursor:
                return
