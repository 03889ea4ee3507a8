"""The dispatcher: a pool of senders over the lanes that this worker holds, and one exchange for each source."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

import structlog

from relay.domain.envelope import HEADS
from relay.domain.model import Endpoint, EndpointId, SourceUid
from relay.errors import StoreUnavailable
from relay.outbound.callbacks import CallbackSender
from relay.pipeline.catalogue import Catalogue
from relay.pipeline.clock import Clock
from relay.pipeline.dispatch.delivery import Delivery
from relay.pipeline.dispatch.exchanging import Exchange
from relay.pipeline.dispatch.holding import Holding
from relay.pipeline.dispatch.lane import HeldLane
from relay.pipeline.dispatch.rationing import Rationing
from relay.pipeline.dispatch.recording import record
from relay.pipeline.dispatch.trials import SUSPECT_CRASHES, Trials
from relay.pipeline.dispatch.turns import Turns
from relay.pipeline.dispatch.windows import Windows
from relay.store.bodies import Bodies
from relay.store.lanes import Lanes
from relay.store.rates import Rates

log = structlog.get_logger()

Disable = Callable[[Endpoint, str], Awaitable[None]]
"""What is done when an endpoint must be disabled: the endpoint and the reason."""
BROKEN_PAUSE_MS = 30_000
WATCH_S = 0.5


class Dispatcher:
    """Sends what waits in the lanes of all sources, until it is drained."""

    def __init__(
        self,
        *,
        session: str,
        lanes: Lanes,
        rates: Rates,
        bodies: Bodies,
        catalogue: Catalogue,
        sender: CallbackSender,
        clock: Clock,
        disable: Disable,
        slots: int,
        deadline_s: float,
        schedule: Sequence[float],
    ) -> None:
        """`slots`: callbacks in flight at most; `deadline_s`: of one attempt; `schedule`: seconds before each retry."""
        self._session = session
        self._lanes = lanes
        self._bodies = bodies
        self._catalogue = catalogue
        self._sender = sender
        self._clock = clock
        self._disable = disable
        self._slots = slots
        self._deadline_s = deadline_s
        self._schedule = schedule
        self._turns = Turns(slots)
        self._windows = Windows()
        self._exchanges: dict[SourceUid, tuple[Exchange, asyncio.Task[None]]] = {}
        self._idle: deque[asyncio.Future[None]] = deque()
        self._waking = 0
        """Senders that were woken or made, and have not looked for a lane yet."""
        self._senders: set[asyncio.Task[None]] = set()
        self._side_tasks: set[asyncio.Task[None]] = set()
        self._rationing = Rationing(rates=rates, catalogue=catalogue, to_send=self._to_send)
        self._trials = Trials(to_send=self._to_send)
        self._draining = False
        catalogue.listen(self._endpoint_changed)

    def follow_sources(self) -> None:
        """Start an exchange for each source that is new, stop those of sources that are gone."""
        if self._draining:
            return
        for source in self._catalogue.sources:
            if source not in self._exchanges:
                exchange = self._exchange(source)
                self._exchanges[source] = exchange, asyncio.create_task(exchange.run(), name=f"exchange {source}")
        for source in set(self._exchanges) - set(self._catalogue.sources):
            exchange, task = self._exchanges.pop(source)
            task.cancel()
            exchange.forget()

    def _exchange(self, source: SourceUid) -> Exchange:
        holding = Holding(
            source, lanes=self._lanes, bodies=self._bodies, catalogue=self._catalogue, windows=self._windows
        )
        return Exchange(
            source,
            session=self._session,
            lanes=self._lanes,
            holding=holding,
            clock=self._clock,
            to_send=self._to_send,
        )

    def wake(self, source: SourceUid) -> None:
        """There is new work in a source's lanes."""
        if source in self._exchanges:
            self._exchanges[source][0].look()

    async def watch(self) -> None:
        """Runs until cancelled; raises what ended a task that must run for ever: a bug, and the process should end."""
        while not self._draining:
            for source, (_, task) in list(self._exchanges.items()):
                if task.done() and not task.cancelled():
                    raise RuntimeError(f"the exchange of source {source} ended") from task.exception()
            await asyncio.sleep(WATCH_S)

    async def drain(self, within_s: float) -> None:
        """Send nothing new, wait for what is in flight, and hand everything back. Takes `within_s` at the most."""
        self._draining = True
        exchanges = [exchange for exchange, _ in self._exchanges.values()]
        await self._rationing.close()
        for exchange in exchanges:
            exchange.drain()
        while self._idle:
            self._idle.popleft().set_result(None)
        if self._senders:
            _, late = await asyncio.wait(self._senders, timeout=within_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        for _, task in self._exchanges.values():
            task.cancel()
        await asyncio.gather(*(task for _, task in self._exchanges.values()), return_exceptions=True)
        left = await asyncio.gather(*(exchange.leave() for exchange in exchanges), return_exceptions=True)
        await asyncio.gather(*self._side_tasks, return_exceptions=True)
        for error in left:
            if error is not None:
                raise error

    def _endpoint_changed(self, endpoint: EndpointId) -> None:
        for exchange, _ in self._exchanges.values():
            exchange.changed(endpoint)

    def _to_send(self, lane: HeldLane) -> None:
        """A lane may have something to send: give it a turn, or get it the right to one."""
        self._turns.add(lane)
        if lane.rights == 0:
            self._rationing.want(lane)
        self._wake()

    def _wake(self) -> None:
        """Let one more sender go to work, if there is a lane that no sender is on its way to."""
        if len(self._turns) <= self._waking or self._draining:
            return
        if self._idle:
            self._waking += 1
            self._idle.popleft().set_result(None)
        elif len(self._senders) < self._slots:
            self._waking += 1
            task = asyncio.create_task(self._send_forever())
            self._senders.add(task)
            task.add_done_callback(self._senders.discard)

    async def _send_forever(self) -> None:
        loop = asyncio.get_running_loop()
        self._waking -= 1
        while not self._draining:
            lane = self._turns.next()
            if lane is None:
                future: asyncio.Future[None] = loop.create_future()
                self._idle.append(future)
                await future
                self._waking -= 1
                continue
            delivery = lane.begin()
            self._to_send(lane)
            if delivery.reference.crashes >= SUSPECT_CRASHES and not self._trials.begin(lane, delivery):
                lane.land(delivery)
                self._turns.end(lane)
                continue
            try:
                await self._attempt(lane, delivery)
            except Exception:
                # A bug of ours, for a receiver can cause none: the delivery waits in its lane until it is mended.
                log.exception("attempt_broke", endpoint=lane.endpoint.id, number=delivery.reference.number)
                lane.hand_back([delivery])
                lane.stop(self._clock.now_ms() + BROKEN_PAUSE_MS)
            except asyncio.CancelledError:
                lane.hand_back([delivery])
                raise
            finally:
                lane.land(delivery)
                # This sender goes on with whatever has a turn now: it need not be woken.
                self._turns.end(lane)
                if (exchange := self._exchanges.get(lane.source)) is not None:
                    exchange[0].results(lane)

    async def _attempt(self, lane: HeldLane, delivery: Delivery) -> None:
        if delivery.reference.crashes < SUSPECT_CRASHES:
            await self._send(lane, delivery)
            return
        try:
            await self._lanes.try_alone(lane.source, self._session, lane.endpoint.id, delivery.stored)
            await self._send(lane, delivery)
        except StoreUnavailable:
            # Without that note nobody would be to blame.
            lane.hand_back([delivery])
        finally:
            self._trials.end()

    async def _send(self, lane: HeldLane, delivery: Delivery) -> None:
        event = delivery.event
        outcome = await self._sender.send(
            lane.prepared,
            message_id=event.id,
            body=HEADS[delivery.reference.type_code] + event.body,
            timestamp_s=self._clock.now_ms() // 1000,
            deadline_s=self._deadline_s,
        )
        verdict = record(
            lane,
            delivery,
            outcome,
            now_ms=self._clock.now_ms(),
            jitter=self._clock.jitter(),
            schedule=self._schedule,
        )
        if verdict.kind == "disabled":
            self._aside(self._disable(lane.endpoint, verdict.reason))

    def _aside(self, work: Awaitable[None]) -> None:
        async def run() -> None:
            try:
                await work
            except Exception:
                log.exception("side_task_failed")

        task = asyncio.create_task(run())
        self._side_tasks.add(task)
        task.add_done_callback(self._side_tasks.discard)
