"""The metrics of a worker: what it has sent and read since it began, and the store as a whole."""

from collections import Counter
from collections.abc import Mapping

from relay.domain.counts import DURATION_BOUNDS_MS, ReadingCounts
from relay.domain.event_types import EVENT_TYPES
from relay.domain.lags import Histogram
from relay.domain.outcomes import Failure
from relay.domain.reconciling import KINDS as DIFFERENCES
from relay.errors import StoreRefused, StoreUnavailable
from relay.metrics.naming import OTHER, Folded, Named
from relay.metrics.process import ProcessMetrics
from relay.metrics.sheet import Sheet
from relay.metrics.stored import StoredMetrics
from relay.pipeline.catalogue import Catalogue
from relay.pipeline.dispatch.dispatcher import Dispatcher

LAG_BOUNDS_MS = (10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 300_000, 900_000, 3_600_000)
OUTCOMES = ("2xx", "3xx", "4xx", "5xx", *(failure.value for failure in Failure if failure is not Failure.NONE))
ENDED = ("delivered", "dead", "unwanted")
BREAKERS = ("open", "probe", "well")
POLLS = ("ok", "failed", "refused", "limit")


class WorkerMetrics:
    """Fills the sheet of a worker."""

    def __init__(
        self,
        *,
        process: ProcessMetrics,
        stored: StoredMetrics,
        catalogue: Catalogue,
        dispatcher: Dispatcher,
        reading: ReadingCounts,
        differences: Mapping[str, int],
        slots: int,
    ) -> None:
        """`differences`: what reconciliations found, by kind; `slots`: callbacks in flight at most."""
        self._process = process
        self._stored = stored
        self._catalogue = catalogue
        self._dispatcher = dispatcher
        self._reading = reading
        self._differences = differences
        self._slots = slots
        self._named = Named((), (), {})
        self._version = -1
        self._succeeded, self._failed = Folded(), Folded()

    async def fill(self, sheet: Sheet) -> None:
        """Add all samples. Those of the store are left out while Redis does not answer."""
        now_ms = await self._process.fill(sheet)
        named = self._names()
        self._show_sent(sheet, named)
        self._show_lags(sheet)
        self._show_read(sheet, named)
        if now_ms is not None:
            await self._show_stored(sheet, named, now_ms)

    def _names(self) -> Named:
        """Made again after a change; then what was counted of things that are gone is forgotten."""
        catalogue = self._catalogue
        if self._version != catalogue.version:
            self._version = catalogue.version
            self._named = Named(catalogue.endpoints, catalogue.streams, catalogue.sources)
            self._dispatcher.counts.forget(catalogue.endpoints)
            self._reading.forget(catalogue.sources)
        return self._named

    async def _show_stored(self, sheet: Sheet, named: Named, now_ms: int) -> None:
        stored = Sheet()
        try:
            await self._stored.fill(stored, named, now_ms)
        except (StoreUnavailable, StoreRefused):
            return
        sheet.add(stored)

    def _show_sent(self, sheet: Sheet, named: Named) -> None:
        counts = self._dispatcher.counts
        _by(sheet, "relay_attempts_total", OUTCOMES, counts.outcomes)
        for result, folded, of in (
            ("success", self._succeeded, counts.succeeded),
            ("failure", self._failed, counts.failed),
        ):
            for label, count in folded.take_in(of, named).items():
                sheet.put("relay_endpoint_attempts_total", count, label, result)
        _histogram(sheet, "relay_attempt_duration_seconds", DURATION_BOUNDS_MS, counts.durations, counts.duration_ms)
        _by(sheet, "relay_deliveries_ended_total", ENDED, counts.ended)
        sheet.put("relay_retries_scheduled_total", counts.retries)
        _by(sheet, "relay_breaker_changes_total", BREAKERS, {name: counts.breakers[name] for name in BREAKERS})
        sheet.put("relay_lanes_reclaimed_total", counts.reclaimed)
        sheet.put("relay_poisoned_deliveries_total", counts.poisoned)
        sheet.put("relay_callbacks_in_flight", self._dispatcher.in_flight)
        sheet.put("relay_callback_slots", self._slots)
        sheet.put("relay_callback_connections_total", counts.connections.opened, "opened")
        sheet.put("relay_callback_connections_total", counts.connections.reused, "reused")
        sheet.put("relay_worker_load_ratio", self._dispatcher.sharing.load)

    def _show_lags(self, sheet: Sheet) -> None:
        lags = self._dispatcher.lagging.totals()
        for since, histogram in (("sight", lags.sight), ("row", lags.row)):
            _lag(sheet, histogram, since)

    def _show_read(self, sheet: Sheet, named: Named) -> None:
        reading, polls, rows = self._reading, Counter[tuple[str, ...]](), Counter[tuple[str, ...]]()
        for (source, route, outcome), count in reading.polls.items():
            polls[(*_place(named, source, route), outcome)] += count
        for (source, route), count in reading.rows.items():
            rows[_place(named, source, route)] += count
        for labels, count in polls.items():
            sheet.put("relay_polls_total", count, *labels)
        for labels, count in rows.items():
            sheet.put("relay_rows_total", count, *labels)
        _by(sheet, "relay_poll_outcomes_total", POLLS, reading.outcomes)
        sheet.put("relay_known_rows_total", reading.known_rows)
        _by(sheet, "relay_events_total", EVENT_TYPES, reading.events)
        sheet.put("relay_quarantined_lines_total", reading.quarantined)
        _by(sheet, "relay_reconciliation_differences_total", DIFFERENCES, self._differences)


def _place(named: Named, source: str, route: str) -> tuple[str, str]:
    return (source, route) if (source, route) in named.routes else (OTHER, OTHER)


def _by(sheet: Sheet, name: str, known: tuple[str, ...], counts: Mapping[str, int]) -> None:
    """One label. What is known is shown with 0: `increase` does not see a counter that begins with 1."""
    for label in (*known, *(counts.keys() - set(known))):
        sheet.put(name, counts.get(label, 0), label)


def _lag(sheet: Sheet, histogram: Histogram, since: str) -> None:
    counts = histogram.by_bounds(LAG_BOUNDS_MS)
    _histogram(sheet, "relay_delivery_lag_seconds", LAG_BOUNDS_MS, counts, histogram.sum_ms, since)


def _histogram(
    sheet: Sheet, name: str, bounds_ms: tuple[int, ...], counts: list[int], sum_ms: int, *labels: str
) -> None:
    sheet.put_histogram(name, [bound / 1000 for bound in bounds_ms], counts, sum_ms / 1000, *labels)
