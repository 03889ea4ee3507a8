"""The pages behind a route's cursor: whichever reading wants one, the page is read in the same way."""

from collections.abc import Sequence

import structlog
from msgspec.structs import replace

from relay.domain.model import Source
from relay.domain.polling import next_poll_ms
from relay.domain.reading.answers import row_ids_alone
from relay.domain.reading.place import Place
from relay.domain.reading.plan import Plan, Reading
from relay.domain.reading.trail import cursor_at
from relay.errors import Declined
from relay.pipeline.clock import Clock
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
        plan: Plan,
        clock: Clock,
    ) -> None:
        self._pages = pages
        self._known = known
        self._routes = routes
        self._readings = readings
        self._operations = operations
        self._plan = plan
        self._clock = clock

    async def read(self, source: Source, poll: RoutePoll, reading: Reading) -> None:
        """Read one page of a reading, or note that it has nothing to read now. Raises what the page's steps raise.

        How far that is is kept, because a round can take longer than a slice.
        """
        began_ms = self._clock.now_ms()
        place = await self._begun(source, poll, reading)
        if place.until is not None:
            row_ids_only = reading.row_ids_only and place.after >= place.whole_until
            if row_ids_only and poll.state.whole_rows_until_ms <= began_ms:
                place = await self._row_ids(source, poll, place)
            else:
                place = await self._whole_rows(source, poll, place)
            poll.took_ms[reading.name] = self._clock.now_ms() - began_ms
            if reading.is_budgeted:
                poll.budget.due_ms = self._clock.now_ms() + self._plan.spacing_ms
        if place.until is None or place.after >= place.until:
            wait_ms = next_poll_ms(reading.every_s(source.poll_interval_s), jitter=self._clock.jitter())
            place = Place(place.after, due_ms=began_ms + wait_ms)
        await poll.put(self._readings, source, {reading.name: place})

    async def _begun(self, source: Source, poll: RoutePoll, reading: Reading) -> Place:
        """The place of a reading, in a round unless there is nothing to read."""
        place, route = poll.places[reading.name], poll.state.route
        if place.until is None:
            cursor, trail = poll.state.cursor or 0, await self._readings.trail(source.uid, route)
            then = cursor_at(trail, self._clock.now_ms() - reading.back_ms(source.poll_interval_s))
            oldest = min((step.cursor for step in trail), default=cursor)
            place = place.begun(*reading.span(place, cursor=cursor, then=then, first=oldest))
        known_from = await self._readings.known_from(source.uid, space_of(route))
        if place.after < known_from:
            await self._report_cut(source, route, reading, place, known_from)
            place = place.past(known_from)
        until = place.until or 0
        if reading.row_ids_only and place.after < until:
            behind = await self._readings.behind_full(source.uid, space_of(route), place.after, until)
            place = place.past(behind)
        return place if place.after < until else replace(place, until=None)

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
        return place.moved(step.cursor, ceiling=step.ceiling, now_ms=self._clock.now_ms())

    async def _whole_rows(self, source: Source, poll: RoutePoll, place: Place) -> Place:
        """Take in a page of rows: those that are new or changed become events."""
        end = place.until if place.whole_until <= place.after else min(place.whole_until, place.until or 0)
        span = Span(place.after, place.ceiling or end, limit_of(source, poll))
        sheet = await self._pages.read(await self._pages.ask(source, poll.state.route, span))
        step = prove(span, sheet.row_ids, lines=len(sheet.lines), page=sheet.page)
        await self._pages.take_in(source, poll, sheet.lines, step.row_ids, cursor=None)
        check_proof(step, sheet.page)
        return place.moved(step.cursor, ceiling=step.ceiling, now_ms=self._clock.now_ms())

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

    async def _report_cut(self, source: Source, route: str, reading: Reading, place: Place, known_from: int) -> None:
        """Say which rows a reading leaves out, because nothing is known of them any more: they would come twice."""
        if not reading.is_budgeted:
            return
        data = {
            "source": source.uid, "route": route, "reading": reading.name,
            "afterRowId": str(place.after), "untilRowId": str(known_from),
        }  # fmt: skip
        log.warning("reading_cut", **data, do="raise RELAY_KNOWN_ROWS_BYTES; see docs/runbook.md")
        await self._operations.note("reading.cut", data, now_ms=self._clock.now_ms())
