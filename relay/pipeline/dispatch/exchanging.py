"""The exchange of one source's work with the store: references in, results out, many lanes in one round trip."""

import asyncio
from collections.abc import Callable, Iterable

import structlog

from relay.domain.model import EndpointId, SourceUid
from relay.errors import StoreUnavailable
from relay.pipeline.clock import Clock
from relay.pipeline.dispatch.holding import Holding
from relay.pipeline.dispatch.lane import HeldLane
from relay.store.lanes import Handed, Lanes

log = structlog.get_logger()

PACE_S = 0.005
"""Between two exchanges at least: what makes a round trip serve a hundred deliveries."""
GATHER_S = 0.02
"""Results gather for so long, if no lane is short of work meanwhile."""
SWEEP_S = 1.0
"""Also a safety net: a lost wake-up or a dead worker's lanes are found within this."""
HEARTBEAT_S = 2.0
SESSION_LIVES_MS = 10_000
"""A killed worker's lanes are taken up after this and a sweep (goal G2: at most 45 s)."""
MOST_LANES = 1024
"""Lanes of one source that a worker holds at once."""
LANES_AT_ONCE = 256
FIRST_READ = 8
MOST_AHEAD = 16_384
"""Deliveries of one source that wait in a worker: 30 MB of events at most, usually far less, for lanes share them."""
RETRY_S = (0.05, 0.1, 0.2, 0.5, 1.0)


class Exchange:
    """What one worker has to do with one source's lanes."""

    def __init__(
        self,
        source: SourceUid,
        *,
        session: str,
        lanes: Lanes,
        holding: Holding,
        clock: Clock,
        to_send: Callable[[HeldLane], None],
    ) -> None:
        """`to_send` is called with each lane that got something to send."""
        self.source = source
        self._session = session
        self._lanes = lanes
        self._holding = holding
        self._clock = clock
        self._to_send = to_send
        self._wake = asyncio.Event()
        self._urgent = asyncio.Event()
        self._dirty: set[HeldLane] = set()
        self._turn = 0
        self._unanswered: list[Handed] | None = None
        """What was handed in without an answer: it is handed in again, word for word."""
        self._look_everywhere = True
        self._next_look = 0.0
        self._others_wait = False
        self._draining = False

    def results(self, lane: HeldLane) -> None:
        """Say that a lane has results, or could send more."""
        self._dirty.add(lane)
        self._wake.set()
        if lane.is_short():
            self._urgent.set()

    def look(self) -> None:
        """Say that there is new work somewhere in the source."""
        self._look_everywhere = True
        self._wake.set()
        self._urgent.set()

    def changed(self, endpoint: EndpointId) -> None:
        """Take in that an endpoint was changed, disabled or deleted."""
        if (lane := self._holding.changed(endpoint)) is not None:
            self.results(lane)
            self._to_send(lane)

    async def run(self) -> None:
        """Exchange and sweep until cancelled. Redis may go away and come back meanwhile."""
        loop = asyncio.get_running_loop()
        next_sweep = next_beat = loop.time()
        failures = 0
        while True:
            try:
                if loop.time() >= next_sweep:
                    next_sweep = loop.time() + await self._sweep()
                if self._wake.is_set() or (self._holding and loop.time() >= next_beat):
                    await _wait(self._urgent, until=loop.time() + GATHER_S)
                    self._wake.clear()
                    self._urgent.clear()
                    await self.exchange()
                    next_beat = loop.time() + HEARTBEAT_S
                    await asyncio.sleep(PACE_S)
                failures = 0
            except StoreUnavailable as error:
                failures += 1
                self._wake.set()
                # All workers must have had time to renew their sessions before anybody takes up the lanes of the dead.
                next_sweep = max(next_sweep, loop.time() + HEARTBEAT_S)
                log.warning("store_unavailable", source=self.source, error=str(error), failures=failures)
                await asyncio.sleep(RETRY_S[min(failures, len(RETRY_S)) - 1])
            await _wait(self._wake, until=min(next_sweep, next_beat if self._holding else next_sweep))

    async def _sweep(self) -> float:
        """Make ready what is due; gives the seconds until the next sweep."""
        now_ms = self._clock.now_ms()
        sweep = await self._lanes.sweep(self.source, now_ms=now_ms)
        if sweep.reclaimed:
            log.warning("lanes_reclaimed", source=self.source, lanes=sweep.reclaimed, poisoned=sweep.poisoned)
        now = asyncio.get_running_loop().time()
        if sweep.ready or sweep.retries or (self._holding and now >= self._next_look):
            # Lanes that are held too: a notice may be lost, and another worker's sweep tells nobody of a retry.
            self._next_look = now + SWEEP_S
            self.look()
        if sweep.next_ms is None:
            return SWEEP_S
        return max(0.01, min(SWEEP_S, (sweep.next_ms - now_ms) / 1000))

    async def exchange(self) -> None:
        """One round trip: results and wishes in, work out; a second one for the events that are not at hand."""
        repeated = self._unanswered is not None
        if self._unanswered is None:
            self._turn += 1
            self._unanswered = self._collect()
        handed = self._unanswered
        claim = 0 if self._draining else max(0, min(LANES_AT_ONCE, MOST_LANES - len(self._holding)))
        ready, given = await self._lanes.exchange(
            self.source,
            handed,
            session=self._session,
            turn=self._turn,
            now_ms=self._clock.now_ms(),
            lives_ms=SESSION_LIVES_MS,
            claim=claim,
            per_lane=FIRST_READ,
        )
        self._announce(await self._holding.take_in(given))
        if repeated:
            self._announce(await self._holding.recover(self._session))
            # Results that came meanwhile were not handed in.
            self._wake.set()
        self._unanswered = None
        self._others_wait = ready > 0
        if ready and claim:
            self.look()

    def _announce(self, lanes: Iterable[HeldLane]) -> None:
        for lane in lanes:
            if lane.is_stopped or not lane.handed.is_empty():
                self.results(lane)
            self._to_send(lane)

    def _collect(self) -> list[Handed]:
        if self._look_everywhere:
            self._look_everywhere = False
            self._dirty.update(lane for lane in self._holding.lanes() if len(lane.queue) <= lane.read_ahead // 2)
        dirty, self._dirty = self._dirty, set()
        most_ahead = max(2, MOST_AHEAD // (len(self._holding) or 1))
        crowded = self._others_wait and len(self._holding) >= MOST_LANES
        now_ms = self._clock.now_ms()
        return [
            # One that is let go stands at the end of those that are ready, and lanes that waited longer get their turn.
            lane.collect(
                now_ms=now_ms, most_ahead=most_ahead, let_go=self._draining or (crowded and not lane.waiting())
            )
            for lane in dirty
            if self._holding.holds(lane)
        ]

    def forget(self) -> None:
        """The source is gone: send nothing more of it."""
        self._holding.let_all_go()

    def drain(self) -> None:
        """Hand back what waits here, and let each lane go as soon as nothing of it is in flight."""
        self._draining = True
        for lane in self._holding.lanes():
            self.results(lane)

    async def leave(self) -> None:
        """The last exchange of a session: everything is let go. Raises StoreUnavailable."""
        await self.exchange()
        # Also what an answer brought after the draining began, and what an answer that was lost had brought.
        self._dirty.update(self._holding.lanes())
        await self.exchange()
        await self._lanes.leave(self.source, self._session)


async def _wait(event: asyncio.Event, *, until: float) -> None:
    """Wait for an event, but not longer than to a time of the loop's clock."""
    try:
        async with asyncio.timeout_at(until):
            await event.wait()
    except TimeoutError:
        pass
