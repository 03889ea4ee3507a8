"""The turns of reconciliations: each takes the lease of its source for a few seconds, and goes a part of the way."""

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

import structlog
from msgspec.structs import replace

from relay.domain.model import EndpointId, Source, SourceUid
from relay.domain.polling import backoff_ms
from relay.domain.reconciling import next_run_ms
from relay.errors import Astray, Conflict, Fenced, NotFound, Refused, StoreUnavailable, UpstreamError
from relay.outbound.reports_api import ReportsApi
from relay.pipeline.catalogue import Catalogue
from relay.pipeline.clock import Clock
from relay.pipeline.ingest import Ingest
from relay.pipeline.pressure import Pressure
from relay.pipeline.reading.pages import PageReader
from relay.pipeline.reconciling.checking import Checking
from relay.pipeline.reconciling.comparing import Comparing
from relay.pipeline.reconciling.kept import Kept
from relay.pipeline.reconciling.repairing import Repairing
from relay.pipeline.reconciling.row_ids import RowIds
from relay.pipeline.renewing import renew
from relay.pipeline.route_poll import cancelled
from relay.pipeline.shifts import OVERTIME_MS, take_over
from relay.store.reconciliations import Range, Run
from relay.store.routes import Token

log = structlog.get_logger()

TURN_MS = 3_000
"""New rows wait for so long, and for the request that is in flight then."""
PAUSE_MS = 2_000
"""Between two turns polling has the source."""
WAIT_MS = 60_000
"""How soon a source that is paused, or a store without room, is looked at again."""
MOST_FAILURES = 10
"""Requests that fail in a row until a reconciliation is given up: an hour, about."""


class Reconciling:
    """Works on the reconciliations of all sources, and begins those that are scheduled."""

    def __init__(
        self,
        *,
        reports: ReportsApi,
        ingest: Ingest,
        kept: Kept,
        catalogue: Catalogue,
        pressure: Pressure,
        clock: Clock,
        every_s: float,
        settled_s: float,
        stopping: asyncio.Event,
    ) -> None:
        """`every_s` is how often each source is reconciled without being asked. After `settled_s` the relay knows of a
        row that came late. `stopping` is set when the worker ends."""
        rows, is_gone = RowIds(PageReader(reports=reports, ingest=ingest)), _gone_in(catalogue)
        self._runs, self._routes, self._operations = kept.reconciliations, kept.routes, kept.operations
        self._comparing = Comparing(rows=rows, kept=kept, settled_s=settled_s, is_gone=is_gone)
        self._checking = Checking(comparing=self._comparing, books=kept.books, runs=kept.reconciliations)
        self._repairing = Repairing(rows=rows, ingest=ingest, kept=kept, endpoint=catalogue.endpoint, is_gone=is_gone)
        self._catalogue = catalogue
        self._pressure = pressure
        self._clock = clock
        self._every_s = every_s
        self.differences: Counter[str] = Counter()
        """What this process found, by kind. A repair does not count again."""
        self._stopping = stopping

    async def due(self) -> list[SourceUid]:
        """The sources that want a turn now. Those that are new want one the next night. Raises StoreUnavailable."""
        due, new = await self._runs.due(self._catalogue.sources, now_ms=self._clock.now_ms())
        for uid in new:
            await self._rest(uid)
        return due

    async def put_off(self, uid: SourceUid, *, ms: int = WAIT_MS) -> None:
        """Look after a source later, unless a turn says otherwise."""
        await self._runs.go_on_at(uid, self._clock.now_ms() + ms)

    async def turn(self, uid: SourceUid) -> None:
        """Go on with the oldest reconciliation of a source that is under way, for a few seconds.

        Redis may go away, or another worker may take over: the next turn continues from what is written down.
        """
        source = self._catalogue.sources.get(uid)
        if source is None or source.paused or self._pressure.full:
            return await self.put_off(uid)
        run = await self._runs.under_way(uid) or await self._scheduled(source)
        if run is None:
            return None
        await self._routes.want(uid, lives_ms=2 * OVERTIME_MS)
        token = await take_over(self._routes, self._clock, uid, version=self._catalogue.version)
        if token is None:
            return await self.put_off(uid, ms=PAUSE_MS)
        renewing = asyncio.create_task(renew(self._routes, self._clock, uid, token))
        try:
            await self._work(source, run, token, is_over=self._ends(renewing))
        except (Fenced, Astray, Conflict, NotFound) as error:
            log.warning("reconciliation_interrupted", source=uid, reconciliation=run.id, error=str(error))
        finally:
            await cancelled(renewing)
            with suppress(StoreUnavailable):
                await self._routes.give_back(uid, token)
                await self._routes.poll_at(uid, 0)
        return None

    def _ends(self, renewing: asyncio.Task[None]) -> Callable[[], bool]:
        ends_ms = self._clock.now_ms() + TURN_MS
        return lambda: renewing.done() or self._stopping.is_set() or self._clock.now_ms() >= ends_ms

    async def _scheduled(self, source: Source) -> Run | None:
        """Begin a scheduled reconciliation, if it is time: from where the last one could say which rows are missing."""
        now_ms = self._clock.now_ms()
        before = [run for run in await self._runs.newest(source.uid) if run.scheduled]
        if before and now_ms - before[0].asked_at_ms < self._every_s * 500:
            # Another turn has begun one, and ended it.
            await self._rest(source.uid)
            return None
        position = next((run.settled for run in before if run.phase == "done"), {})
        return await self._runs.ask(source.uid, Range(), now_ms=now_ms, scheduled=True, position=position)

    async def _work(self, source: Source, run: Run, token: Token, *, is_over: Callable[[], bool]) -> None:
        await self._runs.go_on_at(source.uid, self._clock.now_ms() + WAIT_MS)
        # Each step writes down how far it came, also where the next one fails.
        try:
            while not is_over() and (run := await self._step(source, run, token, is_over)).is_under_way:
                pass
        except UpstreamError as error:
            run = await self._runs.under_way(source.uid) or run
            await self._failed(source, run, error)
            return
        if run.is_under_way:
            await self.put_off(source.uid, ms=PAUSE_MS)
        else:
            await self._ended(source, run)

    async def _step(self, source: Source, run: Run, token: Token, is_over: Callable[[], bool]) -> Run:
        if run.phase == "repairing":
            return await self._repairing.repair(source, run, token, now_ms=self._clock.now_ms())
        ground = await self._comparing.ground(source, run, now_ms=self._clock.now_ms())
        if run.phase == "comparing":
            return await self._comparing.compare(ground, run, is_over=is_over)
        return await self._checking.check(ground, run, now_ms=self._clock.now_ms())

    async def _failed(self, source: Source, run: Run, error: UpstreamError) -> None:
        """Ask again later, or give up."""
        failures, now_ms = run.failures + 1, self._clock.now_ms()
        after = replace(run, failures=failures, error=str(error))
        if isinstance(error, Refused) or failures >= MOST_FAILURES:
            ended = await self._runs.save(source.uid, run, replace(after, phase="failed", ended_at_ms=now_ms))
            await self._ended(source, ended)
            return
        await self._runs.save(source.uid, run, after)
        asked_s = getattr(error, "retry_after_s", None)
        await self.put_off(source.uid, ms=backoff_ms(failures, retry_after_s=asked_s, jitter=self._clock.jitter()))

    async def _ended(self, source: Source, run: Run) -> None:
        """Say what was found. A difference is an alarm."""
        data = {"source": source.uid, "reconciliationId": run.id, "scheduled": run.scheduled}
        if run.phase == "failed":
            log.error("reconciliation_failed", **data, error=run.error)
            await self._note("source.reconciliation_failed", data | {"reason": run.error})
        elif run.repair:
            log.info("reconciliation_repaired", **data, repaired=run.repaired, unrepaired=run.unrepaired)
            await self._note("source.repaired", data | {"repaired": run.repaired, "unrepaired": run.unrepaired})
        elif run.found:
            self.differences.update(run.found)
            log.warning("reconciliation_found_differences", **data, **run.found)
            await self._note("source.differs", data | dict(run.found))
        else:
            log.info("reconciliation_found_nothing", **data, rows=run.shown, events=run.events)
        await self._rest(source.uid)

    async def _note(self, kind: str, data: dict[str, object]) -> None:
        await self._operations.note(kind, data, now_ms=self._clock.now_ms())

    async def _rest(self, uid: SourceUid) -> None:
        """Until somebody asks for another one, or until the next one that is scheduled."""
        now_ms = self._clock.now_ms()
        again = await self._runs.under_way(uid) is not None
        next_ms = now_ms if again else next_run_ms(now_ms, every_s=self._every_s, jitter=self._clock.jitter())
        await self._runs.go_on_at(uid, next_ms)


def _gone_in(catalogue: Catalogue) -> Callable[[EndpointId], bool]:
    return lambda endpoint: catalogue.standing(endpoint) == "gone"
