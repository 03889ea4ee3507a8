"""The exchange of one source's work with the store: references in, results out, many lanes in one round trip."""

import asyncio
from collections.abc import Callable, Iterable

import structlog

from relay.domain.breaking import Health
from relay.domain.model import EndpointId, SourceUid
from relay.domain.references import parse_reference
from relay.errors import StoreUnavailable
from relay.pipeline.catalogue import Catalogue
from relay.pipeline.clock import Clock
from relay.pipeline.dispatch.lane import Delivery, HeldLane
from relay.pipeline.dispatch.turns import Turns
from relay.pipeline.dispatch.windows import Windows
from relay.store.bodies import Bodies
from relay.store.lanes import FOREVER, Given, Handed, Lanes

log = structlog.get_logger()

PACE_S = 0.005
"""Results gather for so long before they are handed in: what makes a round trip serve a hundred deliveries."""
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
        bodies: Bodies,
        catalogue: Catalogue,
        windows: Windows,
        turns: Turns,
        clock: Clock,
        wake_senders: Callable[[], None],
    ) -> None:
        self.source = source
        self.held: dict[EndpointId, HeldLane] = {}
        self._session = session
        self._lanes = lanes
        self._bodies = bodies
        self._catalogue = catalogue
        self._windows = windows
        self._turns = turns
        self._clock = clock
        self._wake_senders = wake_senders
        self._wake = asyncio.Event()
        self._dirty: set[HeldLane] = set()
        self._unsent: list[Handed] = []
        """Handed in, but no answer came: handed in again, word for word."""
        self._look_everywhere = True
        self._answer_lost = False
        self._draining = False
        self._others_wait = False

    def results(self, lane: HeldLane) -> None:
        """Say that a lane has results, or could send more."""
        self._dirty.add(lane)
        self._wake.set()

    def look(self) -> None:
        """Say that there is new work somewhere in the source."""
        self._look_everywhere = True
        self._wake.set()

    async def run(self) -> None:
        """Exchange and sweep until cancelled. Redis may go away and come back meanwhile."""
        loop = asyncio.get_running_loop()
        next_sweep = next_beat = loop.time()
        failures = 0
        while True:
            try:
                if loop.time() >= next_sweep:
                    next_sweep = loop.time() + await self._sweep()
                if self._wake.is_set() or (self.held and loop.time() >= next_beat):
                    self._wake.clear()
                    await self.exchange()
                    next_beat = loop.time() + HEARTBEAT_S
                    await asyncio.sleep(PACE_S)
                failures = 0
            except StoreUnavailable as error:
                failures += 1
                self._answer_lost = True
                self._wake.set()
                log.warning("store_unavailable", source=self.source, error=str(error), failures=failures)
                await asyncio.sleep(RETRY_S[min(failures, len(RETRY_S)) - 1])
            await self._rest(min(next_sweep, next_beat if self.held else next_sweep))

    async def _rest(self, until: float) -> None:
        try:
            async with asyncio.timeout_at(until):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _sweep(self) -> float:
        now_ms = self._clock.now_ms()
        sweep = await self._lanes.sweep(self.source, now_ms=now_ms)
        if sweep.reclaimed:
            log.warning("lanes_reclaimed", source=self.source, lanes=sweep.reclaimed)
        if sweep.ready or sweep.retries:
            self.look()
        if sweep.next_ms is None:
            return SWEEP_S
        return max(0.01, min(SWEEP_S, (sweep.next_ms - now_ms) / 1000))

    async def exchange(self) -> None:
        """One round trip: results and wishes in, work out; a second one for the events that are not here yet."""
        if self._answer_lost:
            await self._recover()
        handed = self._unsent + self._collect()
        claim = 0 if self._draining else max(0, min(LANES_AT_ONCE, MOST_LANES - len(self.held)))
        if not handed and not claim and not self.held:
            return
        self._unsent = handed
        ready, given = await self._lanes.exchange(
            self.source,
            handed,
            session=self._session,
            now_ms=self._clock.now_ms(),
            lives_ms=SESSION_LIVES_MS,
            claim=claim,
            per_lane=FIRST_READ,
        )
        self._unsent = []
        await self._take_in(given)
        self._others_wait = ready > 0
        if ready and claim:
            self.look()

    def _collect(self) -> list[Handed]:
        if self._look_everywhere:
            self._look_everywhere = False
            self._dirty.update(lane for lane in self.held.values() if len(lane.queue) <= lane.read_ahead // 2)
        dirty, self._dirty = self._dirty, set()
        most_ahead = max(2, MOST_AHEAD // (len(self.held) or 1))
        handed = [lane.collect(most_ahead=most_ahead) for lane in dirty if self.held.get(lane.endpoint.id) is lane]
        for lane in handed:
            held = self.held[lane.endpoint]
            if self._draining or (self._others_wait and len(self.held) >= MOST_LANES and not held.queue):
                # It goes to the end of those that are ready, and lanes that waited longer get their turn.
                lane.more = 0 if held.flying else -1
        return handed

    async def _take_in(self, given: Iterable[Given]) -> None:
        with_work: list[tuple[HeldLane, list[bytes]]] = []
        for lane_given in given:
            if lane_given.state != "held":
                self._forget(lane_given)
            elif lane := self._lane(lane_given):
                with_work.append((lane, lane_given.references))
        numbers = {parse_reference(r).number for _, references in with_work for r in references}
        if not numbers:
            return
        events = await self._bodies.read(self.source, numbers)
        for lane, references in with_work:
            for stored in references:
                reference = parse_reference(stored)
                event = events.get(reference.number)
                if event is None:
                    lane.handed.dead.append((stored, "event_not_kept"))
                    self._dirty.add(lane)
                else:
                    lane.queue.append(Delivery(stored, reference, event))
            self._turns.add(lane)
        self._wake_senders()

    def _lane(self, given: Given) -> HeldLane | None:
        lane = self.held.get(given.endpoint)
        if lane is None:
            endpoint = self._catalogue.endpoint(given.endpoint)
            if endpoint is None:
                # Deleted a moment ago: the one who deleted it drops what waits.
                self._unsent.append(Handed(given.endpoint, back=[(r, r) for r in given.references], park_until=FOREVER))
                return None
            window = self._windows.of(endpoint)
            lane = HeldLane(self.source, endpoint, self._catalogue.prepared(endpoint), window, Health(given.health))
            if endpoint.disabled or endpoint.paused:
                lane.stop(FOREVER)
                self._dirty.add(lane)
                self._wake.set()
            self.held[given.endpoint] = lane
        return lane

    def _forget(self, given: Given) -> None:
        lane = self.held.pop(given.endpoint, None)
        if lane is not None and given.state == "lost":
            # Another worker has taken it up: what waits here is sent by that one.
            lane.queue.clear()
            lane.stop(FOREVER)
            log.warning("lane_lost", source=self.source, endpoint=given.endpoint)

    async def _recover(self) -> None:
        """Find out what this session holds, after an answer was lost: what it does not know of, it takes in."""
        held = await self._lanes.held(self.source, self._session)
        given = []
        for endpoint, flight in held.items():
            lane = self.held.get(endpoint)
            known = {d.stored for d in (*lane.queue, *lane.flying)} if lane else set()
            handed = {
                r
                for h in (*self._unsent, *([lane.handed] if lane else []))
                if h.endpoint == endpoint
                for r in _named(h)
            }
            given.append(Given(endpoint, "held", sorted(flight - known - handed, key=parse_reference), ""))
        await self._take_in(given)
        self._answer_lost = False

    def changed(self, endpoint_id: EndpointId) -> None:
        """Take in that an endpoint was changed, disabled or deleted."""
        lane = self.held.get(endpoint_id)
        endpoint = self._catalogue.endpoint(endpoint_id)
        if lane is None:
            return
        if endpoint is None or endpoint.disabled or endpoint.paused:
            lane.stop(FOREVER)
        else:
            lane.endpoint = endpoint
            lane.prepared = self._catalogue.prepared(endpoint)
            lane.window = self._windows.of(endpoint)
        self.results(lane)

    def drain(self) -> None:
        """Hand back what waits here, and let each lane go as soon as nothing of it is in flight."""
        self._draining = True
        for lane in self.held.values():
            lane.hand_back(list(lane.queue))
            lane.queue.clear()
            self.results(lane)

    async def leave(self) -> None:
        """The last exchange of a session: everything is let go."""
        await self.exchange()
        await self._lanes.leave(self.source, self._session)


def _named(handed: Handed) -> Iterable[bytes]:
    yield from handed.ended
    for group in (handed.retries, handed.dead, handed.back):
        yield from (entry[0] for entry in group)
