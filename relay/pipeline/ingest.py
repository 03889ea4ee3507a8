"""Ingest: from a page of lines to committed events. What is known is left out, the rest is classified and matched."""

import asyncio
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from relay.domain.counts import ReadingCounts
from relay.domain.identity import raw_digest
from relay.domain.model import MessageId, Source, SourceUid, StoredEvent
from relay.domain.page_judging import Judgement, Sighting, unread
from relay.domain.reading.audience import Audience
from relay.domain.telling import Facts, facts
from relay.errors import StaleSubscriptions
from relay.observability.spans import Spans
from relay.pipeline.catalogue import Catalogue
from relay.pipeline.clock import Clock
from relay.pipeline.judges import Judges
from relay.pipeline.lines import Line, first_readable, in_parts
from relay.pipeline.matched import Matched
from relay.pipeline.quarantine import Quarantine
from relay.pipeline.replaying import Replaying
from relay.store.bodies import Bodies
from relay.store.events import Events
from relay.store.pages import Pages
from relay.store.past_events import PastEvents
from relay.store.routes import Token, space_of

log = structlog.get_logger()

PARTS_AT_ONCE = 8
"""Parts of pages that are at work at the same time, of all sources. With what is made of it, each takes a megabyte."""
QUARANTINED_BYTES = 2048
"""How much of a line that could not be read is kept."""


@dataclass(frozen=True, slots=True)
class _Page:
    """What all parts of a page have in common."""

    source: Source
    route: str
    space: str
    token: Token
    audience: Audience | None
    asked_ms: int


@dataclass(frozen=True, slots=True)
class _Part:
    """Some rows of a page that are being judged."""

    lines: Mapping[int, Line]
    last: int | None
    """The rowId of the last one."""
    columns: Collection[str] | None
    judging: "asyncio.Task[Judgement]"


class Ingest:
    """Takes pages in, one at a time for each source."""

    def __init__(
        self,
        *,
        pages: Pages,
        events: Events,
        past: PastEvents,
        quarantine: Quarantine,
        bodies: Bodies,
        catalogue: Catalogue,
        clock: Clock,
        replaying: Replaying,
        judges: Judges | None = None,
        spans: Spans | None = None,
    ) -> None:
        self._pages = pages
        self._events = events
        self._past = past
        self._quarantine = quarantine
        self._bodies = bodies
        self._catalogue = catalogue
        self._clock = clock
        self._replaying = replaying
        self._spans = spans
        self._judges = judges or Judges()
        self._room = asyncio.Semaphore(PARTS_AT_ONCE)
        self.counts = ReadingCounts()

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
        audience: Audience | None = None,
        asked_ms: int = 0,
    ) -> int:
        """Commit the lines of the rows `row_ids` (ascending) and move the cursor (None: leave it). Gives the events.

        `asked_ms` is when the page was asked for: traces of its messages begin there. With an `audience`, rows
        that are as they were are told again, to these endpoints only.
        `after` is the cursor that the route must have (None: any). Raises Fenced when another poller took over, Astray
        when the store is not where the token's holder left it, StoreUnavailable when Redis fails; then the page is to
        be fetched again, and what was committed of it is known.
        """
        # What the caller did with the page was a stretch of its own.
        await asyncio.sleep(0)
        page, first, events = (
            _Page(source, route, space_of(route), token, audience, asked_ms),
            await first_readable(lines),
            0,
        )
        parts = deque(in_parts([(row_id, first[row_id]) for row_id in row_ids]) if row_ids else [[]])
        begun: deque[_Part] = deque()
        held = 0
        try:
            # The store's steps follow each other. Only judging runs ahead.
            while parts or begun:
                while parts and self._may_begin(begun):
                    await self._room.acquire()
                    held += 1
                    begun.append(await self._begin(page, parts.popleft()))
                is_last = not parts and len(begun) == 1
                moved = cursor if is_last or cursor is None else begun[0].last
                # Lines are set aside before the cursor passes them.
                events += await self._finish(page, begun[0], lines if is_last else (), after=after, cursor=moved)
                after = after if moved is None else moved
                begun.popleft()
                self._room.release()
                held -= 1
        finally:
            for part in begun:
                part.judging.cancel()
            await asyncio.gather(*(part.judging for part in begun), return_exceptions=True)
            for _ in range(held):
                self._room.release()
        self.counts.took_in(source.uid, route, rows=len(row_ids), events=events)
        return events

    def _may_begin(self, begun: Collection[_Part]) -> bool:
        """Whether a page may have another part at work. It waits for room only while it takes up none."""
        return not begun or (len(begun) <= self._judges.ahead and not self._room.locked())

    async def _begin(self, page: _Page, lines: Sequence[tuple[int, Line]]) -> _Part:
        """Read what is known of some rows, and begin to judge them."""
        source = page.source
        row_ids = [row_id for row_id, _ in lines]
        known, number = await self._pages.known(source.uid, page.space, row_ids, token=page.token)
        now_ms, routes = self._clock.now_ms(), source.routes
        of = facts(
            source.uid, source.igrp,
            route=page.route, routes=routes, space=page.space, now_ms=now_ms, tell_again=page.audience is not None,
        )  # fmt: skip
        sightings, damaged = unread(of, ((row_id, line.raw, line.had_bom) for row_id, line in lines), known, number)
        if damaged:
            log.warning("rows_unreadable", source=source.uid, route=page.route, rows=damaged)
        columns = self._catalogue.matcher(source.uid).columns
        judging = asyncio.create_task(self._judge(of, sightings, columns))
        return _Part(dict(lines), row_ids[-1] if row_ids else None, columns, judging)

    async def _judge(self, of: Facts, sightings: Sequence[Sighting], columns: Collection[str] | None) -> Judgement:
        judgement = await self._judges.judge(of, sightings, {}, columns)
        if changed := judgement.changed:
            # Their events say what the rows were before.
            found = await self._events.read(of.source, changed.values())
            if over := set(changed.values()) - found.keys():
                found |= await self._past.read(of.source, over)
            before: dict[int, StoredEvent | None] = {number: found.get(number) for number in changed.values()}
            again = [each for each in sightings if each.row_id in changed]
            judgement.take(await self._judges.judge(of, again, before, columns))
        return judgement

    async def _finish(
        self, page: _Page, part: _Part, others: Sequence[Line], *, after: int | None, cursor: int | None
    ) -> int:
        """Commit a part when it is judged. `others` are lines that may be broken as well. Gives the events."""
        judgement = await part.judging
        await self._set_aside(page, part, judgement, others)
        await self._commit(page, part, judgement, after=after, cursor=cursor)
        events = [row.types for row in judgement.rows if row.event]
        if page.audience is None:
            self.counts.stored(events)
        return len(events)

    async def _commit(
        self, page: _Page, part: _Part, judgement: Judgement, *, after: int | None, cursor: int | None
    ) -> None:
        source, committed = page.source.uid, cursor is None
        matched = Matched(self._catalogue, source, judgement, part.columns, page.audience)
        while matched.left or not committed:
            version = self._catalogue.version
            prefix = await matched.prefix()
            if page.audience is not None:
                prefix = await self._replaying.replay(source, prefix)
            moved = cursor if len(prefix) == matched.left or cursor is None else prefix[-1].row_id
            try:
                await self._pages.commit(
                    source,
                    page.route,
                    prefix,
                    space=page.space,
                    after=after,
                    cursor=moved,
                    token=page.token,
                    version=version,
                    now_ms=self._clock.now_ms(),
                )
            except StaleSubscriptions:
                await self._catalogue.refresh()
                continue
            for row in prefix:
                if row.message is not None:
                    self._bodies.keep_packed(source, row.number, row.message, row.event)
            self._trace(page, [row.message for row in prefix if row.message is not None])
            matched.drop(len(prefix))
            committed, after = True, after if moved is None else moved

    def _trace(self, page: _Page, messages: Iterable[MessageId]) -> None:
        if self._spans is not None:
            ids, now_ms = {"relay.source": page.source.uid, "relay.route": page.route}, self._clock.now_ms()
            for message in messages:
                self._spans.stored(message, "poll", ids, began_ms=min(page.asked_ms or now_ms, now_ms), ended_ms=now_ms)

    async def _set_aside(self, page: _Page, part: _Part, judgement: Judgement, others: Sequence[Line]) -> None:
        """Set aside the lines of a part that are broken, and those of `others`."""
        for row_id, (reason, shown_as) in judgement.faults.items():
            line = part.lines[row_id]
            line.reason, line.row_id = reason, shown_as
        broken = {
            raw_digest(line.raw).hex(): {
                "route": page.route,
                "rowId": None if line.row_id is None else str(line.row_id),
                "reason": line.reason,
                "line": self._shown(page.source.uid, line.raw[:QUARANTINED_BYTES].decode("utf-8", "replace")),
                "seenAtMs": self._clock.now_ms(),
            }
            for line in (others or part.lines.values())
            if line.reason
        }
        if broken:
            new = await self._quarantine.set_aside(page.source, page.route, broken, token=page.token)
            self.counts.quarantined += new

    def _shown(self, source: SourceUid, line: str) -> str:
        """What is kept of the beginning of a line: nothing, if it contains somebody who was erased."""
        erased = self._catalogue.erased
        return "" if erased is not None and erased.is_in_line(source, line) else line
