"""The rowIds that the upstream shows in a range, and whole rows of it: the upstream's part of a reconciliation."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass

import structlog

from relay.domain.model import Source
from relay.errors import Declined, LimitRefused
from relay.pipeline.lines import Line
from relay.pipeline.reading.pages import PageReader, Span, check_proof, prove
from relay.pipeline.setbacks import SMALLEST_LIMIT

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Stretch:
    """Everything that a route shows up to a rowId, from where it was asked for on."""

    row_ids: list[int]
    """Ascending, each once."""
    reached: int
    lines: list[Line]


class RowIds:
    """Reads ranges of rowIds, a page at a time. The caller has the lease of the source (H29)."""

    def __init__(self, pages: PageReader) -> None:
        self._pages = pages

    async def rows_in(
        self, source: Source, route: str, *, after: int, until: int, whole: bool = False
    ) -> AsyncGenerator[Stretch, None]:
        """The rows of a range, stretch by stretch; `whole`: with all of their columns.

        Raises Refused, or Retriable for an answer that proves nothing.
        """
        limit, ceiling = max(SMALLEST_LIMIT, source.batch_size), until
        while after < until:
            span = Span(after, ceiling, limit)
            try:
                page = await self._pages.ask(source, route, span, row_ids_only=not whole)
            except LimitRefused:
                if limit <= SMALLEST_LIMIT:
                    raise
                limit = max(SMALLEST_LIMIT, limit // 2)
                continue
            except Declined as error:
                if whole:
                    raise
                log.warning("row_ids_refused", source=source.uid, route=route, error=str(error))
                whole = True
                continue
            sheet = await self._pages.read(page)
            step = prove(span, sheet.row_ids, lines=len(sheet.lines), page=page)
            check_proof(step, page)
            ceiling = step.ceiling or until
            if step.cursor > after:
                after = step.cursor
                yield Stretch(step.row_ids, after, sheet.lines)
