"""Counts how long deliveries took, in this worker, and writes that down once in some seconds for each source."""

import asyncio
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress

import structlog

from relay.domain.lags import Lags
from relay.domain.model import SourceUid, StoredEvent
from relay.domain.sending.delivery import Delivery
from relay.errors import StoreUnavailable
from relay.pipeline.clock import Clock
from relay.store.lags import MINUTE_MS, LagWindows

log = structlog.get_logger()

WRITE_S = 5.0

BySource = dict[SourceUid, dict[int, Lags]]
"""The lags of each source, by the indexes of its routes in model.ROUTES."""


class Lagging:
    """The lags that this worker has counted. What it cannot write while its minute lasts is not shown."""

    def __init__(self, windows: LagWindows, clock: Clock, *, session: str) -> None:
        self._windows = windows
        self._clock = clock
        self._session = session
        self._minute = 0
        self._now: BySource = {}
        self._changed: set[SourceUid] = set()
        self._before = Lags()
        """Of all minutes that ended, and of sources that are gone."""

    def confirmed(self, delivery: Delivery, now_ms: int) -> None:
        """A delivery was confirmed at a time. Resent ones, those of a backfill and those that wait do not count."""
        machine = delivery.lane.machine
        waits = machine.batch is not None or (machine.endpoint is not None and machine.endpoint.delay_s)
        if not delivery.reference.by_hand and not waits:
            self.count(delivery.lane.holding.source, delivery.event, now_ms)

    def count(self, source: SourceUid, event: StoredEvent, now_ms: int) -> None:
        """Count the delivery of an event, if the event wants to be counted."""
        route = event.lag_of
        if route < 0:
            return
        routes = self._now.get(source)
        if routes is None:
            routes = self._now[source] = {}
        lags = routes.get(route)
        if lags is None:
            lags = routes[route] = Lags()
        lags.add(event, now_ms)
        self._changed.add(source)

    def totals(self) -> Lags:
        """What this worker has counted since it began, of all sources: it only grows, as metrics want it."""
        return _merged([{0: self._before}, *self._now.values()])

    async def run(self, sources: Callable[[], Collection[SourceUid]]) -> None:
        """Write until cancelled, and once more then."""
        try:
            while True:
                await asyncio.sleep(WRITE_S)
                await self._write_or_say(sources())
        finally:
            with suppress(StoreUnavailable):
                await self.write(sources())

    async def _write_or_say(self, sources: Collection[SourceUid]) -> None:
        try:
            await self.write(sources)
        except StoreUnavailable as error:
            log.warning("lags_not_written", error=str(error))

    async def write(self, sources: Collection[SourceUid]) -> None:
        """Write down what changed, and begin another minute if it is time. `sources`: those that there are.

        Raises StoreUnavailable: then the next call writes it.
        """
        for gone in self._now.keys() - set(sources):
            self._before = _merged([{0: self._before}, self._now.pop(gone)])
        now = self._clock.now_ms() // MINUTE_MS
        minute, self._minute = self._minute or now, now
        written, self._changed = self._changed & self._now.keys(), set()
        if minute != self._minute:
            self._before = self.totals()
            ended, self._now = self._now, {}
        else:
            ended = self._now
        try:
            await self._windows.write(self._session, minute, {source: ended[source] for source in sorted(written)})
        except StoreUnavailable:
            self._changed |= written & self._now.keys()
            raise


def _merged(many: Iterable[dict[int, Lags]]) -> Lags:
    """The lags of all routes together."""
    found = Lags()
    for routes in many:
        for lags in routes.values():
            found.merge(lags)
    return found
