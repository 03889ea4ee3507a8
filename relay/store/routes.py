"""Routes: their cursors and states, the poller's lease, and the lines that could not be read."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from redis.asyncio import Redis

from relay.domain.model import RouteState, SourceUid
from relay.store import keys
from relay.store.scripts import script

LEASE_MS = 10_000
"""A killed poller's source is taken up after this and a tick: within 15 s (design.md 6)."""
QUARANTINE_KEPT = 1000
"""Lines that can be shown; all are counted. A line is 2 kB or so: 2 MB a source at most."""
QUARANTINE_TOTAL = "total"
NEWEST = 2**53
"""A version of the configuration that is newer than any."""


def space_of(route: str) -> str:
    """Which space a route's rowIds are of: `i` for itemised calls, which count for themselves, else `t`."""
    return "i" if route == "itemisedCalls" else "t"


class Routes:
    """The routes of all sources."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def take(self, source: SourceUid, *, version: int = NEWEST) -> int | None:
        """Take the lease of a source's poller. Gives the fencing token, which was never given before.

        None: another poller works, or the source was deleted since `version` of the configuration.
        """
        names = [keys.lease(source), keys.fence(source)]
        token = await script("take_poll")(self._redis, names, [LEASE_MS, version])
        return int(token) or None

    async def keep(self, source: SourceUid, token: int) -> bool:
        """Renew the lease; False: it is somebody else's."""
        return bool(await script("keep_poll")(self._redis, [keys.lease(source)], [token, LEASE_MS]))

    async def give_back(self, source: SourceUid, token: int) -> None:
        """End the lease, so that the next slice need not wait for it to run out."""
        await script("keep_poll")(self._redis, [keys.lease(source)], [token, 0])

    async def states(self, source: SourceUid, names: Iterable[str]) -> list[RouteState]:
        """The states of the named routes, in that order; a route that never ran has the state of a new one."""
        names = list(names)
        async with self._redis.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.hgetall(keys.route(source, name))
            found = await pipe.execute()
        return [_read_state(name, fields) for name, fields in zip(names, found, strict=True)]

    async def save(self, source: SourceUid, route: str, changes: Mapping[str, Any]) -> None:
        """Write fields of a route's state; None clears one. The cursor moves with `Pages.commit` and `start` only."""
        await self._redis.hset(  # type: ignore[misc]
            keys.route(source, route), mapping={k: "" if v is None else v for k, v in changes.items()}
        )

    async def start(self, source: SourceUid, route: str, cursor: int, *, now_ms: int) -> None:
        """Give a route that has no cursor its first one.

        The cursor last: a route that has one is never started again, so what belongs to it must stand by then.
        """
        await self._redis.zadd(keys.trail(source, route), {str(cursor): now_ms})
        await self._redis.hsetnx(keys.route(source, route), "cursor", str(cursor))  # type: ignore[misc]

    async def cursor_at(self, source: SourceUid, route: str, *, time_ms: int) -> int | None:
        """The cursor that the route had at a time; None: it had none yet. Forgets the cursors before that one."""
        trail = keys.trail(source, route)
        before = await self._redis.zrevrangebyscore(trail, time_ms, "-inf", start=0, num=1, withscores=True)
        if before:
            await self._redis.zremrangebyscore(trail, "-inf", f"({before[0][1]}")
            return int(before[0][0])
        first = await self._redis.zrange(trail, 0, 0)
        return int(first[0]) if first else None

    async def poll_at(self, source: SourceUid, time_ms: int) -> None:
        """Say when the next slice of a source should run."""
        await self._redis.zadd(keys.POLLS, {source: time_ms})

    async def to_poll(self, sources: Iterable[SourceUid], *, now_ms: int) -> list[SourceUid]:
        """Which of the sources are due for a slice: those whose time has come, and those that never had one."""
        later = set(await self._redis.zrangebyscore(keys.POLLS, f"({now_ms}", "+inf"))
        return [source for source in sources if source.encode() not in later]

    async def quarantined(self, source: SourceUid, limit: int) -> list[dict[str, Any]]:
        """The newest lines that could not be read: `{route, rowId, reason, line, seenAtMs, digest}`, newest first."""
        kept = await self._redis.hgetall(keys.quarantine(source))  # type: ignore[misc]
        kept.pop(QUARANTINE_TOTAL.encode(), None)
        lines = [{**msgspec.json.decode(value), "digest": digest.decode()} for digest, value in kept.items()]
        return sorted(lines, key=lambda line: -int(line["seenAtMs"]))[:limit]

    async def quarantined_total(self, source: SourceUid) -> int:
        """How many different lines were ever set aside."""
        return int(await self._redis.hget(keys.quarantine(source), QUARANTINE_TOTAL) or 0)  # type: ignore[misc]

    async def set_aside(self, source: SourceUid, lines: Mapping[str, dict[str, Any]]) -> None:
        """Keep lines that could not be read, by the digest (hex) of each; one that is there already counts once."""
        key = keys.quarantine(source)
        for digest, line in lines.items():
            if await self._redis.hsetnx(key, digest, msgspec.json.encode(line).decode()):  # type: ignore[misc]
                await self._redis.hincrby(key, QUARANTINE_TOTAL, 1)  # type: ignore[misc]
        if await self._redis.hlen(key) > QUARANTINE_KEPT:  # type: ignore[misc]
            for line in (await self.quarantined(source, 10 * QUARANTINE_KEPT))[QUARANTINE_KEPT:]:
                await self._redis.hdel(key, line["digest"])  # type: ignore[misc]


def _read_state(name: str, fields: Mapping[bytes, bytes]) -> RouteState:
    values = {key.decode(): value.decode() for key, value in fields.items() if value}
    return msgspec.convert({"route": name, **values}, RouteState, strict=False)
