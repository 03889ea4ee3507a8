"""The rows of a part of a page with the endpoints that want them, as one commit after the other takes them."""

import asyncio
from collections.abc import Collection, Sequence
from typing import Any

from msgspec import structs

from relay.domain import envelope
from relay.domain.matching import Match, Matcher, Pace
from relay.domain.model import SourceUid
from relay.domain.page_judging import Judged, Judgement
from relay.domain.reading.audience import Audience
from relay.pipeline.catalogue import Catalogue
from relay.store import pages
from relay.store.event_form import PACKING, pack_event
from relay.store.pages import RowCommit, first_prefix


class Matched:
    """Each row is matched once, and again only after a change of the configuration.

    No more rows are matched than one commit takes, and the one behind them: with ten thousand endpoints the matches of
    a whole page would take a hundred megabytes.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        source: SourceUid,
        judgement: Judgement,
        columns: Collection[str] | None,
        audience: Audience | None = None,
    ) -> None:
        """`columns`: those of the trigger that the data of the rows has at least; None: all.

        `audience` receives the rows of a backfill. None: every endpoint that wants them.
        """
        self._audience = audience
        self._catalogue = catalogue
        self._source = source
        self._version = catalogue.version
        self._judged = judgement
        self._columns = None if columns is None else frozenset(columns)
        self._committed = 0
        self._rows: list[RowCommit] = []
        self._pace = Pace()

    @property
    def left(self) -> int:
        """How many rows are not committed yet."""
        return len(self._judged.rows) - self._committed

    async def prefix(self) -> list[RowCommit]:
        """The first of the rows that are left, as many as one commit takes, matched with the configuration as it is.

        Other work of the process gets its turn in between.
        """
        if self._version != self._catalogue.version:
            self._version = self._catalogue.version
            self._rows.clear()
        matcher = self._catalogue.matcher(self._source)
        has_all = self._columns is None or (matcher.columns is not None and matcher.columns <= self._columns)
        entries = sum(len(row.lanes) for row in self._rows)
        for at in range(self._committed + len(self._rows), len(self._judged.rows)):
            if len(self._rows) > pages.EVENTS_AT_ONCE or entries > pages.LANE_ENTRIES_AT_ONCE:
                break
            row = await self._unless_erased(self._judged.rows[at])
            lanes: Sequence[Match] = ()
            if row.event and not row.is_erased:
                data = self._judged.data[at] if has_all else _whole(row)
                lanes = self._for_audience(row, await match_in_turns(matcher, row.types, data, self._pace))
                entries += len(lanes)
            row_commit = RowCommit(
                row.row_id, row.seen, row.message or None, row.number, row.event, lanes, matcher.unchecked, row.before
            )
            self._rows.append(row_commit)
        return first_prefix(self._rows)

    async def _unless_erased(self, row: Judged) -> Judged:
        """A row about somebody who was erased is told to nobody: its event has no content, and notes that it came."""
        erased = self._catalogue.erased
        if erased is None or not row.event:
            return row
        # A look takes a tenth of a millisecond: other work of the process gets its turn in between.
        await asyncio.sleep(0)
        event = PACKING.unpack(row.event)
        if not erased.covers(self._source, event):
            return row
        without = structs.replace(event, body=envelope.expunged(event))
        return structs.replace(row, event=pack_event(without), is_erased=True)

    def _for_audience(self, row: Judged, lanes: list[Match]) -> list[Match]:
        """Without endpoints that a backfill is not for, unless the row is news for everybody."""
        audience = self._audience
        if audience is None or audience.endpoints is None:
            return lanes
        if row.sight == "changed" or (row.sight == "new" and row.row_id > audience.live_from):
            return lanes
        return [match for match in lanes if match[0] in audience.endpoints]

    def drop(self, count: int) -> None:
        """The first of them are committed."""
        del self._rows[:count]
        self._committed += count


async def match_in_turns(matcher: Matcher, types: bytes, data: dict[str, Any], pace: Pace) -> list[Match]:
    """`Matcher.match`; other work of the process gets its turn when the pace says so."""
    weight = matcher.weight(types)
    if weight < pace.left:
        pace.left -= weight
        return matcher.match(types, data)
    steps = matcher.steps(types, data, pace)
    while True:
        try:
            next(steps)
        except StopIteration as ended:
            matches: list[Match] = ended.value
            return matches
        await asyncio.sleep(0)


def _whole(row: Judged) -> dict[str, Any]:
    """The whole data of an event, if filters read columns that were not asked for when it was judged."""
    return envelope.decode(PACKING.unpack(row.event).body)
