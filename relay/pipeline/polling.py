"""Polling: one source's routes, in turn, one request in flight, under one lease."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress

import structlog

from relay.domain.model import Source, SourceUid
from relay.domain.reading.plan import Plan, Reading
from relay.domain.reading.turns import Turn, next_turn, others_wait, wanted_ms
from relay.errors import (
    Astray,
    Fenced,
    LimitRefused,
    Refused,
    Retriable,
    StoreFull,
    StoreUnavailable,
)
from relay.outbound.reports_api import ReportsApi
from relay.pipeline.catalogue import Catalogue
from relay.pipeline.clock import Clock
from relay.pipeline.ingest import Ingest
from relay.pipeline.joining import begin, join_routes
from relay.pipeline.pressure import Pressure
from relay.pipeline.reading.backfilling import Backfilling
from relay.pipeline.reading.behind import Behind
from relay.pipeline.reading.forward import Forward
from relay.pipeline.reading.pages import PageReader
from relay.pipeline.reading.places import settle_places
from relay.pipeline.renewing import renew
from relay.pipeline.route_poll import RoutePoll, SourcePoll, cancelled
from relay.pipeline.setbacks import Setbacks
from relay.pipeline.shifts import SLICE_MS, HandOn, Shift, take_over
from relay.store.operations import Operations
from relay.store.pages import Pages
from relay.store.readings import Readings
from relay.store.routes import Routes, Token

log = structlog.get_logger()

STORE_RETRY_S = 0.2
LATEST_MS = 3_600_000
"""A source is looked at so often, whatever it waits for."""
LOOK_AGAIN_S = 0.5
"""How soon a waiting slice notices that its source was changed."""
LOOK_FOR_CALLS_S = 1.0
"""How soon it notices that an operator polled, paused or moved one of its routes."""
LOOK_SOON_S = 0.02
"""The same once it offers its source to the next slice."""


class Polling:
    """Runs slices: each polls the routes of one source for a while, then ends."""

    def __init__(
        self,
        *,
        reports: ReportsApi,
        routes: Routes,
        ingest: Ingest,
        catalogue: Catalogue,
        clock: Clock,
        known: Pages,
        readings: Readings,
        backfilling: Backfilling,
        plan: Plan,
        pressure: Pressure,
        operations: Operations,
    ) -> None:
        pages = PageReader(reports=reports, ingest=ingest)
        self._reports = reports
        self._routes = routes
        self._readings = readings
        self._catalogue = catalogue
        self._clock = clock
        self.counts = ingest.counts
        self._plan = plan
        self._backfilling = backfilling
        self._pressure = pressure
        self._setbacks = Setbacks(routes=routes, readings=readings, operations=operations, clock=clock)
        self._forward = Forward(pages=pages, routes=routes, readings=readings, clock=clock)
        self._behind = Behind(
            pages=pages, known=known, routes=routes, readings=readings,
            operations=operations, backfilling=backfilling, plan=plan, clock=clock,
        )  # fmt: skip
        self.stopping = asyncio.Event()
        """Set when the worker ends: slices finish the page that they are at."""

    async def slice(self, uid: SourceUid, *, hand_on: HandOn | None = None) -> None:
        """Poll a source's routes for 20 s, if no other poller does. `hand_on` enqueues the next slice at the end.

        Redis may go away and come back, also without the latest writes: as long as the lease is this
        poller's, it continues from what the store says then.
        """
        token = await take_over(self._routes, self._clock, uid, version=self._catalogue.version)
        if token is None:
            return
        shift = Shift(uid, token, self._clock.now_ms() + SLICE_MS, self._routes, hand_on)
        renewing = asyncio.create_task(renew(self._routes, self._clock, uid, token))
        try:
            while not renewing.done() and not await self._done(shift, renewing):
                await self._rest(STORE_RETRY_S)
        except Fenced as error:
            log.warning("poller_fenced", source=uid, error=str(error))
        finally:
            await cancelled(renewing)
            with suppress(StoreUnavailable):
                await shift.end()

    async def _done(self, shift: Shift, renewing: asyncio.Task[None]) -> bool:
        """Work until the slice's end, or until the lease is lost. False: Redis failed, and there is time left."""
        work = asyncio.create_task(self._work(shift))
        try:
            await asyncio.wait({renewing, work}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                await work
        except (StoreUnavailable, Astray) as error:
            if isinstance(error, StoreFull):
                self._pressure.refused()
            log.warning("slice_interrupted", source=shift.uid, error=str(error))
            shift.must_look = True
            return self.stopping.is_set() or self._clock.now_ms() >= shift.ends_ms
        finally:
            await cancelled(work)
        return True

    async def _work(self, shift: Shift) -> None:
        polls = SourcePoll()
        if shift.must_look:
            await self._routes.look(shift.uid, shift.token)
        try:
            await self._poll_in_turn(shift, polls)
        finally:
            for poll in polls.routes.values():
                await poll.drop_ahead()

    async def _poll_in_turn(self, shift: Shift, polls: SourcePoll) -> None:
        uid, token = shift.uid, shift.token
        while (source := self._catalogue.sources.get(uid)) is not None:
            if polls.routes.keys() != set(source.routes):
                await self._join(source, polls, token)
                continue
            now_ms = self._clock.now_ms()
            turns = self._turns(source, polls, now_ms)
            due_ms = wanted_ms(turns, now_ms)
            if self.stopping.is_set() or await shift.is_over(now_ms, due_ms=due_ms):
                # The source may have been written since, and be due at once: that must not be overwritten.
                is_same = self._catalogue.sources.get(uid) is source
                shift.next_ms = min(due_ms, now_ms + LATEST_MS) if is_same else 0
                return
            if self._pressure.full:
                await self._wait_for_room(source, polls.routes.values())
            elif (turn := next_turn(turns, now_ms)) is None:
                await self._look_for_calls(shift, polls)
                await self._rest(min((due_ms - now_ms) / 1000, LOOK_SOON_S if shift.is_offered else LOOK_AGAIN_S))
            else:
                await self._take(source, polls, turn)

    async def _look_for_calls(self, shift: Shift, polls: SourcePoll) -> None:
        """Raise Astray if an operator did something about a route: a slice that rests would notice at its end only."""
        now_s = asyncio.get_running_loop().time()
        if now_s - polls.looked_s > LOOK_FOR_CALLS_S:
            polls.looked_s = now_s
            if not await self._routes.is_as_left(shift.uid, shift.token):
                raise Astray(f"the store is not where the poller of source {shift.uid} left it")

    async def _join(self, source: Source, polls: SourcePoll, token: Token) -> None:
        footing, new = await join_routes(self._routes, self._readings, self._catalogue, source.uid, polls, token)
        running = await self._backfilling.running(source, footing.backfills, token)
        for poll in new:
            await self._settle(source, poll, running.get(poll.state.route, ()))

    async def _settle(self, source: Source, poll: RoutePoll, asked_for: Iterable[Reading] = ()) -> None:
        await settle_places(self._readings, self._plan, self._clock, source, poll, asked_for=asked_for)

    def _turns(self, source: Source, polls: SourcePoll, now_ms: int) -> list[Turn]:
        polls.budget.due_ms = min(polls.budget.due_ms, now_ms + self._plan.spacing_ms)
        for poll in polls.routes.values():
            poll.follow(now_ms, poll_s=source.poll_interval_s)
        return [turn for name in source.routes for turn in polls.routes[name].turns(source)]

    async def _wait_for_room(self, source: Source, polls: Iterable[RoutePoll]) -> None:
        """Ask for nothing while the store is nearly full, and say why."""
        for poll in polls:
            if poll.state.last_error != self._pressure.said:
                await poll.save(
                    self._routes, source, last_error=self._pressure.said, last_error_at_ms=self._clock.now_ms()
                )
        await self._rest(LOOK_AGAIN_S)

    async def _rest(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.stopping.wait()

    async def _take(self, source: Source, polls: SourcePoll, turn: Turn) -> None:
        """One request, and what follows from its answer."""
        poll = polls.routes[turn.route]
        reading = None if turn.reading is None else poll.readings[turn.reading]

        def is_alone() -> bool:
            now_ms = self._clock.now_ms()
            return not others_wait(self._turns(source, polls, now_ms), now_ms, but=turn)

        try:
            if poll.state.cursor is None:
                await begin(poll, source, reports=self._reports, routes=self._routes, clock=self._clock)
                await self._settle(source, poll)
            elif reading is None:
                await self._forward.read(source, poll, is_alone=is_alone)
            else:
                await self._behind.read(source, poll, reading)
            self._count(source, turn, "ok")
        except Refused as error:
            self._count(source, turn, "refused")
            await self._setbacks.refused(source, poll, error)
        except LimitRefused as error:
            self._count(source, turn, "limit")
            await self._setbacks.limit_refused(source, poll, error, reading)
        except Retriable as error:
            self._count(source, turn, "failed")
            await self._setbacks.failed(source, poll, error, reading)

    def _count(self, source: Source, turn: Turn, outcome: str) -> None:
        self.counts.polled(source.uid, turn.route, outcome)
