"""One page, whichever reading asks for it: the request, the lines, what they prove, and the way to ingest."""

from collections.abc import Sequence
from typing import NamedTuple

import structlog

from relay.domain.model import Source
from relay.domain.paging import Advance, advance
from relay.domain.plausibility import ENOUGH
from relay.domain.reading.audience import Audience
from relay.errors import Retriable
from relay.outbound.reports_api import Page, ReportsApi
from relay.pipeline.ingest import Ingest
from relay.pipeline.lines import Line, read_lines
from relay.pipeline.route_poll import AHEAD, RoutePoll
from relay.pipeline.setbacks import SMALLEST_LIMIT

log = structlog.get_logger()


class Span(NamedTuple):
    """What a page is asked for: rows behind `after`, up to `until` (None: without a bound), and how many."""

    after: int
    until: int | None
    limit: int


class Sheet(NamedTuple):
    """A page, and its lines with their rowIds."""

    page: Page
    lines: list[Line]

    @property
    def row_ids(self) -> list[int]:
        """The rowIds that can be read, in the page's order."""
        return [line.row_id for line in self.lines if line.row_id is not None]


class PageReader:
    """Reads pages for all readings."""

    def __init__(self, *, reports: ReportsApi, ingest: Ingest) -> None:
        self.reports = reports
        self._ingest = ingest

    async def ask(
        self, source: Source, route: str, span: Span, *, row_ids_only: bool = False, until_day: str | None = None
    ) -> Page:
        """Ask the upstream. Raises as ReportsApi.fetch does."""
        return await self.reports.fetch(
            source, route,
            after=span.after, limit=span.limit, until=span.until, row_ids_only=row_ids_only, until_day=until_day,
        )  # fmt: skip

    async def read(self, page: Page) -> Sheet:
        """Find the rowIds of a page's lines."""
        return Sheet(page, await read_lines(page.lines, had_bom=page.had_bom))

    async def take_in(
        self,
        source: Source,
        poll: RoutePoll,
        lines: Sequence[Line],
        row_ids: Sequence[int],
        *,
        cursor: int | None,
        audience: Audience | None = None,
        asked_ms: int,
        took_ms: int,
        reading: str = AHEAD,
    ) -> int:
        """Commit the rows of a page, and move the route's cursor (None: leave it). Gives the events.

        `asked_ms` is when the upstream was asked for the page, and `took_ms` how long it took: for traces and the log,
        as is `reading`, which says who wanted it. Raises as Ingest.take_in does.
        """
        if not lines:
            return 0
        events = await self._ingest.take_in(
            source, poll.state.route, lines,
            row_ids=row_ids, after=poll.state.cursor or 0, cursor=cursor, token=poll.token, audience=audience,
            asked_ms=asked_ms,
        )  # fmt: skip
        fields = {
            "source": source.uid, "route": poll.state.route, "reading": reading, "rows": len(row_ids), "events": events,
            "cursor": poll.state.cursor if cursor is None else cursor, "upstream_ms": took_ms,
        }  # fmt: skip
        if events or cursor is not None:
            log.info("page_taken_in", **fields)
        else:
            # A reading behind the cursor sees mostly rows that are known.
            log.debug("page_taken_in", **fields)
        return events


def prove(span: Span, row_ids: Sequence[int], *, lines: int, page: Page) -> Advance:
    """What a page of so many lines, with these rowIds, proves for its reading."""
    rejected = lines - len(row_ids)
    return advance(
        span.after, row_ids, limit=span.limit, ceiling=span.until, rejected=rejected, truncated=page.truncated
    )


def check_proof(step: Advance, page: Page) -> None:
    """Raise Retriable for a page that proves nothing: to ask again at once would run in circles."""
    if step.state == "stalled" or (page.truncated and not step.row_ids):
        raise Retriable("the answer proves nothing: it was cut short, or none of its lines has a readable rowId")


def limit_of(source: Source, poll: RoutePoll, *, ahead: bool = False) -> int:
    """How many rows to ask for: `ahead` of the cursor enough to judge rows far ahead, unless that was refused."""
    if poll.state.limit is not None:
        return max(SMALLEST_LIMIT, min(poll.state.limit, source.batch_size))
    return max(ENOUGH if ahead and poll.state.held_from is not None else SMALLEST_LIMIT, source.batch_size)
