"""Ingest: from a page of lines to committed events. What is known is left out, the rest is classified and matched."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import structlog

from relay.domain import envelope
from relay.domain.classifying import classify
from relay.domain.event_types import codes_of
from relay.domain.identity import Changed, Known, New, Seen, is_known, judge_row, message_id, raw_digest, stable_digest
from relay.domain.model import ROUTES, MessageId, Source, StoredEvent
from relay.domain.normalising import normalise
from relay.domain.parsing import Message, Row, parse_line, peek_row_id
from relay.errors import StaleSubscriptions
from relay.pipeline.catalogue import Catalogue
from relay.pipeline.clock import Clock
from relay.store.bodies import Bodies
from relay.store.events import Events, pack_event
from relay.store.pages import Pages, RowCommit, first_prefix
from relay.store.routes import Routes, space_of

log = structlog.get_logger()

ROWS_BETWEEN_PAUSES = 50
"""After so many rows (2 ms) other work of the process gets its turn: callbacks must not wait for a page."""
QUARANTINED_BYTES = 2048
"""How much of a line that could not be read is kept."""


@dataclass(slots=True)
class Line:
    """One line of a page. `row` is filled in when it had to be read."""

    raw: bytes
    row_id: int | None
    row: Row | None = None
    reason: str = ""


@dataclass(slots=True)
class Taken:
    """A row that leaves something behind: what is known of it from now on, and mostly an event."""

    row_id: int
    seen: Seen
    message: MessageId | None = None
    number: int = 0
    event: StoredEvent | None = None
    data: dict[str, Any] = field(default_factory=dict)


def read_lines(lines: Sequence[bytes]) -> list[Line]:
    """Find each line's rowId, reading only those whole that do not begin with it."""
    found = []
    for raw in lines:
        line = Line(raw, peek_row_id(raw))
        if line.row_id is None:
            _read(line)
        found.append(line)
    return found


def _read(line: Line) -> Row | None:
    parsed = parse_line(line.raw)
    if isinstance(parsed, Row):
        line.row, line.row_id = parsed, parsed.row_id
        return parsed
    line.reason = "a bare message between rows" if isinstance(parsed, Message) else parsed.reason
    line.row_id = None if isinstance(parsed, Message) else parsed.row_id
    return None


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

    async def take_in(
        self,
        source: Source,
        route: str,
        lines: Sequence[Line],
        *,
        row_ids: Sequence[int],
        cursor: int | None,
        token: int,
    ) -> int:
        """Commit the lines of the rows `row_ids` (ascending) and move the cursor (None: leave it). Gives the events.

        Raises Fenced when another poller took over, StoreUnavailable when Redis does; then the page is to be fetched
        again, and what was committed of it is known.
        """
        first: dict[int, Line] = {}
        for line in lines:
            if line.row_id is not None:
                first.setdefault(line.row_id, line)
        space = space_of(route)
        known, number = await self._pages.known(source.uid, space, row_ids)
        taken = await self._judge(source, route, [(i, first[i]) for i in row_ids], known, number)
        await self._set_aside(source, route, lines)
        await self._commit(source, route, taken, space=space, cursor=cursor, token=token)
        return sum(1 for row in taken if row.event is not None)

    async def _judge(
        self, source: Source, route: str, lines: Sequence[tuple[int, Line]], known: dict[int, bytes], number: int
    ) -> list[Taken]:
        owner, owners = ROUTES.index(route), {ROUTES.index(name) for name in source.routes}
        polled_at = envelope.rfc3339(self._clock.now_ms())
        taken = []
        for i, (row_id, line) in enumerate(lines):
            if i % ROWS_BETWEEN_PAUSES == ROWS_BETWEEN_PAUSES - 1:
                await asyncio.sleep(0)
            packed = known.get(row_id)
            seen = Seen.unpack(packed) if packed is not None else None
            raw = raw_digest(line.raw)
            if is_known(seen, route=owner, routes=owners, raw=raw):
                continue
            row = line.row or _read(line)
            if row is None:
                continue
            if row.row_id != row_id:
                line.reason = "the row's beginning shows another rowId"
                continue
            digest = stable_digest(row.columns)
            classes = classify(row.columns, route=route)
            sight = judge_row(seen, route=owner, routes=owners, raw=raw, digest=digest, classes=classes)
            if isinstance(sight, Known):
                if sight.seen is not None:
                    taken.append(Taken(row_id, sight.seen))
                continue
            event = await self._event(source, route, row, sight, digest=digest, classes=classes, polled_at=polled_at)
            event.number = number + i
            event.seen = msgspec.structs.replace(sight.seen, number=event.number)
            taken.append(event)
        return taken

    async def _event(
        self, source: Source, route: str, row: Row, sight: New | Changed, *, digest: bytes, classes: int, polled_at: str
    ) -> Taken:
        trigger = normalise(row.columns)
        had = sight.had if isinstance(sight, Changed) else None
        previous = None
        if isinstance(sight, Changed):
            before = (await self._events.read(source.uid, [sight.seen.number])).get(sight.seen.number)
            # Its number may have been given again, to another row's event: then nobody knows what the row was.
            if before is not None and (before.row_id, before.revision) == (str(row.row_id), sight.revision - 1):
                previous = envelope.previous(envelope.decode(before.body)["trigger"], trigger)
        data = envelope.data(
            source=source.uid,
            igrp=source.igrp,
            row_id=row.row_id,
            revision=sight.revision,
            classes=classes,
            trigger=trigger,
            previous=previous,
        )
        space = space_of(route)
        message = message_id(source.uid, space=space, row_id=row.row_id, digest=digest, recurrence=sight.recurrence)
        body = envelope.encode(data, timestamp=envelope.timestamp(trigger, created=had is None, polled_at=polled_at))
        stored = StoredEvent(
            id=message,
            row_id=str(row.row_id),
            stored_at_ms=self._clock.now_ms(),
            revision=sight.revision,
            types=codes_of(classes, had),
            body=body,
        )
        return Taken(row.row_id, sight.seen, message, event=stored, data=data)

    async def _commit(
        self, source: Source, route: str, taken: list[Taken], *, space: str, cursor: int | None, token: int
    ) -> None:
        rest, committed = taken, cursor is None
        while rest or not committed:
            version = self._catalogue.version
            prefix = first_prefix(self._matched(source, rest))
            moved = cursor if len(prefix) == len(rest) or cursor is None else prefix[-1].row_id
            try:
                await self._pages.commit(
                    source.uid,
                    route,
                    prefix,
                    space=space,
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
            rest, committed = rest[len(prefix) :], True

    def _matched(self, source: Source, rows: Sequence[Taken]) -> list[RowCommit]:
        match = self._catalogue.matcher(source.uid).match
        return [
            RowCommit(row.row_id, row.seen.pack())
            if row.event is None
            else RowCommit(
                row.row_id,
                row.seen.pack(),
                row.message,
                row.number,
                pack_event(row.event),
                match(row.event.types, row.data),
            )
            for row in rows
        ]

    async def _set_aside(self, source: Source, route: str, lines: Sequence[Line]) -> None:
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
            await self._routes.set_aside(source.uid, broken)
            log.warning("lines_set_aside", source=source.uid, route=route, lines=len(broken))
