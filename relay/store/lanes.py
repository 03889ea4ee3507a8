"""Lanes: the waiting deliveries of each endpoint, and the worker that holds them. The scripts say what is atomic."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from relay.domain.model import EndpointId, SourceUid
from relay.domain.operational import EXHAUSTED
from relay.domain.sending.effects import HandIn
from relay.store import keys, outbox_keys, replay_keys
from relay.store.exchanging import Exchanged, Given, operations, read_exchanged, read_given
from relay.store.refusals import sorted_out
from relay.store.scripts import run_apart, script

SWEEP_AT_ONCE = 1000
"""Retries or lanes that one sweep makes ready: about 3 ms of the server's time."""
POISON_CRASHES = 5
"""A delivery that killed its worker so often is set aside (goal G10)."""
LONGEST_PAUSE_MS = 3_000
"""Lanes are swept each second. After a longer pause the server stood still, and no session is dead for that."""
GRACE_MS = 5_000
"""For so long sessions live on after such a pause: every worker has found the server again by then."""
RELEASED_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class Sweep:
    """What a sweep found."""

    ready: int
    next_ms: int | None
    """When the next retry or parked lane comes due, or a session ends; None: nothing waits for a time."""
    retries: int
    reclaimed: int
    poisoned: int
    more: bool
    """There is more to do now."""
    has_blockers: bool = False
    """There are endpoints with blocked keys."""


class Lanes:
    """The lanes of all sources."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def exchange(
        self,
        source: SourceUid,
        handed: Sequence[HandIn],
        *,
        session: str,
        turn: int,
        before: int,
        now_ms: int,
        lives_ms: int,
        claim: int = 0,
        per_lane: int = 0,
        reports: Collection[str] = (),
    ) -> Exchanged:
        """Hand results in and claim more, in one step.

        `turn` is this call's number, `before` that of the call before it: one with the same number as the last that the
        store knows does nothing, nor does one after a call that it does not know. The session lives on for `lives_ms`.
        `claim` is the number of further lanes to claim, `per_lane` the references for each. `reports` are the types of
        operational events that are kept for the operator.
        """
        names = (
            keys.lanes, keys.ready, keys.sessions, keys.turns, keys.due, keys.dead, keys.parked, keys.references,
            keys.owed, keys.attempt_buckets, keys.attempt_sizes, keys.blockers, keys.fence, replay_keys.replaying,
            outbox_keys.outbox, keys.holds,
        )  # fmt: skip
        head = [keys.prefix(source), session, turn, before, now_ms, lives_ms, keys.EVENTS_PER_BUCKET]
        head += [keys.WAKE_CHANNEL, source]
        args = [*head, *operations(handed, claim=claim, per_lane=per_lane, reports=reports)]
        return read_exchanged(await script("exchange")(self._redis, [name(source) for name in names], args))

    async def held(self, source: SourceUid, session: str) -> list[Given]:
        """What a session holds: its lanes, with all that is in flight of each. For a worker that lost an answer."""
        return read_given(await script("read_held")(self._redis, [keys.lanes(source)], [keys.prefix(source), session]))

    async def sweep(self, source: SourceUid, *, now_ms: int, reports: Collection[str] = ()) -> Sweep:
        """Make ready whatever's time has come."""
        (swept,) = await self.sweep_all([source], now_ms=now_ms, reports=reports)
        if isinstance(swept, Exception):
            raise swept
        return swept

    async def sweep_all(
        self, sources: Sequence[SourceUid], *, now_ms: int, reports: Collection[str] = ()
    ) -> list[Sweep | Exception]:
        """The same for several sources, in one round trip: what is damaged in one is an error of its own.

        `reports` are the types of operational events that operators want. Raises StoreUnavailable.
        """
        of_source = (
            keys.lanes, keys.ready, keys.sessions, keys.turns, keys.swept, keys.due, keys.dead, keys.parked,
            keys.blockers, outbox_keys.outbox, keys.holds,
        )  # fmt: skip
        report = EXHAUSTED if EXHAUSTED in reports else ""
        args = [now_ms, SWEEP_AT_ONCE, POISON_CRASHES, LONGEST_PAUSE_MS, GRACE_MS, keys.EVENTS_PER_BUCKET, report]
        calls = [
            (script("sweep_lanes"), [name(source) for name in of_source], [keys.prefix(source), *args])
            for source in sources
        ]
        answers = await run_apart(self._redis, calls)
        return [sorted_out(each) if isinstance(each, ResponseError) else _read_sweep(each) for each in answers]

    async def leave(self, source: SourceUid, session: str) -> None:
        """End a session: it counts as dead from now on, so the next sweep takes up whatever it did not let go."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.delete(keys.tried(source, session))
            pipe.zadd(keys.sessions(source), {session: 0}, xx=True)
            await pipe.execute()

    async def announce(self, session: str, trials: Iterable[tuple[SourceUid, EndpointId, bytes]]) -> None:
        """Note that a session puts deliveries on the wire that were in flight at a crash: if it dies, they count."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for source, endpoint, stored in trials:
                pipe.sadd(keys.tried(source, session), f"{endpoint} {stored.decode()}")
            await pipe.execute()

    async def unpark(self, source: SourceUid, endpoint: EndpointId) -> None:
        """Let a parked lane go on; nothing happens if it is not parked."""
        args = [keys.prefix(source), endpoint, keys.WAKE_CHANNEL, source]
        names = (keys.lanes, keys.ready, keys.parked)
        await script("unpark_lane")(self._redis, [n(source) for n in names], args)

    async def blockers(self, source: SourceUid) -> list[EndpointId]:
        """The endpoints with blocked keys."""
        return [EndpointId(name.decode()) for name in await self._redis.smembers(keys.blockers(source))]  # type: ignore[misc]

    async def release_waiting(self, source: SourceUid, endpoint: EndpointId, order_version: int) -> None:
        """Let everything go on that waits behind keys of an order which the endpoint does not have any more."""
        names = (keys.lanes, keys.ready, keys.blockers)
        args = [keys.prefix(source), endpoint, order_version, RELEASED_AT_ONCE, keys.WAKE_CHANNEL, source]
        while await script("release_waiting")(self._redis, [n(source) for n in names], args) == RELEASED_AT_ONCE:
            pass

    async def waiting(self, source: SourceUid, endpoints: Iterable[EndpointId]) -> list[int]:
        """How many deliveries wait in each lane, those in flight included, but not those that wait for a retry."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for endpoint in endpoints:
                pipe.llen(keys.lane(source, endpoint))
                pipe.scard(keys.flight(source, endpoint))
            counts = await pipe.execute()
        return [waiting + flying for waiting, flying in zip(counts[::2], counts[1::2], strict=True)]

    async def retrying(self, source: SourceUid) -> int:
        """How many deliveries of a source wait for their next try."""
        return int(await self._redis.zcard(keys.due(source)))


def _read_sweep(answer: Sequence[Any]) -> Sweep:
    ready, next_ms, retries, reclaimed, poisoned, more, blockers = answer
    soonest = int(float(next_ms)) if next_ms else None
    return Sweep(ready, soonest, retries, reclaimed, poisoned, bool(more), bool(blockers))
