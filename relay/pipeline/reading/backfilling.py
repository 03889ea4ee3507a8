"""Backfills while they run: which there are, where they begin, when they have to wait, and how they end."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import structlog

from relay.domain.model import EndpointId, Source
from relay.domain.reading.backfill import Backfill, BackfillReading
from relay.domain.reading.place import Place
from relay.errors import Conflict
from relay.outbound.reports_api import ReportsApi
from relay.pipeline.catalogue import Catalogue
from relay.pipeline.clock import Clock
from relay.pipeline.reading.old_rows import OldRows
from relay.pipeline.route_poll import RoutePoll
from relay.store.backfills import Backfills
from relay.store.backlog import Backlog
from relay.store.lanes import Lanes
from relay.store.routes import Token

log = structlog.get_logger()

FULL_WAIT_MS = 5_000
"""How long a backfill waits while an endpoint has much to do."""
MOST_NAMED = 10
"""Endpoints that a backfill says it waits for."""


class Backfilling:
    """Does what a backfill has and other readings have not."""

    def __init__(
        self,
        *,
        backfills: Backfills,
        backlog: Backlog,
        lanes: Lanes,
        old_rows: OldRows,
        reports: ReportsApi,
        catalogue: Catalogue,
        clock: Clock,
        most_bytes: int,
    ) -> None:
        """`most_bytes`: of events that wait for one endpoint, for a backfill to add to them."""
        self._backfills = backfills
        self._backlog = backlog
        self._lanes = lanes
        self._old_rows = old_rows
        self._reports = reports
        self._catalogue = catalogue
        self._clock = clock
        self._most_bytes = most_bytes

    async def running(
        self, source: Source, backfills: Iterable[Backfill], token: Token
    ) -> dict[str, list[BackfillReading]]:
        """The readings of the backfills that run, by route. Those of removed routes end. Raises Fenced, or Astray."""
        found: dict[str, list[BackfillReading]] = {}
        for each in backfills:
            if each.state != "running":
                continue
            if each.route in source.routes:
                found.setdefault(each.route, []).append(BackfillReading.of(each))
                continue
            ended = each.ended("failed", None, now_ms=self._clock.now_ms(), error="the route was removed")
            with suppress(Conflict):
                await self._backfills.end(source.uid, ended, before=each, token=token)
        return found

    async def begins(self, source: Source, backfill: Backfill) -> int:
        """Behind which rowId a backfill begins. Raises what the upstream raises."""
        if backfill.since is None:
            return backfill.after
        first = await self._reports.first_since(source, backfill.route, backfill.since)
        return backfill.until if first is None else min(first - 1, backfill.until)

    async def waits_for(self, source: Source, backfill: Backfill) -> tuple[EndpointId, ...]:
        """Endpoints that receive its rows and have so much to do that they would be dropped in the end."""
        if backfill.dry_run or backfill.receivers == ():
            return ()
        owed = await self._backlog.owed(source.uid)
        wanted = owed.keys() if backfill.receivers is None else owed.keys() & set(backfill.receivers)
        full = [each for each in wanted if owed[each] > self._most_bytes and self._is_sent_to(each)]
        # Dead deliveries keep their events too, and nobody is to send them.
        waiting = zip(full, await self._lanes.waiting(source.uid, full), strict=True)
        return tuple(sorted(endpoint for endpoint, deliveries in waiting if deliveries)[:MOST_NAMED])

    async def past_unwanted(self, source: Source, backfill: Backfill, place: Place) -> Place:
        """The place of a backfill behind the rows before the next one that it wants: one of a replay wants few."""
        if backfill.too_old is None or place.until is None:
            return place
        span = {"after": place.after, "until": place.until}
        first = await self._old_rows.first(source.uid, backfill.route, backfill.too_old, **span)
        return place.past(place.until if first is None else first - 1)

    async def old_rows(self, source: Source, backfill: Backfill, row_ids: Sequence[int]) -> Mapping[int, int]:
        """Those of the rows of a page that the backfill of a replay wants, each with the number of its old event."""
        assert backfill.too_old is not None  # noqa: S101 - other backfills want all rows
        return await self._old_rows.among(source.uid, backfill.route, backfill.too_old, row_ids)

    async def replaced(self, source: Source, backfill: Backfill, old: Mapping[int, int]) -> None:
        """Note that the old events of rows are stored again under other numbers."""
        assert backfill.too_old is not None  # noqa: S101 - see above
        await self._old_rows.replaced(source.uid, backfill.too_old, [*old.values()])

    def _is_sent_to(self, endpoint: EndpointId) -> bool:
        known = self._catalogue.endpoint(endpoint)
        return known is not None and not known.disabled and not known.paused

    async def end(self, source: Source, poll: RoutePoll, reading: BackfillReading, place: Place) -> None:
        """Note that a backfill is done. Raises Fenced, or Astray."""
        ended = reading.backfill.ended("done", place, now_ms=self._clock.now_ms())
        counts: dict[str, Any] = {"rows": ended.rows, "events": ended.events}
        log.info("backfill_done", source=source.uid, route=poll.state.route, backfill=ended.id, **counts)
        try:
            await self._backfills.end(source.uid, ended, before=reading.backfill, token=poll.token)
        except Conflict as error:
            # It was cancelled a moment ago.
            log.info("backfill_had_ended", source=source.uid, backfill=ended.id, error=str(error))
        del poll.places[reading.name], poll.readings[reading.name]
