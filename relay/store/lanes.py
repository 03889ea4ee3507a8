"""Lanes: what waits for each endpoint, who holds it, and what came of it. See the scripts for what is atomic."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from redis.asyncio import Redis

from relay.domain.model import EndpointId, SourceUid
from relay.store import keys
from relay.store.attempts import attempt_size
from relay.store.scripts import script

SWEEP_AT_ONCE = 1000
"""Retries or lanes that one sweep makes ready: about 3 ms of the server's time."""
POISON_CRASHES = 5
"""A delivery that killed its worker so often is set aside (goal G10)."""


@dataclass(slots=True)
class Handed:
    """What a worker hands in for one lane that it holds. References are in their stored form."""

    endpoint: EndpointId
    more: int = 0
    """How many references to take; -1 lets the lane go."""
    park_until: int | None = None
    """ms until when to put the lane aside; None: keep it."""
    health: str = ""
    """What to remember of the lane's health; '-': it is well; '': as before."""
    ended: list[bytes] = field(default_factory=list)
    retries: list[tuple[bytes, str, int]] = field(default_factory=list)
    """Reference, the next one, and the ms when it is due."""
    dead: list[tuple[bytes, str]] = field(default_factory=list)
    """Reference and reason."""
    back: list[tuple[bytes, str | bytes]] = field(default_factory=list)
    """Reference, and what to put back at the lane's head for it; oldest first."""
    blocks: list[tuple[str, int]] = field(default_factory=list)
    """Key, and the number of the event that later ones with this key wait for."""
    behind: list[tuple[bytes, str]] = field(default_factory=list)
    """Reference, and the key that it waits behind."""
    released: list[str] = field(default_factory=list)
    """Keys that nothing waits for any more."""
    attempts: list[tuple[int, int, bytes]] = field(default_factory=list)
    """Event number, ms when it began, and the packed Attempt."""

    def is_empty(self) -> bool:
        """Whether there is nothing to hand in."""
        return not (self.ended or self.retries or self.dead or self.back or self.behind or self.attempts)


@dataclass(frozen=True, slots=True)
class Given:
    """What a worker got for one lane: its state now, and references that it has claimed."""

    endpoint: EndpointId
    state: str
    """`held`, `claimed` (held from now on), `idle`, `ready`, `parked`, or `lost`."""
    references: list[bytes]
    health: str
    """What was remembered of its health when it was claimed; '': it is well."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """What a sweep found."""

    ready: int
    next_ms: int | None
    """When the next retry or parked lane comes due; None: nothing waits for a time."""
    retries: int
    reclaimed: int
    poisoned: int


class Lanes:
    """The lanes of all sources."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def exchange(
        self,
        source: SourceUid,
        handed: Sequence[Handed],
        *,
        session: str,
        turn: int,
        now_ms: int,
        lives_ms: int,
        claim: int,
        per_lane: int,
    ) -> tuple[int, list[Given]]:
        """Hand results in and claim more, in one step.

        `turn` counts the session's calls: one with the same number as the last hands nothing in a second time.
        The session lives on for `lives_ms`. `claim` is the number of further lanes to claim, `per_lane` the references
        for each. Returns how many lanes are still ready, and for each lane handed in or claimed what became of it.
        """
        args: list[str | bytes | int] = [
            keys.prefix(source), session, turn, now_ms, lives_ms, claim, per_lane, keys.EVENTS_PER_BUCKET,
        ]  # fmt: skip
        args += _attempt_groups(handed)
        args.append(len(handed))
        for lane in handed:
            args += _lane_group(lane)
        names = (
            keys.lanes, keys.ready, keys.sessions, keys.turns, keys.due, keys.dead, keys.parked, keys.references,
            keys.attempt_buckets, keys.attempt_sizes, keys.health,
        )  # fmt: skip
        answer = await script("exchange_work")(self._redis, [name(source) for name in names], args)
        given = [
            Given(EndpointId(e.decode()), state.decode(), refs, health.decode())
            for e, state, refs, health in answer[1:]
        ]
        return int(answer[0]), given

    async def held(self, source: SourceUid, session: str) -> list[Given]:
        """What a session holds: its lanes, with all that is in flight of each. For a worker that lost an answer."""
        owners = await self._redis.hgetall(keys.lanes(source))  # type: ignore[misc]
        mine = [EndpointId(endpoint.decode()) for endpoint, owner in owners.items() if owner == session.encode()]
        async with self._redis.pipeline(transaction=False) as pipe:
            for endpoint in mine:
                pipe.smembers(keys.flight(source, endpoint))
                pipe.hget(keys.health(source), endpoint)
            found = await pipe.execute()
        return [
            Given(endpoint, "held", list(flight), (health or b"").decode())
            for endpoint, flight, health in zip(mine, found[::2], found[1::2], strict=True)
        ]

    async def sweep(self, source: SourceUid, *, now_ms: int) -> Sweep:
        """Make ready whatever's time has come."""
        names = (
            keys.lanes, keys.ready, keys.sessions, keys.turns, keys.trials, keys.due, keys.dead, keys.parked,
        )  # fmt: skip
        args = [keys.prefix(source), now_ms, SWEEP_AT_ONCE, POISON_CRASHES]
        ready, next_ms, retries, reclaimed, poisoned = await script("sweep_lanes")(
            self._redis, [n(source) for n in names], args
        )
        soonest = float(next_ms) if next_ms else None
        return Sweep(ready, None if soonest is None else int(soonest), retries, reclaimed, poisoned)

    async def leave(self, source: SourceUid, session: str) -> None:
        """End a session: it counts as dead from now on, so the next sweep takes up whatever it did not let go."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.hdel(keys.trials(source), session)
            pipe.zadd(keys.sessions(source), {session: 0}, xx=True)
            await pipe.execute()

    async def try_alone(self, source: SourceUid, session: str, endpoint: EndpointId, stored: bytes) -> None:
        """Note that a session is about to try one suspect alone: if it dies now, that one is to blame."""
        await self._redis.hset(keys.trials(source), session, f"{endpoint} {stored.decode()}")  # type: ignore[misc]

    async def blocked(self, source: SourceUid, endpoint: EndpointId) -> dict[str, int]:
        """The keys of an endpoint that wait, each with the number of the event that it waits for."""
        found = await self._redis.hgetall(keys.blocked(source, endpoint))  # type: ignore[misc]
        return {key.decode(): int(number) for key, number in found.items()}

    async def unpark(self, source: SourceUid, endpoint: EndpointId) -> None:
        """Let a parked lane go on as if it were well; nothing else happens if it is not parked."""
        args = [keys.prefix(source), endpoint, keys.WAKE_CHANNEL, source]
        names = (keys.lanes, keys.ready, keys.parked, keys.health)
        await script("unpark_lane")(self._redis, [n(source) for n in names], args)

    async def release_waiting(self, source: SourceUid, endpoint: EndpointId) -> None:
        """Let everything that waits behind a key go on, for the endpoint is ordered otherwise now."""
        args = [keys.prefix(source), endpoint, keys.WAKE_CHANNEL, source]
        await script("release_waiting")(self._redis, [keys.lanes(source), keys.ready(source)], args)

    async def drop(self, source: SourceUid, endpoint: EndpointId) -> None:
        """Forget everything that waits for an endpoint that was deleted."""
        args = [keys.prefix(source), endpoint, keys.EVENTS_PER_BUCKET]
        names = (keys.lanes, keys.ready, keys.due, keys.dead, keys.parked, keys.references)
        await script("drop_lane")(self._redis, [n(source) for n in names], args)

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


def _attempt_groups(handed: Sequence[Handed]) -> list[str | bytes | int]:
    groups: dict[int, list[str | bytes]] = {}
    sizes: dict[int, int] = {}
    for lane in handed:
        for number, began_ms, record in lane.attempts:
            bucket = number // keys.ATTEMPTS_PER_BUCKET
            name = f"{number}:{lane.endpoint}:{began_ms}"
            groups.setdefault(bucket, []).extend((name, record))
            sizes[bucket] = sizes.get(bucket, 0) + attempt_size(name, record)
    args: list[str | bytes | int] = [len(groups)]
    for bucket, fields in groups.items():
        args += (bucket, sizes[bucket], len(fields))
        args += fields
    return args


def _lane_group(lane: Handed) -> list[str | bytes | int]:
    until_ms = "" if lane.park_until is None else lane.park_until
    args: list[str | bytes | int] = [lane.endpoint, lane.more, until_ms, lane.health, len(lane.ended)]
    args += lane.ended
    for group in (lane.retries, lane.dead, lane.back, lane.blocks, lane.behind):
        args.append(len(group))
        for entry in group:
            args += entry
    args.append(len(lane.released))
    args += lane.released
    args.append(len(lane.attempts))
    args += [f"{number}:{began_ms}" for number, began_ms, _ in lane.attempts]
    return args
