"""A worker without HTTP and without tasks: the real core, exchange and questions, one step at a time."""

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress

import msgspec

from relay.domain.counts import ConnectionCounts, SendingCounts
from relay.domain.model import EndpointId, MessageId, SourceUid
from relay.domain.outcomes import Failure, Outcome
from relay.domain.sending.core import Core
from relay.domain.sending.delivery import Delivery
from relay.domain.sending.effects import Announce, Change, Disable, Effect, Exchange, FetchRights, Unpark
from relay.errors import NotFound, StoreUnavailable
from relay.pipeline.dispatch.arriving import Arriving
from relay.pipeline.dispatch.asking import Asking
from relay.pipeline.dispatch.exchanging import Exchange as ExchangeDriver
from relay.pipeline.dispatch.settling import Settling
from relay.pipeline.dispatch.sweeping import Sweeping
from relay.store import keys
from relay.store.books import Books
from relay.store.conditions import Conditions
from relay.store.deletions import Deletions
from relay.store.rates import Rates
from tests.integration.pipeline.rig import Rig

SCHEDULE = (5.0, 30.0, 30.0)
SLOTS = 16
OUTCOMES: dict[str, Outcome] = {
    "ended": Outcome(status=204),
    "down": Outcome(status=500),
    "refused": Outcome(status=404),
    "busy": Outcome(status=429, retry_after="20"),
    "ours": Outcome(error=Failure.LOCAL),
    "gone": Outcome(status=410),
    "unread": Outcome(status=422),
    "mixed": Outcome(status=207),
}
"""What may come of a callback. `keep` leaves it in flight, `breaks` is a bug of ours."""
SESSION_S = 11.0
"""So much later a session that was not renewed has ended."""


class SteppedWorker:
    """A worker but for its senders. `sent` has the callbacks of all workers that receivers confirmed, in order."""

    def __init__(self, rig: Rig, name: str, sent: list[tuple[EndpointId, MessageId]]) -> None:
        self.rig = rig
        self.name = name
        self.catalogue = rig.new_catalogue()
        self.core = Core(session=name, slots=SLOTS, schedule=SCHEDULE)
        self.flying: list[Delivery] = []
        self.unsure: Counter[tuple[EndpointId, MessageId]] = Counter()
        self._sent = sent
        conditions = Conditions(rig.redis)
        self._arriving = Arriving(
            core=self.core, catalogue=self.catalogue, bodies=rig.bodies, conditions=conditions,
            deletions=Deletions(rig.redis), clock=rig.clock,
            settling=Settling(books=Books(rig.redis), events=rig.events, clock=rig.clock),
        )  # fmt: skip
        self._counts = SendingCounts(ConnectionCounts())
        self._asking = Asking(
            core=self.core, session=name, lanes=rig.lanes, rates=Rates(rig.redis), conditions=conditions,
            catalogue=self.catalogue, clock=rig.clock, outlives_ms=25_000, answered=lambda: None,
            counts=self._counts,
        )  # fmt: skip
        self._exchanges: dict[SourceUid, ExchangeDriver] = {}
        self.catalogue.listen(self._changed)

    async def work(self, outcomes: Iterator[str]) -> None:
        """One round: learn what changed, exchange, send, and decide what comes of what is in flight."""
        with suppress(StoreUnavailable):
            await self._follow_sources()
            for source, exchange in list(self._exchanges.items()):
                # As the safety net does: a notice may be lost.
                self.core.noticed(source)
                # The driver does this each half minute.
                await exchange.release_other_orders()
                await exchange.exchange()
                self.send()
            self.land(outcomes)
            self.core.tick(self.rig.clock.at_ms)
            self.send()
            await self._follow()
            await self._asking.ask_now()

    def send(self) -> None:
        """Begin whatever may begin."""
        while (delivery := self.core.next(self.rig.clock.at_ms)) is not None:
            endpoint = delivery.lane.machine.endpoint
            for member in delivery.members if endpoint is not None else ():
                if not member.reference.by_hand:
                    old_ms = member.event.stored_at_ms + endpoint.delay_s * 1000
                    assert old_ms <= self.rig.clock.at_ms, "it is too young"
            self.flying.append(delivery)

    def land(self, outcomes: Iterator[str]) -> None:
        """Something comes of what is in flight."""
        flying, self.flying = self.flying, []
        for delivery in flying:
            outcome = next(outcomes)
            if outcome == "keep":
                self.flying.append(delivery)
            elif outcome == "breaks":
                self.core.broke(delivery, self.rig.clock.at_ms)
            else:
                of_each = _outcomes(outcome, len(delivery.members))
                for each in self.core.landed(delivery, *of_each, now_ms=self.rig.clock.at_ms, jitter=0.5):
                    if each.verdict.place == "ended":
                        self._sent.append((each.delivery.lane.machine.id, each.delivery.event.id))

    def idle_although_it_could_send(self) -> list[str]:
        """Endpoints that stand still for no reason: whatever may begin has begun before."""
        return [
            machine.id
            for machine in self.core._machines.values()
            if machine.is_runnable()
            # One that has more in flight than slots are free waits for those who have less.
            and machine.flying < self.core._turns._free
            and any(lane.can_send() and lane.may_pass(self.rig.clock.at_ms) for lane in machine.lanes.values())
        ]

    async def drain(self) -> None:
        """It ends in good order: what is in flight lands, and everything else is handed back."""
        self.core.drain(self.rig.clock.at_ms)
        for delivery in self.flying:
            self.core.untried(delivery, self.rig.clock.at_ms)
        self.flying.clear()
        for exchange in self._exchanges.values():
            await exchange.leave()

    def _changed(self, endpoint: EndpointId) -> None:
        if self.core.is_known(endpoint):
            self._arriving.configure(endpoint)

    async def _follow_sources(self) -> None:
        if await self.catalogue.is_stale():
            await self.catalogue.refresh()
        for source in self.catalogue.sources:
            if source not in self._exchanges:
                self.core.follow(source)
                self._exchanges[source] = ExchangeDriver(
                    source, core=self.core, session=self.name, lanes=self.rig.lanes,
                    sweeping=Sweeping(self.rig.lanes, self.rig.clock), arriving=self._arriving,
                    catalogue=self.catalogue, clock=self.rig.clock, answered=lambda: None, counts=self._counts,
                )  # fmt: skip
        for source in set(self._exchanges) - set(self.catalogue.sources):
            del self._exchanges[source]
            self.core.forget(source)

    async def _follow(self) -> None:
        """Do what the core asks for, until it asks for nothing more."""
        while effects := self.core.effects():
            for effect in effects:
                try:
                    await self._do(effect)
                except StoreUnavailable:
                    if isinstance(effect, Disable):
                        self.core.not_disabled(effect.endpoint.id)
            await self._asking.ask_now()
            self.send()

    async def _do(self, effect: Effect) -> None:
        if isinstance(effect, Change | FetchRights | Announce):
            self._asking.ask(effect)
        elif isinstance(effect, Unpark):
            await self.rig.lanes.unpark(effect.source, effect.endpoint)
        elif isinstance(effect, Disable):
            with suppress(NotFound):
                await self.rig.change(effect.endpoint, disabled=True)
        else:
            assert isinstance(effect, Exchange)


def _outcomes(name: str, size: int) -> list[Outcome | None]:
    """What comes of the events of one request, if `name` comes of the request."""
    whole = msgspec.structs.replace(OUTCOMES[name], **({"batch_id": "batch", "batch_size": size} if size > 1 else {}))
    if name != "mixed" or size == 1:
        return [whole] * size
    failed = msgspec.structs.replace(whole, error=Failure.PARTIAL)
    return [whole, *([failed] * (size - 2)), None]


async def sessions_end(rig: Rig, *sources: SourceUid) -> None:
    """So much time passes that every session ends that was not renewed; whoever sweeps takes up their lanes."""
    rig.clock.advance(SESSION_S)
    for source in sources:
        for name in await rig.eyes.zrange(keys.sessions(source), 0, -1):
            await rig.eyes.zadd(keys.sessions(source), {name: 0})
        while (await rig.lanes.sweep(source, now_ms=rig.clock.at_ms)).more:
            pass
