"""Ingest: from a page of lines to committed events. What is known is left out, the rest is classified and matched."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import msgspec
import structlog

from relay.domain.classifying import classify
from relay.domain.identity import Changed, Known, Seen, is_known, judge_row, raw_digest, stable_digest
from relay.domain.matching import Match, Matcher, Pace
from relay.domain.model import ROUTES, MessageId, Source, StoredEvent
from relay.domain.telling import Told, tell
from relay.errors import StaleSubscriptions
from relay.pipeline.catalogue import Catalogue
from relay.pipeline.clock import Clock
from relay.pipeline.lines import Line, first_readable, in_parts, read
from relay.store import pages
from relay.store.bodies import Bodies
from relay.store.events import Events, pack_event
from relay.store.pages import Pages, RowCommit, first_prefix
from relay.store.routes import Routes, Token, space_of

log = structlog.get_logger()

ROWS_BETWEEN_PAUSES = 50
"""After so many rows (2 ms) other work of the process gets its turn: callbacks must not wait for a page."""
PARTS_AT_ONCE = 2
"""Parts of pages that are objects at the same time, of all sources: each can take fifty times its size."""
QUARANTINED_BYTES = 2048
"""How much of a line that could not be read is kept."""


@dataclass(slots=True)
class Taken:
    """A row that leaves something behind: what is known of it from now on, and mostly an event."""

    row_id: int
    seen: bytes
    message: MessageId | None = None
    number: int = 0
    event: StoredEvent | None = None
    packed: bytes = b""
    data: dict[str, Any] = field(default_factory=dict)


def _read_seen(source: Source, route: str, packed: dict[int, bytes]) -> dict[int, Seen]:
    """What is known of rows. What can't be read is not known: the same row gives the same event id again."""
    known: dict[int, Seen] = {}
    for row_id, kept in packed.items():
        with suppress(ValueError):
            known[row_id] = Seen.unpack(kept)
    if len(known) < len(packed):
        log.warning("rows_unreadable", source=source.uid, route=route, rows=len(packed) - len(known))
    return known


def _sights(
    source: Source, route: str, lines: Sequence[tuple[int, Line]], known: dict[int, Seen], number: int
) -> list[Told | Taken]:
    """Read what needs reading, and judge it. `number` is the first line's event's."""
    owner, owners = ROUTES.index(route), {ROUTES.index(name) for name in source.routes}
    told: list[Told | Taken] = []
    for i, (row_id, line) in enumerate(lines):
        seen, raw = known.get(row_id), raw_digest(line.raw)
        if is_known(seen, route=owner, routes=owners, raw=raw):
            continue
        row = read(line)
        if row is None:
            continue
        if row.row_id != row_id:
            line.reason = "the row's beginning shows another rowId"
            continue
        digest = stable_digest(row.columns)
        classes = classify(row.columns, route=route)
        sight = judge_row(seen, route=owner, routes=owners, raw=raw, digest=digest, classes=classes)
        if not isinstance(sight, Known):
            told.append(Told(number + i, row, sight, digest, classes))
        elif sight.seen is not None:
            told.append(Taken(row_id, sight.seen.pack()))
    return told


class _Matched:
    """Rows of a page with the endpoints that want them: each is matched once, and again only after a change.

    No more rows are matched than one commit takes, and the one behind them: with ten thousand endpoints the matches of
    a whole page would take a hundred megabytes.
    """

    def __init__(self, catalogue: Catalogue, source: Source) -> None:
        self._catalogue = catalogue
        self._source = source.uid
        self._version = catalogue.version
        self._rows: list[RowCommit] = []
        self._pace = Pace()

    async def prefix(self, taken: Sequence[Taken]) -> list[RowCommit]:
        """The first of the rows that are left, as many as one commit takes, matched with the configuration as it is.

        Other work of the process gets its turn meanwhile.
        """
        if self._version != self._catalogue.version:
            self._version = self._catalogue.version
            self._rows.clear()
        matcher = self._catalogue.matcher(self._source)
        entries = sum(len(row.lanes) for row in self._rows)
        for row in taken[len(self._rows) :]:
            if len(self._rows) > pages.EVENTS_AT_ONCE or entries > pages.LANE_ENTRIES_AT_ONCE:
                break
            lanes = await self._match(matcher, row.event.types, row.data) if row.event is not None else ()
            commit = RowCommit(row.row_id, row.seen, row.message, row.number, row.packed, lanes, matcher.unchecked)
            self._rows.append(commit)
            entries += len(lanes)
        return first_prefix(self._rows)

    async def _match(self, matcher: Matcher, types: bytes, data: dict[str, Any]) -> list[Match]:
        weight = matcher.weight(types)
        if weight < self._pace.left:
            self._pace.left -= weight
            return matcher.match(types, data)
        steps = matcher.steps(types, data, self._pace)
        while True:
            try:
                next(steps)
            except StopIteration as ended:
                matches: list[Match] = ended.value
                return matches
            await asyncio.sleep(0)

    def drop(self, count: int) -> None:
        """The first of them are committed."""
        del self._rows[:count]


class Ingest:
    """Takes pages in, one at a time for each source."""

    def __init__(
        self, *, pages: Pages, events: Events, routes: Routes, bodies: Bodies, catalogue: Catalogue, clock: Clock
    ) -> None:
        self._pages = pages
        self._events = events
        self._routes = routes
        self._bodies = bodies
        self._catalogue = catalogue
        self._clock = clock
        self._room = asyncio.Semaphore(PARTS_AT_ONCE)

    async def take_in(
        self,
        source: Source,
        route: str,
        lines: Sequence[Line],
        *,
        row_ids: Sequence[int],
        cursor: int | None,
        token: Token,
        after: int | None = None,
    ) -> int:
        """Commit the lines of the rows `row_ids` (ascending) and move the cursor (None: leave it). Gives the events.

        `after` is the cursor that the route must have (None: any). Raises Fenced when another poller took over, Astray
        when the store is not where the token's holder left it, StoreUnavailable when Redis fails; then the page is to
        be fetched again, and what was committed of it is known.
        """
        first, events = first_readable(lines), 0
        parts = list(in_parts([(i, first[i]) for i in row_ids]))
        for part in parts[:-1]:
            moved = None if cursor is None else part[-1][0]
            events += await self._take_part(source, route, part, after=after, cursor=moved, token=token)
            after = after if moved is None else moved
        last = parts[-1] if parts else []
        # Lines are set aside before the cursor passes them.
        return events + await self._take_part(
            source, route, last, after=after, cursor=cursor, token=token, others=lines
        )

    async def _take_part(
        self,
        source: Source,
        route: str,
        part: Sequence[tuple[int, Line]],
        *,
        after: int | None,
        cursor: int | None,
        token: Token,
        others: Sequence[Line] = (),
    ) -> int:
        """Judge and commit some of a page's rows; `others` are lines that may be broken beside them."""
        space, row_ids = space_of(route), [row_id for row_id, _ in part]
        async with self._room:
            packed, number = await self._pages.known(source.uid, space, row_ids, token=token)
            known = _read_seen(source, route, packed)
            taken = await self._judge(source, route, part, known, number)
            await self._set_aside(source, route, others or [line for _, line in part], token)
            await self._commit(source, route, taken, space=space, after=after, cursor=cursor, token=token)
            return sum(1 for row in taken if row.event is not None)

    async def _judge(
        self, source: Source, route: str, lines: Sequence[tuple[int, Line]], known: dict[int, Seen], number: int
    ) -> list[Taken]:
        taken: list[Taken] = []
        for first in range(0, len(lines), ROWS_BETWEEN_PAUSES):
            some = lines[first : first + ROWS_BETWEEN_PAUSES]
            taken += await self._events_of(source, route, _sights(source, route, some, known, number + first))
            await asyncio.sleep(0)
        return taken

    async def _events_of(self, source: Source, route: str, told: Sequence[Told | Taken]) -> list[Taken]:
        """The same with what tells of rows made into events."""
        changed = [e.sight.seen.number for e in told if isinstance(e, Told) and isinstance(e.sight, Changed)]
        before = await self._events.read(source.uid, changed)
        now_ms = self._clock.now_ms()
        taken = []
        for each in told:
            if isinstance(each, Told):
                event, data = tell(source, space_of(route), each, before.get(each.sight.seen.number), now_ms=now_ms)
                seen = msgspec.structs.replace(each.sight.seen, number=each.number).pack()
                taken.append(Taken(each.row.row_id, seen, event.id, each.number, event, pack_event(event), data))
            else:
                taken.append(each)
        return taken

    async def _commit(
        self,
        source: Source,
        route: str,
        taken: list[Taken],
        *,
        space: str,
        after: int | None,
        cursor: int | None,
        token: Token,
    ) -> None:
        rest, committed, matched = taken, cursor is None, _Matched(self._catalogue, source)
        while rest or not committed:
            version = self._catalogue.version
            prefix = await matched.prefix(rest)
            moved = cursor if len(prefix) == len(rest) or cursor is None else prefix[-1].row_id
            try:
                await self._pages.commit(
                    source.uid,
                    route,
                    prefix,
                    space=space,
                    after=after,
                    cursor=moved,
                    token=token,
                    version=version,
                    now_ms=self._clock.now_ms(),
                )
            except StaleSubscriptions:
                await self._catalogue.refresh()
                continue
            for row in rest[: len(prefix)]:
                if row.event is not None:
                    self._bodies.keep(source.uid, row.number, row.event)
            matched.drop(len(prefix))
            rest, committed, after = rest[len(prefix) :], True, after if moved is None else moved

    async def _set_aside(self, source: Source, route: str, lines: Sequence[Line], token: Token) -> None:
        broken = {
            raw_digest(line.raw).hex(): {
                "route": route,
                "rowId": None if line.row_id is None else str(line.row_id),
                "reason": line.reason,
                "line": line.raw[:QUARANTINED_BYTES].decode("utf-8", "replace"),
                "seenAtMs": self._clock.now_ms(),
            }
            for line in lines
            if line.reason
        }
        if broken:
            await self._routes.set_aside(source.uid, broken, token=token)
            log.warning("lines_set_aside", source=source.uid, route=route, lines=len(broken))
