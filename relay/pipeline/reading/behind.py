"""The pages behind a route's cursor: whichever reading wants one, the page is read in the same way."""

from collections.abc import Sequence

import structlog
from msgspec.structs import replace

from relay.domain.model import Source
from relay.domain.paging import Advance
from relay.domain.polling import next_poll_ms
from relay.domain.reading.answers import row_ids_alone
from relay.domain.reading.backfill import BackfillReading
from relay.domain.reading.place import Place
from relay.domain.reading.plan import Plan, Reading
from relay.domain.reading.trail import cursor_at
from relay.errors import Declined
from relay.pipeline.clock import Clock
from relay.pipeline.reading.backfilling import FULL_WAIT_MS, Backfilling
from relay.pipeline.reading.pages import PageReader, Span, check_proof, limit_of, prove
from relay.pipeline.route_poll import RoutePoll
from relay.store.operations import Operations
from relay.store.pages import Pages
from relay.store.readings import Readings
from relay.store.routes import Routes, space_of

log = structlog.get_logger()

ASK_AGAIN_MS = 6 * 3_600_000
"""How long gaps are probed with whole rows, after the upstream showed no rowIds alone."""
SOON_MS = 1_000
KNOWN_AT_ONCE = 250
"""Rows that one round trip asks about."""


class Behind:
    """Reads rows that the cursor has passed. No cursor moves."""

    def __init__(
        self,
        *,
        pages: PageReader,
        known: Pages,
        routes: Routes,
        readings: Readings,
        operations: Operations,
        backfilling: Backfilling,
        plan: Plan,
        clock: Clock,
    ) -> None:
        self._pages = pages
        self._known = known
        self._routes = routes
        self._readings = readings
        self._operations = operations
        self._backfilling = backfilling
        self._plan = plan
        self._clock = clock

    async def read(self, source: Source, poll: RoutePoll, reading: Reading) -> None:
        """Read one page of a reading, or note that it has nothing to read now. Raises what the page's steps raise.

        How far that is is kept, because a round can take longer than a slice.
        """
        began_ms = self._clock.now_ms()
        if isinstance(reading, BackfillReading) and await self._waits(source, poll, reading, began_ms):
            return
        place = await self._begun(source, poll, reading)
        if place.until is None and not reading.is_once:
            await self._rest(source, poll, {reading.name: place})
            return
        # A page that fails belongs to this round, which continues after the reading's own wait, not with the next poll.
        poll.places[reading.name] = place
        if place.until is not None:
            try:
                place = await self._page(source, poll, reading, place)
            finally:
                # A request that fails is one of the budget too.
                if reading.is_budgeted:
                    poll.budget.due_ms = self._clock.now_ms() + self._plan.spacing_ms
            poll.took_ms[reading.name] = self._clock.now_ms() - began_ms
        has_ended = place.until is None or place.after >= place.until
        if has_ended and isinstance(reading, BackfillReading):
            await self._backfilling.end(source, poll, reading, place)
            return
        if has_ended:
            place = self._rested(source, reading, place, now_ms=began_ms)
        await poll.put(self._readings, source, {reading.name: place})

    async def _waits(self, source: Source, poll: RoutePoll, reading: BackfillReading, now_ms: int) -> bool:
        """Whether a backfill has to wait. Its place says for which endpoints."""
        waits_for = await self._backfilling.waits_for(source, reading.backfill)
        place = poll.places[reading.name] = replace(poll.places[reading.name], waits_for=waits_for)
        if waits_for:
            await poll.put(self._readings, source, {reading.name: replace(place, due_ms=now_ms + FULL_WAIT_MS)})
        return bool(waits_for)

    def _rested(self, source: Source, reading: Reading, place: Place, *, now_ms: int) -> Place:
        wait_ms = next_poll_ms(reading.every_s(source.poll_interval_s), jitter=self._clock.jitter())
        return place.rested(now_ms + wait_ms)

    async def _rest(self, source: Source, poll: RoutePoll, idle: dict[str, Place]) -> None:
        """End the rounds of readings that have nothing to read now, and of all others that are due and have nothing.

        In a quiet source that is most of them, so they are written down together.
        """
        now_ms, poll_s = self._clock.now_ms(), source.poll_interval_s
        for name, reading in poll.readings.items():
            if name not in idle and not reading.is_once and poll.due_ms(reading, poll_s=poll_s) <= now_ms:
                place = await self._at_span(source, poll, reading, poll.places[name])
                if place.after >= (place.until or 0):
                    idle[name] = place
        rested = {name: self._rested(source, poll.readings[name], place, now_ms=now_ms) for name, place in idle.items()}
        await poll.put(self._readings, source, rested)

    async def _at_span(self, source: Source, poll: RoutePoll, reading: Reading, place: Place) -> Place:
        """The place of a reading in the round that is under way, or at the beginning of the next one."""
        if place.until is not None:
            return place
        cursor, trail = poll.state.cursor or 0, await poll.known_trail(self._readings, source)
        then = cursor_at(trail, self._clock.now_ms() - reading.back_ms(source.poll_interval_s))
        oldest = min((step.cursor for step in trail), default=cursor)
        return place.begun(*reading.span(place, cursor=cursor, then=then, first=oldest))

    async def _begun(self, source: Source, poll: RoutePoll, reading: Reading) -> Place:
        """The place of a reading, in a round unless there is nothing to read."""
        place = poll.places[reading.name]
        if place.until is None and isinstance(reading, BackfillReading):
            place = replace(place, after=await self._backfilling.begins(source, reading.backfill))
        place = await self._at_span(source, poll, reading, place)
        until = place.until or 0
        if not reading.is_once and place.after < until:
            place = await self._past_forgotten(source, poll, reading, place)
        if reading.mode == "gaps" and place.after < until:
            space = space_of(poll.state.route)
            behind = await self._readings.behind_full(source.uid, space, place.after, until)
            place = place.past(behind)
        if isinstance(reading, BackfillReading) and place.after < until:
            place = await self._backfilling.past_unwanted(source, reading.backfill, place)
        return place if place.after < until else replace(place, until=None)

    async def _past_forgotten(self, source: Source, poll: RoutePoll, reading: Reading, place: Place) -> Place:
        """Behind the rows of which nothing is known any more, because they would come twice."""
        known_from = await self._readings.known_from(source.uid, space_of(poll.state.route))
        if place.after >= known_from:
            return place
        # The overlap begins each round further back than it must.
        if reading.is_budgeted:
            data = {
                "source": source.uid, "route": poll.state.route, "reading": reading.name,
                "afterRowId": str(place.after), "untilRowId": str(known_from),
            }  # fmt: skip
            log.warning("reading_cut", **data, do="raise RELAY_KNOWN_ROWS_BYTES; see docs/runbook.md")
            await self._operations.note("reading.cut", data, now_ms=self._clock.now_ms())
        return place.past(known_from)

    async def _page(self, source: Source, poll: RoutePoll, reading: Reading, place: Place) -> Place:
        """Read a page, as the reading wants it; gives where the reading is then."""
        is_refused = poll.state.whole_rows_until_ms > self._clock.now_ms()
        if reading.mode == "count":
            return await self._count(source, poll, reading, place, row_ids_only=not is_refused)
        if reading.mode == "gaps" and place.after >= place.whole_until and not is_refused:
            return await self._row_ids(source, poll, place)
        return await self._whole_rows(source, poll, reading, place)

    async def _row_ids(self, source: Source, poll: RoutePoll, place: Place) -> Place:
        """Ask for the rowIds of a page; if some of the rows are unknown, whole rows are to be read from there on."""
        route, end = poll.state.route, place.ceiling or place.until
        span = Span(place.after, end, limit_of(source, poll))
        try:
            page = await self._pages.ask(source, route, span, row_ids_only=True)
            row_ids = row_ids_alone(page.lines)
        except (Declined, ValueError) as error:
            log.warning("row_ids_refused", source=source.uid, route=route, error=str(error))
            await self._ask_for_whole_rows(source, poll)
            return replace(place, due_ms=self._clock.now_ms() + SOON_MS)
        if row_ids is None:
            await self._ask_for_whole_rows(source, poll)
            return replace(place, due_ms=self._clock.now_ms() + SOON_MS)
        step = prove(span, row_ids, lines=len(row_ids), page=page)
        check_proof(step, page)
        if unknown := await self._unknown(source, route, step.row_ids):
            return replace(place, after=unknown[0] - 1, whole_until=unknown[-1], ceiling=None, failures=0)
        return _moved(place, step, self._clock.now_ms())

    async def _whole_rows(self, source: Source, poll: RoutePoll, reading: Reading, place: Place) -> Place:
        """Take in a page of rows: those that are new or changed become events."""
        end = place.until if place.whole_until <= place.after else min(place.whole_until, place.until or 0)
        span = Span(place.after, place.ceiling or end, limit_of(source, poll))
        page = await self._pages.ask(source, poll.state.route, span, until_day=reading.until_day)
        sheet = await self._pages.read(page)
        step = prove(span, sheet.row_ids, lines=len(sheet.lines), page=sheet.page)
        row_ids, audience = step.row_ids, reading.audience(await self._live_from(source, poll))
        backfill = reading.backfill if isinstance(reading, BackfillReading) and reading.backfill.too_old else None
        old = await self._backfilling.old_rows(source, backfill, row_ids) if backfill else {}
        row_ids = [*old] if backfill else row_ids
        events = await self._pages.take_in(
            source, poll, sheet.lines, row_ids,
            cursor=None, audience=audience, asked_ms=page.asked_ms, took_ms=page.took_ms, reading=reading.name,
        )  # fmt: skip
        if backfill:
            await self._backfilling.replaced(source, backfill, old)
        check_proof(step, sheet.page)
        return _moved(place, step, self._clock.now_ms(), events=events)

    async def _live_from(self, source: Source, poll: RoutePoll) -> int:
        """Behind which rowId readings of the route still look for late rows: not where known ones were forgotten."""
        followers = [poll.places[each.name].after for each in self._plan.followers if each.name in poll.places]
        known_from = await self._readings.known_from(source.uid, space_of(poll.state.route))
        return max(known_from, min([poll.state.cursor or 0, *followers]))

    async def _count(
        self, source: Source, poll: RoutePoll, reading: Reading, place: Place, *, row_ids_only: bool
    ) -> Place:
        """Count the rows of a page, and those that are unknown: a cursor that passed them would make them events."""
        route = poll.state.route
        span = Span(place.after, place.ceiling or place.until, limit_of(source, poll))
        try:
            page = await self._pages.ask(source, route, span, row_ids_only=row_ids_only, until_day=reading.until_day)
        except Declined:
            if not row_ids_only:
                raise
            await self._ask_for_whole_rows(source, poll)
            return replace(place, due_ms=self._clock.now_ms() + SOON_MS)
        sheet = await self._pages.read(page)
        step = prove(span, sheet.row_ids, lines=len(sheet.lines), page=page)
        check_proof(step, page)
        return _moved(place, step, self._clock.now_ms(), events=len(await self._unknown(source, route, step.row_ids)))

    async def _unknown(self, source: Source, route: str, row_ids: Sequence[int]) -> list[int]:
        unknown: list[int] = []
        for first in range(0, len(row_ids), KNOWN_AT_ONCE):
            some = row_ids[first : first + KNOWN_AT_ONCE]
            known, _ = await self._known.known(source.uid, space_of(route), some)
            unknown += (row_id for row_id in some if row_id not in known)
        return unknown

    async def _ask_for_whole_rows(self, source: Source, poll: RoutePoll) -> None:
        until_ms = self._clock.now_ms() + ASK_AGAIN_MS
        await poll.save(self._routes, source, whole_rows_until_ms=until_ms)


def _moved(place: Place, step: Advance, now_ms: int, *, events: int = 0) -> Place:
    return place.moved(step.cursor, ceiling=step.ceiling, now_ms=now_ms, rows=len(step.row_ids), events=events)
