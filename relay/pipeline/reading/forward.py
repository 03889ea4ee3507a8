"""The pages ahead of a route's cursor: the only ones that move it."""

from collections.abc import Callable

import msgspec
import structlog

from relay.domain.freshness import counted, is_short
from relay.domain.model import Source
from relay.domain.paging import Advance, advance
from relay.domain.polling import TRY_MORE_MS, limit_to_try, next_poll_ms
from relay.domain.reading.answers import is_history
from relay.errors import LimitRefused
from relay.outbound.reports_api import Page
from relay.pipeline.clock import Clock
from relay.pipeline.holding import Held, hold_far_rows
from relay.pipeline.reading.pages import PageReader, Span, check_proof, limit_of
from relay.pipeline.route_poll import RoutePoll
from relay.store.readings import Readings
from relay.store.routes import Routes

log = structlog.get_logger()


class Forward:
    """Reads what is behind the cursor, until a page is empty."""

    def __init__(self, *, pages: PageReader, routes: Routes, readings: Readings, clock: Clock) -> None:
        self._pages = pages
        self._routes = routes
        self._readings = readings
        self._clock = clock

    async def read(self, source: Source, poll: RoutePoll, *, is_alone: Callable[[], bool]) -> None:
        """Read one page, and move the cursor. The next page is fetched ahead while `is_alone` allows it (H29)."""
        route, cursor = poll.state.route, poll.state.cursor or 0
        more = await self._more(source, poll)
        span = Span(cursor, poll.ceiling, more or limit_of(source, poll, ahead=True))
        try:
            page = await poll.take_ahead(span) or await self._pages.ask(source, route, span)
        except LimitRefused as error:
            if more is None:
                raise
            # The route is due still, and asks for as many rows as before.
            log.info("larger_limit_refused", source=source.uid, route=route, limit=more, error=str(error))
            return
        polled_ms = self._clock.now_ms()
        lines = (await self._pages.read(page)).lines
        held = await hold_far_rows(self._routes, source, poll, lines, limit=span.limit, is_cut=page.truncated)
        step = advance(
            cursor, held.row_ids,
            limit=span.limit, ceiling=span.until, rejected=held.rejected, truncated=page.truncated,
        )  # fmt: skip
        is_full = len(held.row_ids) >= span.limit
        if is_full and step.state == "more" and step.in_order and is_alone():
            following = Span(step.cursor, step.ceiling, span.limit)
            poll.read_ahead(following, self._pages.ask(source, route, following))
        moved = step.cursor if step.cursor != cursor else None
        await self._pages.take_in(
            source, poll, lines, step.row_ids, cursor=moved, asked_ms=page.asked_ms, took_ms=page.took_ms
        )
        poll.ceiling = step.ceiling
        poll.state = msgspec.structs.replace(poll.state, cursor=step.cursor)
        if moved is not None:
            poll.trail = None
        # Later, whole pages of old rows are what somebody imported: they are as new as all others.
        if is_full and moved is not None and poll.state.caught_up_at_ms is None:
            await self._leave_history_out(source, poll, page, cursor)
        if more is not None:
            held.changes.update(limit=None if more >= source.batch_size else more, limit_until_ms=polled_ms)
        if is_short(len(page.lines), limit=span.limit, is_cut=page.truncated):
            held.changes["short_at_ms"] = polled_ms
        await self._note(source, poll, page, held, step, polled_ms=polled_ms, has_moved=moved is not None)

    async def _more(self, source: Source, poll: RoutePoll) -> int | None:
        """How many rows to try, if it is time to try more. That is noted first, so a trial takes one request."""
        now_ms = self._clock.now_ms()
        more = limit_to_try(poll.state, batch_size=source.batch_size, now_ms=now_ms)
        if more is not None:
            await poll.save(self._routes, source, limit_until_ms=now_ms + TRY_MORE_MS)
        return more

    async def _leave_history_out(self, source: Source, poll: RoutePoll, page: Page, before: int) -> None:
        """Readings that have nothing else to read go with the cursor over a page of rows that are too old for them."""
        now_ms = self._clock.now_ms()
        waiting = [each for each in poll.readings.values() if each.history_s and poll.places[each.name].after == before]
        passed = {
            each.name: msgspec.structs.replace(poll.places[each.name], after=poll.state.cursor or 0)
            for each in waiting
            if is_history(page.lines, now_ms=now_ms, older_s=each.history_s)
        }
        if passed:
            await poll.put(self._readings, source, passed)

    async def _note(
        self, source: Source, poll: RoutePoll, page: Page, held: Held, step: Advance, *, polled_ms: int, has_moved: bool
    ) -> None:
        """Note what the page means in the route's state. Raises Retriable for one that proves nothing."""
        held.changes["anchored"] = int(has_moved or poll.state.anchored > 0)
        check_proof(step, page)
        # The next poll is due now, and not at 0: the route that was polled longest ago goes first.
        changes: dict[str, int | str | None] = held.changes | {
            "state": "polling", "failures": 0, "last_poll_at_ms": polled_ms, "next_poll_at_ms": polled_ms,
            "rows_counted": counted(poll.state, len(step.row_ids), now_ms=polled_ms),
        }  # fmt: skip
        if has_moved:
            changes["moved_at_ms"] = polled_ms
        if step.state == "caught_up":
            wait_ms = next_poll_ms(source.poll_interval_s, jitter=self._clock.jitter())
            changes |= {"caught_up_at_ms": polled_ms, "next_poll_at_ms": polled_ms + wait_ms}
        unsorted = None if step.in_order else "the upstream did not sort by rowId"
        if said := held.said or page.problem or unsorted:
            changes |= {"last_error": said, "last_error_at_ms": polled_ms}
        elif poll.state.last_error is not None and step.state == "caught_up":
            changes |= {"last_error": None, "last_error_at_ms": None}
        if poll.state.state in ("failing", "stopped"):
            log.info("route_resumed", source=source.uid, route=poll.state.route, failures=poll.state.failures)
        await poll.save(self._routes, source, **changes)
