"""Polling: one source's routes, in turn, one request in flight, under one lease."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass

import msgspec
import structlog

from relay.domain.model import Source, SourceUid
from relay.domain.paging import advance
from relay.domain.plausibility import ENOUGH
from relay.domain.polling import next_poll_ms, overlap_floor
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
from relay.pipeline.holding import hold_far_rows
from relay.pipeline.ingest import Ingest
from relay.pipeline.joining import begin, join_routes
from relay.pipeline.lines import read_lines
from relay.pipeline.pressure import Pressure
from relay.pipeline.renewing import renew
from relay.pipeline.route_poll import RoutePoll, cancelled
from relay.pipeline.setbacks import SMALLEST_LIMIT, Setbacks
from relay.pipeline.shifts import SLICE_MS, HandOn, Shift, take_over
from relay.store.operations import Operations
from relay.store.routes import Routes

log = structlog.get_logger()

STORE_RETRY_S = 0.2
LOOK_AGAIN_S = 0.5
"""How soon a waiting slice notices that its source was changed."""
LOOK_SOON_S = 0.02
"""The same once it offers its source to the next slice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """How the rows behind a cursor are read again (hazard H11)."""

    rows: int
    seconds: float
    interval_seconds: float


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
        overlap: Overlap,
        pressure: Pressure,
        operations: Operations,
    ) -> None:
        self._reports = reports
        self._routes = routes
        self._ingest = ingest
        self._catalogue = catalogue
        self._clock = clock
        self._overlap = overlap
        self._pressure = pressure
        self._setbacks = Setbacks(routes=routes, operations=operations, clock=clock)
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
                await self._routes.give_back(uid, token)

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
            return self.stopping.is_set() or self._clock.now_ms() >= shift.ends_ms
        finally:
            await cancelled(work)
        return True

    async def _work(self, shift: Shift) -> None:
        polls: dict[str, RoutePoll] = {}
        await self._routes.look(shift.uid, shift.token)
        try:
            await self._poll_in_turn(shift, polls)
        finally:
            for poll in polls.values():
                await poll.drop_ahead()

    async def _poll_in_turn(self, shift: Shift, polls: dict[str, RoutePoll]) -> None:
        uid, token = shift.uid, shift.token
        while (source := self._catalogue.sources.get(uid)) is not None:
            if polls.keys() != set(source.routes):
                await join_routes(self._routes, self._catalogue, uid, polls, token)
                continue
            active = [polls[name] for name in source.routes]
            now_ms = self._clock.now_ms()
            for each in active:
                each.follow(now_ms, poll_s=source.poll_interval_s, overlap_s=self._overlap_s(source))
            poll = min(active, key=lambda p: p.due_ms(source))
            due_ms = poll.due_ms(source)
            if self.stopping.is_set() or await shift.is_over(now_ms, due_ms=due_ms):
                if await self._routes.keep(uid, token):
                    # The source may have been written since, and be due at once: that must not be overwritten.
                    is_same = self._catalogue.sources.get(uid) is source
                    await self._routes.poll_at(uid, min(due_ms, now_ms + 3_600_000) if is_same else 0)
                return
            if self._pressure.full:
                await self._wait_for_room(source, active)
            elif due_ms > now_ms:
                await self._rest(min((due_ms - now_ms) / 1000, LOOK_SOON_S if shift.is_offered else LOOK_AGAIN_S))
            else:
                alone = all(other is poll or other.due_ms(source) > now_ms for other in active)
                await self._turn(source, poll, alone=alone)

    async def _wait_for_room(self, source: Source, polls: list[RoutePoll]) -> None:
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

    async def _turn(self, source: Source, poll: RoutePoll, *, alone: bool) -> None:
        """One request for one route, and what follows from its answer. `alone`: no other route is due."""
        overlapping = poll.overlap_due_ms() < poll.forward_due_ms()
        try:
            if poll.state.cursor is None:
                await begin(
                    poll, source, reports=self._reports, routes=self._routes, clock=self._clock,
                    overlap_at_ms=self._next_overlap_ms(source),
                )  # fmt: skip
            elif overlapping:
                await self._overlap_page(source, poll)
            else:
                await self._forward_page(source, poll, alone=alone)
        except Refused as error:
            await self._setbacks.refused(source, poll, error)
        except LimitRefused as error:
            await self._setbacks.limit_refused(source, poll, error, overlapping=overlapping)
        except Retriable as error:
            await self._setbacks.failed(source, poll, error, overlapping=overlapping)

    async def _forward_page(self, source: Source, poll: RoutePoll, *, alone: bool) -> None:
        route, cursor = poll.state.route, poll.state.cursor or 0
        limit = _limit(source, poll)
        page = await poll.take_ahead((cursor, limit, poll.ceiling)) or await self._reports.fetch(
            source, route, after=cursor, limit=limit, until=poll.ceiling
        )
        polled_ms = self._clock.now_ms()
        lines = await read_lines(page.lines, had_bom=page.had_bom)
        held = await hold_far_rows(self._routes, source, poll, lines, limit=limit, is_cut=page.truncated)
        step = advance(
            cursor, held.row_ids, limit=limit, ceiling=poll.ceiling, rejected=held.rejected, truncated=page.truncated
        )
        # Only when nobody else is due: one request at a time is in flight for a source (H29).
        alone = alone and poll.overlap_due_ms() > polled_ms
        if alone and step.state == "more" and step.in_order and len(held.row_ids) >= limit:
            ahead = self._reports.fetch(source, route, after=step.cursor, limit=limit, until=step.ceiling)
            poll.read_ahead((step.cursor, limit, step.ceiling), ahead)
        if lines:
            moved = step.cursor if step.cursor != cursor else None
            await self._ingest.take_in(
                source, route, lines, row_ids=step.row_ids, after=cursor, cursor=moved, token=poll.token
            )
        poll.ceiling = step.ceiling
        poll.state = msgspec.structs.replace(poll.state, cursor=step.cursor)
        held.changes["anchored"] = int(step.cursor != cursor or poll.state.anchored > 0)
        if step.state == "stalled" or (page.truncated and not step.row_ids):
            raise Retriable("the answer proves nothing: it was cut short, or none of its lines has a readable rowId")
        # The next poll is due now, and not at 0: the route that was polled longest ago goes first.
        changes: dict[str, int | str | None] = held.changes | {
            "state": "polling", "failures": 0, "last_poll_at_ms": polled_ms, "next_poll_at_ms": polled_ms,
        }  # fmt: skip
        if step.state == "caught_up":
            wait_ms = next_poll_ms(source.poll_interval_s, jitter=self._clock.jitter())
            changes |= {"caught_up_at_ms": polled_ms, "next_poll_at_ms": polled_ms + wait_ms}
        unsorted = None if step.in_order else "the upstream did not sort by rowId"
        if said := held.said or page.problem or unsorted:
            changes |= {"last_error": said, "last_error_at_ms": polled_ms}
        elif poll.state.last_error is not None and step.state == "caught_up":
            changes |= {"last_error": None, "last_error_at_ms": None}
        await poll.save(self._routes, source, **changes)

    async def _overlap_page(self, source: Source, poll: RoutePoll) -> None:
        """Read one page of the rows before the cursor again: for late ones, and for those that changed.

        How far that is is kept, for it can take longer than a slice.
        """
        route, cursor = poll.state.route, poll.state.cursor or 0
        after, end = poll.state.overlap_after, poll.state.overlap_until
        if after is None or end is None:
            after, end, poll.overlap_ceiling = await self._overlap_floor(source, route, cursor), cursor, None
        if after < end:
            limit, until = max(SMALLEST_LIMIT, poll.state.limit or source.batch_size), poll.overlap_ceiling or end
            page = await self._reports.fetch(source, route, after=after, limit=limit, until=until)
            lines = await read_lines(page.lines, had_bom=page.had_bom)
            ids = [line.row_id for line in lines if line.row_id is not None]
            rejected = len(lines) - len(ids)
            step = advance(after, ids, limit=limit, ceiling=until, rejected=rejected, truncated=page.truncated)
            if lines:
                await self._ingest.take_in(
                    source, route, lines, row_ids=step.row_ids, after=cursor, cursor=None, token=poll.token
                )
            if step.state == "stalled" or (page.truncated and not step.row_ids):
                raise Retriable("the answer for the rows before the cursor proves nothing")
            after, poll.overlap_ceiling = step.cursor, step.ceiling
        poll.overlap_failures = 0
        if after < end:
            await poll.save(
                self._routes, source, overlap_after=after, overlap_until=end, overlap_at_ms=self._clock.now_ms()
            )
        else:
            next_ms = self._next_overlap_ms(source)
            await poll.save(self._routes, source, overlap_after=None, overlap_until=None, overlap_at_ms=next_ms)

    async def _overlap_floor(self, source: Source, route: str, cursor: int) -> int:
        # One interval further back than the time that a row may be late: every rowId is read once more after that.
        reach_s = self._overlap.seconds + 2 * max(self._overlap.interval_seconds, source.poll_interval_s)
        before = await self._routes.cursor_at(source.uid, route, time_ms=self._clock.now_ms() - round(reach_s * 1000))
        return overlap_floor(cursor, cursor_before=before, most_rows=self._overlap.rows)

    def _next_overlap_ms(self, source: Source) -> int:
        return self._clock.now_ms() + next_poll_ms(self._overlap_s(source), jitter=self._clock.jitter())

    def _overlap_s(self, source: Source) -> float:
        return max(self._overlap.interval_seconds, source.poll_interval_s)


def _limit(source: Source, poll: RoutePoll) -> int:
    """How many rows to ask for: enough to judge rows far ahead, unless the upstream refused so many."""
    if poll.state.limit is not None:
        return max(SMALLEST_LIMIT, poll.state.limit)
    return max(SMALLEST_LIMIT if poll.state.held_from is None else ENOUGH, source.batch_size)
