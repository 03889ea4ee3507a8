"""The exchange of one source's work with the store: references in, results out, many lanes in one round trip."""

import asyncio
from collections.abc import Callable, Iterable
from math import ceil

import structlog

from relay.domain.counts import SendingCounts
from relay.domain.model import EndpointId, SourceUid
from relay.domain.sending.core import Core
from relay.domain.sending.effects import HandIn
from relay.domain.sending.queues import has_keys_of_an_older_order
from relay.domain.sending.reading_ahead import FIRST_READ
from relay.errors import StoreRefused, StoreUnavailable
from relay.pipeline.catalogue import Catalogue
from relay.pipeline.clock import Clock
from relay.pipeline.dispatch.arriving import Arriving
from relay.pipeline.dispatch.sweeping import Sweeping
from relay.store.exchanging import Exchanged
from relay.store.lanes import Lanes

log = structlog.get_logger()

PACE_S = 0.005
"""Between two exchanges at least: what makes a round trip serve a hundred deliveries."""
GATHER_S = 0.02
"""Results gather for so long, as long as no lane is short of work."""
SWEEP_S = 1.0
"""Also a safety net: a lost notice or a dead worker's lanes are found within this."""
QUIET_SWEEP_S = 30.0
"""The same for a quiet source: a thousand of them must not cost a thousand sweeps a second."""
SPREAD = 1 / 3
GRID_S = 1.0
"""Sweeps of quiet sources are at multiples of this, so that many are made in one round trip."""
BUSY_S = 30.0
"""A source is quiet when for so long nobody wanted an exchange of it, and a sweep found nothing to do."""
HEARTBEAT_S = 2.0
ORDERS_S = 30.0
"""How often blocked keys of an order that an endpoint does not have any more are looked for."""
SESSION_LIVES_MS = 10_000
"""A killed worker's lanes are taken up after this and a sweep (goal G2: at most 45 s)."""
MARGIN_MS = 1_000
"""A worker stops to send what is ordered so long before its lanes can be taken up by others."""
RETRY_S = (0.05, 0.1, 0.2, 0.5, 1.0)
REFUSED_RETRY_S = 5.0
REFUSED_DO = "see what the server's log says, and which commands and keys the relay's user may use"


class Exchange:
    """The driver of one source's exchanges. `answered` is called after anything was put into the core."""

    def __init__(
        self,
        source: SourceUid,
        *,
        core: Core,
        session: str,
        lanes: Lanes,
        sweeping: Sweeping,
        arriving: Arriving,
        catalogue: Catalogue,
        clock: Clock,
        answered: Callable[[], None],
        counts: SendingCounts,
    ) -> None:
        self.source = source
        self._core = core
        self._session = session
        self._lanes = lanes
        self._sweeping = sweeping
        self._arriving = arriving
        self._catalogue = catalogue
        self._clock = clock
        self._answered = answered
        self._counts = counts
        self._awake = asyncio.Event()
        self._wanted = False
        self._wanted_at = 0.0
        self.made = 0
        """Exchanges that the store has answered."""
        self._urgent = asyncio.Event()
        self._turn = self._before = 0
        """The numbers of the newest call, and of the last one that the store is known to have taken."""
        self._unanswered: tuple[list[HandIn], int] | None = None
        """What was handed in without an answer: it is handed in again, word for word."""
        self._next_look = self._next_orders = self._next_sweep = self._last_sweep = self._last_busy = 0.0

    def want(self, *, urgent: bool) -> None:
        """Say that an exchange is wanted: at once, or when some results have gathered."""
        self._last_busy = asyncio.get_running_loop().time()
        if not self._wanted:
            self._wanted, self._wanted_at = True, self._last_busy
        self.look_again()
        if urgent:
            self._urgent.set()

    def look_again(self) -> None:
        """Sweep soon, as a source that is not quiet: a notice may have been lost."""
        self._next_sweep = min(self._next_sweep, self._last_sweep + SWEEP_S)
        self._awake.set()

    def waits_since(self) -> float | None:
        """Since when an exchange is wanted, by the clock of the loop; None: none is."""
        return self._wanted_at if self._wanted else None

    def check_orders(self) -> None:
        """Say that an endpoint's order may have changed."""
        self._next_orders = 0.0

    async def run(self) -> None:
        """Exchange and sweep until cancelled. Redis may go away and come back."""
        loop = asyncio.get_running_loop()
        next_beat = self._next_sweep = loop.time()
        # Its first sweep finds out whether it is quiet.
        self._last_busy = next_beat - BUSY_S
        failures = 0
        while True:
            self._awake.clear()
            try:
                if loop.time() >= self._next_sweep:
                    self._last_sweep = loop.time()
                    # Exchanges continue even if it fails.
                    self._next_sweep = self._last_sweep + SWEEP_S
                    self._next_sweep = loop.time() + await self._sweep()
                if self._wanted or (self._holds() and loop.time() >= next_beat):
                    await _wait(self._urgent, until=loop.time() + GATHER_S)
                    self._wanted = False
                    self._urgent.clear()
                    await self.exchange()
                    self.made += 1
                    next_beat = loop.time() + HEARTBEAT_S
                    await asyncio.sleep(PACE_S)
                failures = 0
            except (StoreUnavailable, StoreRefused) as error:
                failures += 1
                self._wanted = True
                await self._wait_for_store(error, failures)
            if not self._wanted:
                await _wait(self._awake, until=min(self._next_sweep, next_beat if self._holds() else self._next_sweep))

    async def _wait_for_store(self, error: StoreUnavailable | StoreRefused, failures: int) -> None:
        if isinstance(error, StoreRefused):
            # The cause has to be corrected; the results wait for that, and none of them is lost.
            log.error("store_refused", source=self.source, error=str(error), do=REFUSED_DO)
            await asyncio.sleep(REFUSED_RETRY_S)
        else:
            log.warning("store_unavailable", source=self.source, error=str(error), failures=failures)
            await asyncio.sleep(RETRY_S[min(failures, len(RETRY_S)) - 1])

    def _holds(self) -> bool:
        return self._unanswered is not None or self._core.held(self.source) > 0

    async def _sweep(self) -> float:
        """Make ready what is due; gives the seconds until the next sweep."""
        now_ms, now = self._clock.now_ms(), asyncio.get_running_loop().time()
        sweep = await self._sweeping.sweep(self.source)
        self._counts.reclaimed += sweep.reclaimed
        self._counts.poisoned += sweep.poisoned
        if sweep.reclaimed:
            log.warning("lanes_reclaimed", source=self.source, lanes=sweep.reclaimed, poisoned=sweep.poisoned)
        if sweep.ready or sweep.retries or (self._holds() and now >= self._next_look):
            # Lanes that are held too: a notice may be lost, and another worker's sweep tells nobody of a retry.
            self._next_look = now + SWEEP_S
            self._core.noticed(self.source)
            self._answered()
        if sweep.has_blockers and now >= self._next_orders:
            self._next_orders = now + ORDERS_S
            await self.release_other_orders()
        if sweep.more:
            return 0.01
        if sweep.ready or sweep.retries or self._holds():
            self._last_busy = now
        pace_s = SWEEP_S
        if now >= self._last_busy + BUSY_S:
            # Spread, because at the start of a worker all are swept at once.
            quiet_s = QUIET_SWEEP_S * (1 - SPREAD * self._clock.jitter())
            pace_s = ceil((now + quiet_s) / GRID_S) * GRID_S - now
        return pace_s if sweep.next_ms is None else max(0.01, min(pace_s, (sweep.next_ms - now_ms) / 1000))

    async def release_other_orders(self) -> None:
        """Release deliveries that wait behind keys of an order that their endpoint does not have any more."""
        for endpoint_id in await self._lanes.blockers(self.source):
            await self._release(endpoint_id)

    async def _release(self, endpoint_id: EndpointId, blocked: Iterable[str] | None = None) -> None:
        """The same for one endpoint. `blocked`: its blocked keys, if they are at hand."""
        endpoint = self._catalogue.endpoint(endpoint_id)
        if endpoint is None or (
            blocked is not None and not has_keys_of_an_older_order(blocked, endpoint.order_version)
        ):
            return
        await self._lanes.release_waiting(self.source, endpoint_id, endpoint.order_version)

    async def exchange(self) -> None:
        """One round trip: results and wishes in, work out; further ones for what is not at hand."""
        if self._unanswered is None:
            self._turn += 1
            self._unanswered = self._core.collect(self.source, self._clock.now_ms())
            self._counts.handed_in(self._unanswered[0])
        handed, claim = self._unanswered
        asked_ms = self._clock.now_ms()
        exchanged = await self._lanes.exchange(
            self.source,
            handed,
            session=self._session,
            turn=self._turn,
            before=self._before,
            now_ms=asked_ms,
            lives_ms=SESSION_LIVES_MS,
            claim=claim,
            per_lane=FIRST_READ,
            reports=self._catalogue.reports or (),
        )
        if exchanged.verdict == "done":
            await self._take_in(handed, exchanged)
            self._unanswered, self._before = None, self._turn
        elif exchanged.verdict == "gone":
            # The configuration will say so in a moment.
            self._core.recovered(self.source, (), is_astray=True, now_ms=asked_ms)
            self._unanswered = None
        else:
            await self._recover(handed, done=exchanged.verdict == "again")
            self._before = exchanged.last
            if self._unanswered is not None:
                # What was not done is handed in once more, under a number that no call had before.
                self._turn = max(self._turn, exchanged.last) + 1
        self._core.renewed(self.source, asked_ms + SESSION_LIVES_MS - MARGIN_MS, self._clock.now_ms())
        self._answered()

    async def _take_in(self, handed: list[HandIn], exchanged: Exchanged) -> None:
        answers, claimed = exchanged.given[: len(handed)], exchanged.given[len(handed) :]
        # Should the store fail in between, it is as if the answer were lost.
        arrivals = await self._arriving.arrivals(
            self.source, {each.endpoint: each.references for each in answers if each.references}
        )
        claims = await self._arriving.claims(
            self.source,
            {each.endpoint: each.references for each in claimed},
            {each.endpoint: each.blocked for each in claimed},
            wanted=FIRST_READ,
        )
        for claim in claims:
            await self._release(claim.endpoint, claim.blocked)
        now_ms = self._clock.now_ms()
        for lane, answer in zip(handed, answers, strict=True):
            if answer.state == "lost":
                log.warning("lane_lost", source=self.source, endpoint=lane.endpoint)
            elif answer.state == "parked":
                for_s = max(0, lane.until_ms - now_ms) / 1000
                log.info("lane_parked", source=self.source, endpoint=lane.endpoint, for_s=for_s)
            self._core.answered(
                self.source, lane, state=answer.state, arrivals=arrivals.get(lane.endpoint, ()), now_ms=now_ms
            )
        for claim in claims:
            self._core.claimed(self.source, claim, now_ms)
        self._core.claims_answered(self.source, exchanged.ready, now_ms)

    async def _recover(self, handed: list[HandIn], *, done: bool) -> None:
        """Ask what the session holds, after an answer was lost or the store went back in time.

        `done`: what was handed in was taken.
        """
        held = await self._lanes.held(self.source, self._session)
        in_flight = {each.endpoint: each.references for each in held}
        missing = self._core.missing(self.source, in_flight, () if done else handed)
        claims = await self._arriving.claims(self.source, missing, {each.endpoint: each.blocked for each in held})
        if held or handed:
            found = sum(map(len, missing.values()))
            log.warning("lanes_recovered", source=self.source, lanes=len(held), deliveries=found, done=done)
        self._core.recovered(self.source, claims, is_astray=not done, now_ms=self._clock.now_ms())
        if done:
            self._unanswered = None
        self._wanted = True

    async def leave(self) -> None:
        """The last exchanges of a session: everything is let go. Raises StoreUnavailable."""
        # The first may repeat one whose answer was lost; what it brings is handed back by the second.
        for _ in range(3):
            await self.exchange()
            if self._unanswered is None and not self._core.held(self.source):
                break
        await self._lanes.leave(self.source, self._session)


async def _wait(event: asyncio.Event, *, until: float) -> None:
    """Wait for an event, but not longer than to a time of the loop's clock."""
    try:
        async with asyncio.timeout_at(until):
            await event.wait()
    except TimeoutError:
        pass
