"""Upkeep: a task of every worker that keeps the store within its limits.

It must work when nothing else does: what it writes is allowed on a full server, no job queue stands between it and its
work, and what is damaged in one source does not keep it from the others.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog

from relay.domain.model import Source, SourceUid
from relay.errors import StoreUnavailable
from relay.pipeline.apart import ask_apart, each_apart
from relay.pipeline.backlogs import Backlogs
from relay.pipeline.clock import Clock
from relay.pipeline.freshness import LOOK_S as FRESHNESS_S
from relay.pipeline.freshness import FreshnessWatch
from relay.pipeline.pressure import Pressure
from relay.pipeline.rota import Rota
from relay.store.attempts import Attempts
from relay.store.audit import Audit
from relay.store.books import Books
from relay.store.chores import Chores
from relay.store.compaction import Compaction
from relay.store.moments import Moments
from relay.store.past_events import PastEvents
from relay.store.retention import Retention
from relay.store.rows import Rows
from relay.store.server import Server

log = structlog.get_logger()

LOOK_S = 1.0
"""How often the server's memory is looked at."""
COUNT_S = 5.0
"""How often the backlog of all endpoints is counted."""
TRIM_S = 10.0
"""How often budgets are kept: what an endpoint or an attempt log takes beyond its own, it takes for so long."""
SWEEP_S = 60.0
"""How often what is over is forgotten."""
SETTLE_S = 2.0
"""After the start of a worker, before its first round."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long and how much is kept."""

    retention_s: float
    dead_retention_s: float
    attempt_log_bytes: int
    books_s: float
    books_bytes: int
    past_s: float = 0.0
    """How long what rows were is kept for updates; 0: as long as their events."""
    past_bytes: int = 0


class Upkeep:
    """Keeps all sources' parts of the store within their limits. Workers share the work; any of them can do all."""

    def __init__(
        self,
        *,
        server: Server,
        clock: Clock,
        pressure: Pressure,
        chores: Chores,
        retention: Retention,
        compaction: Compaction,
        rows: Rows,
        past: PastEvents,
        attempts: Attempts,
        books: Books,
        audit: Audit,
        backlogs: Backlogs,
        freshness: FreshnessWatch,
        moments: Moments,
        limits: Limits,
    ) -> None:
        self._server = server
        self._clock = clock
        self._pressure = pressure
        self._chores = chores
        self._retention = retention
        self._compaction = compaction
        self._rows = rows
        self._past = past
        self._attempts = attempts
        self._books = books
        self._audit = audit
        self._backlogs = backlogs
        self._freshness = freshness
        self._limits = limits
        self._moments = moments
        self._rota = Rota()

    async def run(self, sources: Callable[[], list[Source]], posts: Callable[[], list[SourceUid]]) -> None:
        """Work until cancelled. `sources` gives those that there are at the moment, `posts` the streams of posts."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_again_and_again(LOOK_S, self._pressure.look))
            # Apart from looking: a worker that sheds a lot must not be the last to know how full the store is.
            tasks.create_task(_again_and_again(LOOK_S, lambda: self.shed(sources(), posts())))
            tasks.create_task(_again_and_again(COUNT_S, lambda: self.count(sources(), posts())))
            tasks.create_task(_again_and_again(FRESHNESS_S, lambda: self._freshness.look(sources())))
            tasks.create_task(_again_and_again(TRIM_S, lambda: self.trim(sources(), posts())))
            tasks.create_task(_again_and_again(SWEEP_S, lambda: self.sweep(sources(), posts())))

    async def shed(self, sources: list[Source], posts: Sequence[SourceUid] = ()) -> None:
        """Shed history if too much of the server's memory was used at the last look.

        Attempts go first, then what rows were before, then events.
        """
        too_much, self._pressure.excess = self._pressure.excess, 0
        if not too_much or not await self._chores.take("shed", seconds=LOOK_S * 0.9):
            return
        uids = [*(source.uid for source in sources), *posts]
        freed = await self._shed_attempts(uids, too_much)
        events = 0

        async def shed_past(source: SourceUid) -> None:
            nonlocal freed
            if freed < too_much:
                left = await self._past.total_bytes(source) - (too_much - freed)
                freed += await self._past.forget(source, before_ms=0, most_bytes=max(0, left))

        await each_apart("shed_past_events", uids, shed_past)

        async def shed_events(source: SourceUid) -> None:
            nonlocal events, freed
            if freed < too_much:
                forgotten, size = await self._retention.shed_events(source, most_bytes=too_much - freed)
                events, freed = events + forgotten, freed + size

        await each_apart("shed_events", uids, shed_events)
        if freed < too_much and await self._chores.take("compact", seconds=TRIM_S):
            await each_apart("compact", uids, lambda uid: self._compact(uid, before_ms=None))
        if freed:
            log.info("history_shed", bytes=freed, events=events, wanted=too_much)

    async def count(self, sources: list[Source], posts: Sequence[SourceUid] = ()) -> None:
        """Count the deliveries that have not ended. Polling stops when there are too many."""
        if await self._chores.take("count", seconds=COUNT_S * 0.9):
            await self._pressure.count([*(source.uid for source in sources), *posts])

    async def trim(self, sources: list[Source], posts: Sequence[SourceUid] = ()) -> None:
        """Keep budgets: of the attempt logs, and of the backlog of each endpoint."""
        if not await self._chores.take("trim", seconds=TRIM_S * 0.9):
            return
        uids, most = [*(source.uid for source in sources), *posts], self._limits.attempt_log_bytes
        logs = await ask_apart("measure_attempts", uids, self._attempts.totals)
        await each_apart("trim_attempts", [uid for uid, size in logs.items() if size > most], self._trim_attempts)
        await self._backlogs.trim(uids, now_ms=await self._server.now_ms())

    async def sweep(self, sources: list[Source], posts: Sequence[SourceUid] = ()) -> None:
        """Forget what is over. Nothing is while clocks disagree: a wrong one would make everything old."""
        if self._clock.is_off():
            return
        if await self._chores.take("sweep", seconds=SWEEP_S * 0.9):
            now_ms = await self._server.now_ms()
            await self._audit.trim(now_ms=now_ms)
            known: dict[SourceUid, Source | None] = {source.uid: source for source in sources} | dict.fromkeys(posts)
            chosen = self._rota.choose(
                await ask_apart("look", list(known), self._moments.of), turn=now_ms // round(SWEEP_S * 1000)
            )
            await self._backlogs.drop_old(chosen, now_ms=now_ms)
            await each_apart("sweep", chosen, lambda uid: self._sweep(uid, known[uid]))

    async def _shed_attempts(self, sources: list[SourceUid], too_much: int) -> int:
        """Drop the oldest of all logs, from each as large a part of what it holds; gives the bytes dropped."""
        totals = await ask_apart("measure_attempts", sources, self._attempts.totals)
        freed = 0

        async def shed(source: SourceUid) -> None:
            nonlocal freed
            if totals[source]:
                freed += await self._attempts.shed(source, budget_bytes=int(totals[source] * kept))

        kept = 1 - min(1.0, too_much / max(1, sum(totals.values())))
        await each_apart("shed_attempts", totals, shed)
        return freed

    async def _trim_attempts(self, source: SourceUid) -> None:
        shed = await self._attempts.shed(source, budget_bytes=self._limits.attempt_log_bytes)
        if shed:
            log.info("attempts_shed", source=source, bytes=shed)

    async def _compact(self, source: SourceUid, *, before_ms: int | None, past_from_ms: int | None = None) -> None:
        """Forget events among those that wait, which nobody waits for; `before_ms` None: whatever their age."""
        before_ms = await self._server.now_ms() if before_ms is None else before_ms
        events, size = await self._compaction.compact(source, before_ms=before_ms, past_from_ms=past_from_ms)
        if events:
            log.info("events_compacted", source=source, events=events, bytes=size)

    async def _sweep(self, uid: SourceUid, source: Source | None) -> None:
        """`source` is None for posts: nobody asks what they were before."""
        now_ms = await self._server.now_ms()
        dead, damaged = await self._retention.forget_dead(
            uid, before_ms=now_ms - round(self._limits.dead_retention_s * 1000)
        )
        before_ms = now_ms - round(self._limits.retention_s * 1000)
        past_from_ms = now_ms - round(self._limits.past_s * 1000) if source else None
        events = await self._retention.forget_events(uid, before_ms=before_ms, past_from_ms=past_from_ms)
        await self._compact(uid, before_ms=before_ms, past_from_ms=past_from_ms)
        rows = 0
        if source is not None and past_from_ms is not None:
            await self._past.forget(uid, before_ms=past_from_ms, most_bytes=self._limits.past_bytes)
            rows = await self._rows.forget(source, now_ms=now_ms)
        books, _ = await self._books.shed(
            uid,
            before_ms=now_ms - round(self._limits.books_s * 1000),
            most_bytes=self._limits.books_bytes,
        )
        if dead or events or rows or books:
            self._rota.again(uid)
            log.info("upkeep", source=uid, dead=dead, events=events, row_buckets=rows, book_blocks=books)
        if damaged:
            log.error("dead_deliveries_unreadable", source=uid, removed=damaged)


async def _again_and_again(every_s: float, work: Callable[[], Awaitable[None]]) -> None:
    await asyncio.sleep(min(every_s, SETTLE_S))
    while True:
        try:
            await work()
        except StoreUnavailable as error:
            log.warning("upkeep_interrupted", error=str(error))
        except Exception as error:  # noqa: BLE001 - a round that fails must not end the worker, nor the next round
            log.error("upkeep_failed", error=repr(error), do="see docs/runbook.md")
        await asyncio.sleep(every_s)
