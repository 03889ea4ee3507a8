"""The dispatcher: puts what happens into the core, sends what it gives, and does what it asks for."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

import structlog

from relay.domain.counts import ConnectionCounts, SendingCounts
from relay.domain.model import Endpoint, EndpointId, SourceUid
from relay.domain.sending.core import Core
from relay.domain.sending.effects import Disable, Effect, Unpark
from relay.domain.sending.effects import Exchange as WantedExchange
from relay.errors import StoreUnavailable
from relay.pipeline.catalogue import Catalogue
from relay.pipeline.clock import Clock
from relay.pipeline.dispatch.arriving import Arriving
from relay.pipeline.dispatch.asking import Asking
from relay.pipeline.dispatch.attempting import Attempting
from relay.pipeline.dispatch.exchanging import Exchange
from relay.pipeline.dispatch.settling import Settling
from relay.pipeline.dispatch.side_tasks import SideTasks
from relay.pipeline.dispatch.sweeping import Sweeping
from relay.pipeline.lagging import Lagging
from relay.store.bodies import Bodies
from relay.store.conditions import Conditions
from relay.store.deletions import Deletions
from relay.store.lanes import Lanes
from relay.store.rates import Rates

log = structlog.get_logger()

DisableEndpoint = Callable[[Endpoint, str], Awaitable[None]]
"""What is done when an endpoint must be disabled: the endpoint and the reason."""
WATCH_S = 0.5
HAND_BACK_S = 5.0
"""For handing back at the end what was not sent. After it, others take that up as they do after a crash."""
OUTLIVES_BY_S = 5.0
"""The right to probe, and the place of a callback in flight, outlast an attempt by so long."""
SOONEST_TICK_S = 0.01
LATEST_TICK_S = 1.0


class Dispatcher:
    """Sends the waiting deliveries of all sources, until it is drained."""

    def __init__(
        self,
        *,
        session: str,
        lanes: Lanes,
        rates: Rates,
        conditions: Conditions,
        deletions: Deletions,
        bodies: Bodies,
        settling: Settling,
        catalogue: Catalogue,
        attempting: Attempting,
        clock: Clock,
        lagging: Lagging,
        disable: DisableEndpoint,
        slots: int,
        schedule: Sequence[float],
        connections: ConnectionCounts,
    ) -> None:
        """`slots`: callbacks in flight at most; `schedule`: seconds before each retry."""
        self.session = session
        self._lanes, self._sweeping = lanes, Sweeping(lanes, clock, lambda: catalogue.reports or ())
        self._conditions, self._catalogue, self._clock = conditions, catalogue, clock
        self.lagging, self.counts = lagging, SendingCounts(connections)
        self._disable = disable
        self._slots = slots
        self._attempting = attempting
        self._core = Core(session=session, slots=slots, schedule=schedule)
        self.sharing, self.tailing = self._core.sharing, attempting.tailing
        self._arriving = Arriving(
            core=self._core, catalogue=catalogue, bodies=bodies,
            conditions=conditions, deletions=deletions, clock=clock, settling=settling,
        )  # fmt: skip
        self._asking = Asking(
            core=self._core, session=session, lanes=lanes, rates=rates, conditions=conditions, catalogue=catalogue,
            clock=clock, outlives_ms=round((attempting.deadline_s + OUTLIVES_BY_S) * 1000),
            answered=self._follow, counts=self.counts,
        )  # fmt: skip
        self._exchanges: dict[SourceUid, tuple[Exchange, asyncio.Task[None]]] = {}
        self._asker: asyncio.Task[None] | None = None
        self._idle: deque[asyncio.Future[None]] = deque()
        self._waking = 0
        """Senders that were woken or made, and have not looked for a delivery yet."""
        self._senders: set[asyncio.Task[None]] = set()
        self._side_tasks = SideTasks()
        self._alarm: asyncio.TimerHandle | None = None
        self._draining = False
        catalogue.listen(self._endpoint_changed)

    @property
    def in_flight(self) -> int:
        """How many callbacks are in flight now, about."""
        return max(0, len(self._senders) - len(self._idle) - self._waking)

    # What others say

    def follow_sources(self) -> None:
        """Start an exchange for each new source, end those of sources that are gone, and have the others look again."""
        if self._draining:
            return
        for exchange, _ in self._exchanges.values():
            exchange.look_again()
        if self._asker is None:
            self._asker = asyncio.create_task(self._asking.run(), name="asking")
        for source in self._catalogue.streams:
            if source not in self._exchanges:
                self._core.follow(source)
                exchange = Exchange(
                    source, core=self._core, session=self.session, lanes=self._lanes,
                    sweeping=self._sweeping, arriving=self._arriving,
                    catalogue=self._catalogue, clock=self._clock, answered=self._follow, counts=self.counts,
                )  # fmt: skip
                self._exchanges[source] = exchange, asyncio.create_task(exchange.run(), name=f"exchange {source}")
        for source in set(self._exchanges) - self._catalogue.streams:
            self._exchanges.pop(source)[1].cancel()
            self._core.forget(source)
            # A deletion waits until no worker works on it any more.
            self._side_tasks.start(self._lanes.leave(source, self.session))
        self._follow()

    def wake(self, source: SourceUid) -> None:
        """There is new work in a source's lanes."""
        self._core.noticed(source)
        self._follow()

    async def condition_changed(self, endpoint: EndpointId, session: str) -> None:
        """Another session, or the API, changed what is remembered of an endpoint. Raises StoreUnavailable."""
        if session != self.session and self._core.is_known(endpoint):
            conditions = await self._conditions.read([endpoint])
            self._core.learnt(endpoint, conditions[endpoint], self._clock.now_ms())
            self._follow()

    def expunged(self, source: SourceUid | None) -> None:
        """Events of a source (None: of any) lost their content."""
        self._arriving.expunged(source, self._follow)

    def has_room(self, session: str) -> None:
        """The worker of a session has room for more work."""
        if session != self.session:
            self.sharing.heard(self._clock.now_ms())

    def _endpoint_changed(self, endpoint: EndpointId) -> None:
        if self._core.is_known(endpoint):
            self._arriving.configure(endpoint)
            self._follow()
        for exchange, _ in self._exchanges.values():
            exchange.check_orders()

    async def watch(self) -> None:
        """Runs until cancelled; raises what ended a task that must run for ever: a bug, and the process should end."""
        while not self._draining:
            tasks = [task for _, task in self._exchanges.values()]
            for task in [*tasks, *([self._asker] if self._asker else [])]:
                if task.done() and not task.cancelled():
                    raise RuntimeError(f"the task {task.get_name()} ended") from task.exception()
            await asyncio.sleep(WATCH_S)

    async def drain(self, within_s: float, *, hand_back_s: float = HAND_BACK_S) -> None:
        """Send nothing new, wait up to `within_s` for what is in flight, and hand everything back in `hand_back_s`.

        Raises StoreUnavailable or StoreRefused if it could not be handed back: others take it up as after a crash.
        """
        self._draining = True
        self._core.drain(self._clock.now_ms())
        self._follow()
        while self._idle:
            self._idle.popleft().set_result(None)
        if self._senders:
            _, late = await asyncio.wait(self._senders, timeout=within_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        if self._alarm is not None:
            self._alarm.cancel()
        try:
            # A server that answers slowly makes many round trips last for ever.
            async with asyncio.timeout(hand_back_s):
                await self._hand_back()
        except TimeoutError:
            raise StoreUnavailable(f"Redis did not take everything back within {hand_back_s:g} s") from None

    async def _hand_back(self) -> None:
        exchanges = [exchange for exchange, _ in self._exchanges.values()]
        tasks = [task for _, task in self._exchanges.values()] + ([self._asker] if self._asker else [])
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._follow()
        left = await asyncio.gather(
            self._asking.flush(), *(exchange.leave() for exchange in exchanges), return_exceptions=True
        )
        await self._side_tasks.ended()
        for error in left:
            if error is not None:
                raise error

    @property
    def done(self) -> int:
        """How many attempts and exchanges have ended."""
        return self._attempting.ended + sum(exchange.made for exchange, _ in self._exchanges.values())

    def has_waited(self, seconds: float) -> bool:
        """Whether a delivery could be sent now, or an exchange was wanted so long ago."""
        since = [exchange.waits_since() for exchange, _ in self._exchanges.values()]
        late = asyncio.get_running_loop().time() - seconds
        return self._core.turns() > 0 or any(each is not None and each < late for each in since)

    # What follows from whatever was put into the core

    def _follow(self) -> None:
        """Do what the core asks for, and let senders go to work. Called after every input."""
        for effect in self._core.effects():
            self._do(effect)
        while self._waking < self._core.turns() and not self._draining:
            if self._idle:
                self._idle.popleft().set_result(None)
            elif len(self._senders) < self._slots:
                task = asyncio.create_task(self._send_forever())
                self._senders.add(task)
                task.add_done_callback(self._senders.discard)
            else:
                break
            self._waking += 1
        self._set_alarm()

    def _do(self, effect: Effect) -> None:
        if isinstance(effect, WantedExchange):
            if (exchange := self._exchanges.get(effect.source)) is not None:
                exchange[0].want(urgent=effect.urgent)
        elif isinstance(effect, Disable):
            self._side_tasks.start(self._disable_endpoint(effect))
        elif isinstance(effect, Unpark):
            self._side_tasks.start(self._lanes.unpark(effect.source, effect.endpoint))
        else:
            self._asking.ask(effect)

    def _set_alarm(self) -> None:
        at_ms = self._core.wake_ms()
        if not at_ms or self._draining:
            return
        loop = asyncio.get_running_loop()
        delay_s = (at_ms - self._clock.now_ms()) / 1000
        when = loop.time() + max(SOONEST_TICK_S, min(LATEST_TICK_S, delay_s))
        if self._alarm is None or self._alarm.cancelled() or when < self._alarm.when():
            if self._alarm is not None:
                self._alarm.cancel()
            self._alarm = loop.call_at(when, self._tick)

    def _tick(self) -> None:
        self._alarm = None
        self._core.tick(self._clock.now_ms())
        self._follow()

    async def _disable_endpoint(self, effect: Disable) -> None:
        try:
            await self._disable(effect.endpoint, effect.reason)
        except Exception:
            self._core.not_disabled(effect.endpoint.id)
            raise

    # Senders

    async def _send_forever(self) -> None:
        loop = asyncio.get_running_loop()
        self._waking -= 1
        while not self._draining:
            delivery = self._core.next(self._clock.now_ms())
            # Also what follows from the attempt before this one.
            self._follow()
            if delivery is None:
                future: asyncio.Future[None] = loop.create_future()
                self._idle.append(future)
                await future
                self._waking -= 1
                continue
            try:
                outcomes = await self._attempting.send(delivery)
            except Exception:
                # A bug of the relay, because no receiver can cause this: the delivery waits until it is fixed.
                log.exception("attempt_broke", endpoint=delivery.lane.machine.id, number=delivery.reference.number)
                self._core.broke(delivery, self._clock.now_ms())
            except asyncio.CancelledError:
                self._core.untried(delivery, self._clock.now_ms())
                raise
            else:
                now_ms = self._clock.now_ms()
                landed = self._core.landed(delivery, *outcomes, now_ms=now_ms, jitter=self._clock.jitter())
                for each in landed:
                    if each.verdict.place == "ended":
                        self.lagging.confirmed(each.delivery, now_ms)
                    self._attempting.note(each, now_ms=now_ms)
        self._follow()
