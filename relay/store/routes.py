"""Routes: their cursors and states, the poller's lease, and the lines that could not be read."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
from redis.asyncio import Redis

from relay.domain.model import Source, SourceUid
from relay.domain.route_state import RouteState
from relay.errors import Astray, Fenced, NotFound, RelayError, StaleSubscriptions
from relay.store import keys, reading_keys
from relay.store.route_states import read_state
from relay.store.scripts import Call, run_all, script

LEASE_MS = 10_000
"""A killed poller's source is taken up after this and a tick: within 15 s (design.md 6)."""
PUT_OFF_MS = LEASE_MS + 2_000
"""So long a source that was due is left to the worker that gets the job. If it is killed, its lease has ended then."""
QUARANTINE_KEPT = 1000
"""Lines that can be shown; all are counted. A line is 2 kB or so: 2 MB a source at most."""
QUARANTINE_TOTAL = "total"
ASIDE_AT_ONCE = SOURCES_AT_ONCE = DUE_AT_ONCE = 500
NEWEST = 2**53
"""A version of the configuration that is newer than any."""


@dataclass(slots=True)
class Token:
    """A poller's right to write for a source, and where it left the store: a write is refused when either is wrong."""

    number: int
    """The fencing token."""
    sequence: int
    """The source's sequence after the poller's last step."""
    is_wanted: bool = False
    """Whether another one wanted the source when the lease was renewed last."""


class Due(NamedTuple):
    """What is due, and when the next source is; None: no source has a time."""

    sources: list[SourceUid]
    next_ms: int | None


def space_of(route: str) -> str:
    """Which space a route's rowIds are of: `i` for itemised calls, which count for themselves, else `t`."""
    return "i" if route == "itemisedCalls" else "t"


class SetAside(NamedTuple):
    """How many lines of a source are kept, and were ever set aside. `new` of these were not there before."""

    kept: int
    total: int
    new: int


class Routes:
    """The routes of all sources."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def take(self, source: SourceUid, *, version: int = NEWEST) -> Token | None:
        """Take the lease of a source's poller. Gives a fencing token, which was never given before.

        None: another poller works, or the source was deleted since `version` of the configuration.
        """
        names = [keys.lease(source), keys.fence(source), keys.handover(source), keys.sequence(source)]
        number, sequence = await script("take_poll")(self._redis, names, [LEASE_MS, version])
        return Token(int(number), int(sequence)) if number else None

    async def next_due_ms(self) -> int | None:
        """When the slice that is due first is due; None: no source has a time."""
        first = await self._redis.zrange(keys.POLLS, 0, 0, withscores=True)
        return int(first[0][1]) if first else None

    async def offer(self, source: SourceUid, *, lives_ms: int) -> None:
        """Offer the source to the next poller that tries to take it."""
        await self._redis.set(keys.handover(source), "offered", px=lives_ms)

    async def want(self, source: SourceUid, *, lives_ms: int) -> None:
        """Have the poller that works end its slice when it renews its lease, although it does not offer the source."""
        await self._redis.set(keys.handover(source), "wanted", px=lives_ms, nx=True)

    async def is_offered(self, source: SourceUid) -> bool:
        """Whether the poller that works offers the source."""
        return bool(await self._redis.exists(keys.handover(source)))

    async def is_wanted(self, source: SourceUid) -> bool:
        """Whether another poller has tried to take the source since it was offered."""
        return bool(await self._redis.get(keys.handover(source)) == b"wanted")

    async def look(self, source: SourceUid, token: Token) -> None:
        """Have a poller begin with what the store says: what it reads from now on is what it may write upon."""
        token.sequence = int(await self._redis.get(keys.sequence(source)) or 0)

    async def is_as_left(self, source: SourceUid, token: Token) -> bool:
        """Whether the store is where a poller left it; False: an operator did something about one of the routes."""
        return int(await self._redis.get(keys.sequence(source)) or 0) == token.sequence

    async def keep(self, source: SourceUid, token: Token) -> bool:
        """Renew the lease; False: another poller has it."""
        names = [keys.lease(source), keys.handover(source)]
        answer = int(await script("keep_poll")(self._redis, names, [token.number, LEASE_MS]))
        token.is_wanted = answer == 2
        return answer > 0

    async def give_back(self, source: SourceUid, token: Token, *, next_ms: int | None = None) -> None:
        """End the lease, so that the next slice need not wait for it to run out, and say when that should run.

        It runs at once if an operator did something about one of the routes. None: it runs when the lease would have
        run out.
        """
        names = [keys.lease(source), keys.sequence(source)]
        args = [token.number, token.sequence]
        if next_ms is None:
            await script("end_poll")(self._redis, names, args)
            return
        # First, so that a call of an operator that comes in between is not overwritten.
        calls: list[Call] = [(script("put_off"), [keys.POLLS], [source, next_ms]), (script("end_poll"), names, args)]
        _, is_as_left = await run_all(self._redis, calls)
        if not is_as_left:
            await self.poll_at(source, 0)

    async def states(self, source: SourceUid, names: Iterable[str]) -> list[RouteState]:
        """The states of the named routes, in that order; a route that never ran has the state of a new one."""
        return await self._read([(source, name) for name in names])

    async def states_of(self, sources: Sequence[Source]) -> dict[SourceUid, list[RouteState]]:
        """The states of the routes of many sources."""
        found: dict[SourceUid, list[RouteState]] = {}
        for first in range(0, len(sources), SOURCES_AT_ONCE):
            some = [(each.uid, name) for each in sources[first : first + SOURCES_AT_ONCE] for name in each.routes]
            for (uid, _), state in zip(some, await self._read(some), strict=True):
                found.setdefault(uid, []).append(state)
        return found

    async def _read(self, routes: Sequence[tuple[SourceUid, str]]) -> list[RouteState]:
        async with self._redis.pipeline(transaction=False) as pipe:
            for source, name in routes:
                pipe.hgetall(keys.route(source, name))
            return [read_state(name, fields) for (_, name), fields in zip(routes, await pipe.execute(), strict=True)]

    async def save(self, source: SourceUid, route: str, changes: Mapping[str, Any], *, token: Token) -> None:
        """Write fields of a route's state; None clears one. The cursor moves with `Pages.commit` and `start` only.

        Raises Fenced, or Astray.
        """
        await self._write(source, route, changes, token=token, cursor="", now_ms=0)

    async def start(
        self,
        source: SourceUid,
        route: str,
        cursor: int,
        *,
        token: Token,
        now_ms: int,
        changes: Mapping[str, Any] | None = None,
    ) -> None:
        """Give a route that has no cursor its first one, and write `changes` of its state. Raises Fenced, or Astray."""
        await self._write(source, route, changes or {}, token=token, cursor=str(cursor), now_ms=now_ms)

    async def move(self, source: SourceUid, route: str, cursor: int, *, now_ms: int) -> None:
        """Move a route's cursor by hand: a poller at work drops its page. Raises NotFound when the source is going."""
        names = [keys.fence(source), keys.sequence(source), keys.route(source, route), keys.trail(source, route)]
        names.append(reading_keys.known_from(source, space_of(route)))
        if await script("move_cursor")(self._redis, names, [cursor, now_ms]) != b"ok":
            raise NotFound(f"source {source} is being deleted")
        await self.poll_at(source, 0)

    async def steer(self, source: SourceUid, route: str, fields: Mapping[str, int]) -> None:
        """Write fields of a route's state by hand: a poller at work drops its page, and begins with them.

        Raises NotFound when the source is going.
        """
        names = [keys.fence(source), keys.sequence(source), keys.route(source, route)]
        args = [part for field in fields.items() for part in field]
        if await script("steer_route")(self._redis, names, args) != b"ok":
            raise NotFound(f"source {source} is being deleted")
        await self.poll_at(source, 0)

    async def _write(
        self, source: SourceUid, route: str, changes: Mapping[str, Any], *, token: Token, cursor: str, now_ms: int
    ) -> None:
        names = [keys.fence(source), keys.sequence(source), keys.route(source, route), keys.trail(source, route)]
        args: list[Any] = [token.number, token.sequence, now_ms, cursor]
        for name, value in changes.items():
            args += (name, "" if value is None else value)
        answer = await script("save_route")(self._redis, names, args)
        if answer != b"ok":
            raise refused(answer, source)

    async def settle(
        self, source: SourceUid, *, joined: Mapping[str, str | None], start: str, left: Iterable[str], token: Token
    ) -> None:
        """Note since when routes are the source's (`RouteState.joined`) and where they start (`RouteState.start`).

        The state of those that left is forgotten. Raises Fenced, or Astray.
        """
        names = [keys.fence(source), keys.sequence(source), reading_keys.readings(source)]
        args: list[Any] = [keys.prefix(source), token.number, token.sequence, start, len(joined)]
        for name, since in joined.items():
            args += (name, since or "")
        answer = await script("settle_routes")(self._redis, names, [*args, *left])
        if answer != b"ok":
            raise refused(answer, source)

    async def poll_at(self, source: SourceUid, time_ms: int) -> None:
        """Say when the next slice of a source should run."""
        await self._redis.zadd(keys.POLLS, {source: time_ms})

    async def enlist(self, sources: Iterable[SourceUid]) -> None:
        """Have sources polled that have no time for their next slice: new ones, or the store lost it."""
        times: dict[str, int] = dict.fromkeys(sources, 0)
        if times:
            await self._redis.zadd(keys.POLLS, times, nx=True)

    async def take_due(self, *, now_ms: int) -> Due:
        """The sources that are due for a slice, each given to one caller only: for others it is due again in a while.

        A slice that begins need not put its source off, and one that never begins is made up for.
        """
        args = [now_ms, now_ms + PUT_OFF_MS, DUE_AT_ONCE]
        next_ms, *due = await script("take_due")(self._redis, [keys.POLLS], args)
        return Due([SourceUid(source.decode()) for source in due], int(next_ms) if next_ms else None)

    async def quarantined(self, source: SourceUid, limit: int) -> list[dict[str, Any]]:
        """The newest lines that could not be read: `{route, rowId, reason, line, seenAtMs, digest}`, newest first.

        An entry that is damaged itself comes last, as one without a line.
        """
        lines = await self._quarantined(source)
        return [{**line, "digest": digest.decode("utf-8", "replace")} for digest, line in lines[:limit]]

    async def _quarantined(self, source: SourceUid) -> list[tuple[bytes, dict[str, Any]]]:
        kept = await self._redis.hgetall(keys.quarantine(source))  # type: ignore[misc]
        kept.pop(QUARANTINE_TOTAL.encode(), None)
        lines = [(digest, _read_line(value)) for digest, value in kept.items()]
        return sorted(lines, key=lambda each: -each[1]["seenAtMs"])

    async def quarantined_total(self, source: SourceUid) -> int:
        """How many different lines were ever set aside."""
        return _number(await self._redis.hget(keys.quarantine(source), QUARANTINE_TOTAL)) or 0  # type: ignore[misc]

    async def set_aside(self, source: SourceUid, lines: Mapping[str, dict[str, Any]], *, token: Token) -> SetAside:
        """Keep lines that could not be read, by their digests (hex). One that is there counts once. Raises Fenced."""
        names, digests = [keys.fence(source), keys.quarantine(source)], list(lines)
        kept, total, new = 0, 0, 0
        for first in range(0, len(digests), ASIDE_AT_ONCE):
            some = digests[first : first + ASIDE_AT_ONCE]
            values = [part for digest in some for part in (digest, msgspec.json.encode(lines[digest]))]
            answer = await script("set_aside_lines")(self._redis, names, [token.number, QUARANTINE_TOTAL, *values])
            if answer == b"fenced":
                raise refused(answer, source)
            kept, total, added = map(int, answer)
            new += added
        if kept > QUARANTINE_KEPT:
            oldest: list[Any] = [digest for digest, _ in (await self._quarantined(source))[QUARANTINE_KEPT:]]
            await self._redis.hdel(keys.quarantine(source), *oldest)  # type: ignore[misc]
        return SetAside(min(kept, QUARANTINE_KEPT), total, new)

    async def release(self, source: SourceUid, digests: Collection[str]) -> None:
        """Forget lines that were set aside, by their digests (hex): they are taken in after all."""
        if digests:
            await self._redis.hdel(keys.quarantine(source), *digests)  # type: ignore[misc]


def refused(answer: bytes, source: SourceUid) -> RelayError:
    """What a script's refusal of a poller's write means."""
    if answer == b"fenced":
        return Fenced(f"another poller took over source {source}")
    if answer == b"astray":
        return Astray(f"the store is not where the poller of source {source} left it")
    return StaleSubscriptions(f"the subscriptions of source {source} changed")


class _Line(msgspec.Struct, kw_only=True):
    """A line that could not be read, as it is kept."""

    route: str | None = None
    rowId: Any = None  # noqa: N815 - as it is kept
    reason: str = "what was kept of the line is damaged"
    line: str = ""
    seenAtMs: int = 0  # noqa: N815


def _read_line(kept: bytes) -> dict[str, Any]:
    try:
        return msgspec.structs.asdict(msgspec.json.decode(kept, type=_Line))
    except msgspec.MsgspecError:
        return msgspec.structs.asdict(_Line())


def _number(stored: bytes | None) -> int | None:
    return int(stored) if stored is not None and stored.isdigit() else None
