"""Reconciliations as the store keeps them: what was asked for, how far each has come, and what it found."""

from collections.abc import Collection, Iterable
from contextlib import suppress
from typing import Literal

import msgspec
import structlog
from redis.asyncio import Redis

from relay.domain.model import EndpointId, SourceUid
from relay.domain.reconciling import Counts, Difference, Kind
from relay.errors import Conflict, NotFound, Unreadable
from relay.store import book_keys, keys
from relay.store.identifiers import new_id
from relay.store.packing import Packing
from relay.store.scripts import script

log = structlog.get_logger()

KEPT = 30
"""Reconciliations of a source."""
LISTED = 10_000
"""Differences of a reconciliation; more are only counted."""
AT_ONCE = 5
"""Reconciliations of a source that may be under way, so that what they leave behind is bounded."""
PREFIX = "rec_"
Phase = Literal["comparing", "checking", "repairing", "done", "failed"]


class Range(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows are compared: by their rowIds, and by the times when the cursors of their routes passed them."""

    after: int = 0
    """Those above this rowId."""
    until: int | None = None
    """Those up to this rowId; None: as far as the routes have come."""
    since_ms: int | None = None
    until_ms: int | None = None


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One reconciliation."""

    id: str
    range: Range
    scheduled: bool
    asked_at_ms: int
    phase: Phase = "comparing"
    position: dict[str, int] = {}
    """For each space, up to which rowId it was compared."""
    ends: dict[str, int] = {}
    """For each space, up to which rowId it will be. Fixed when it begins."""
    settled: dict[str, int] = {}
    """For each space, up to which rowId a row without an event counts as missing."""
    shown: int = 0
    """Rows that the upstream showed."""
    stored: int = 0
    """Rows that have events."""
    events: int = 0
    found: dict[Kind, int] = {}
    """How many differences of each kind, also those that are not listed."""
    endpoints: dict[EndpointId, Counts] = {}
    failures: int = 0
    """How many requests failed in a row."""
    error: str | None = None
    ended_at_ms: int | None = None
    repair: tuple[Kind, ...] = ()
    """Which kinds the repair is about."""
    place: int = 0
    """How many of the listed differences were checked or repaired."""
    repaired: int = 0
    unrepaired: int = 0
    """Differences for which the upstream does not show the row any more."""

    @property
    def is_under_way(self) -> bool:
        """Whether a worker has to go on with it."""
        return self.phase in ("comparing", "checking", "repairing")


PACKING = Packing(Run, version=1)


class Reconciliations:
    """The reconciliations of all sources."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def ask(
        self,
        source: SourceUid,
        wanted: Range,
        *,
        now_ms: int,
        scheduled: bool = False,
        position: dict[str, int] | None = None,
    ) -> Run:
        """Ask for one. Raises Conflict if too many are under way, or NotFound when the source is being deleted."""
        if await self._redis.zcard(book_keys.reconciling(source)) >= AT_ONCE:
            raise Conflict(f"{AT_ONCE} reconciliations of source {source} are under way: wait until one is done")
        run = Run(
            id=new_id(PREFIX, now_ms=now_ms), range=wanted, scheduled=scheduled, asked_at_ms=now_ms,
            position=position or {},
        )  # fmt: skip
        await self._save(source, None, run)
        await self.go_on_at(source, now_ms)
        return run

    async def get(self, source: SourceUid, run: str) -> Run:
        """One of them. Raises NotFound, or Unreadable."""
        packed = await self._redis.get(book_keys.reconciliation(source, run))
        if packed is None:
            raise NotFound(f"source {source} has no reconciliation {run}")
        return PACKING.unpack(packed)

    async def newest(self, source: SourceUid) -> list[Run]:
        """All that are kept, the newest first."""
        ids = [run.decode() for run in await self._redis.zrange(book_keys.reconciliations(source), 0, -1, desc=True)]
        found = []
        for run in ids:
            # One that can't be read is left out.
            with suppress(NotFound, Unreadable):
                found.append(await self.get(source, run))
        return found

    async def under_way(self, source: SourceUid) -> Run | None:
        """The oldest one that is under way. One that can't be read is not, from now on."""
        for run in await self._redis.zrange(book_keys.reconciling(source), 0, -1):
            try:
                return await self.get(source, run.decode())
            except (NotFound, Unreadable) as error:
                log.error("reconciliation_unreadable", source=source, reconciliation=run.decode(), error=str(error))
                await self._redis.zrem(book_keys.reconciling(source), run)
        return None

    async def save(
        self, source: SourceUid, before: Run, after: Run, *, differences: Iterable[Difference] = (), anew: bool = False
    ) -> Run:
        """Write down how far one has come, with further differences; `anew`: they take the place of those there.

        Raises Conflict when it is not as it was before, or NotFound when the source is being deleted.
        """
        await self._save(source, before, after, differences, anew=anew)
        return after

    async def repair(self, source: SourceUid, run: str, kinds: Collection[Kind], *, now_ms: int) -> Run:
        """Have the differences of one repaired that is done. Raises Conflict when it is not, or NotFound."""
        before = await self.get(source, run)
        if before.phase != "done":
            raise Conflict(f"reconciliation {run} is {before.phase}: it can be repaired when it is done")
        fresh = {
            "phase": "repairing",
            "repair": tuple(kinds),
            "place": 0,
            "repaired": 0,
            "unrepaired": 0,
            "failures": 0,
        }
        after = await self.save(source, before, msgspec.structs.replace(before, **fresh, error=None, ended_at_ms=None))
        await self.go_on_at(source, now_ms)
        return after

    async def differences(self, source: SourceUid, run: str, *, first: int, limit: int) -> list[Difference]:
        """Up to `limit` of the listed differences, from place `first` on."""
        found = await self._redis.lrange(book_keys.differences(source, run), first, first + limit - 1)  # type: ignore[misc]
        return [msgspec.json.decode(each, type=Difference) for each in found]

    async def count(self, source: SourceUid, run: str) -> int:
        """How many differences are listed."""
        return int(await self._redis.llen(book_keys.differences(source, run)))  # type: ignore[misc]

    async def cursor_at(self, source: SourceUid, route: str, *, time_ms: int) -> int | None:
        """The cursor that a route had at a time, about; None: that is not known."""
        found = await self._redis.zrevrangebyscore(keys.trail(source, route), time_ms, "-inf", start=0, num=1)
        return int(found[0]) if found and found[0].isdigit() else None

    async def go_on_at(self, source: SourceUid, time_ms: int) -> None:
        """Say when a worker should look after the reconciliations of a source."""
        await self._redis.zadd(keys.RECONCILED, {source: time_ms})

    async def due(self, sources: Iterable[SourceUid], *, now_ms: int) -> tuple[list[SourceUid], list[SourceUid]]:
        """The sources that a worker should look after now, and those for which nobody ever said when."""
        found = await self._redis.zrange(keys.RECONCILED, 0, -1, withscores=True)
        times = {SourceUid(source.decode()): time_ms for source, time_ms in found}
        known = list(sources)
        due = [source for source in known if source in times and times[source] <= now_ms]
        return due, [source for source in known if source not in times]

    async def _save(
        self,
        source: SourceUid,
        before: Run | None,
        after: Run,
        differences: Iterable[Difference] = (),
        *,
        anew: bool = False,
    ) -> None:
        names = [
            keys.fence(source), book_keys.reconciliation(source, after.id), book_keys.differences(source, after.id),
            book_keys.reconciliations(source), book_keys.reconciling(source),
        ]  # fmt: skip
        stored = b""
        if before is not None:
            stored = PACKING.as_stored(before, await self._redis.get(book_keys.reconciliation(source, before.id)))
        args: list[str | bytes | int] = [
            keys.prefix(source), after.id, stored, PACKING.pack(after),
            after.asked_at_ms, int(after.is_under_way), KEPT, LISTED, int(anew),
        ]  # fmt: skip
        answer = await script("save_reconciliation")(
            self._redis, names, [*args, *map(msgspec.json.encode, differences)]
        )
        if answer == b"closed":
            raise NotFound(f"source {source} is being deleted")
        if answer != b"ok":
            raise Conflict(f"reconciliation {after.id} was changed by another worker or request")
