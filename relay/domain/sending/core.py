"""The core: the machines of all endpoints, whose turn it is, and who is tried alone. A driver talks to this alone.

Each input ends with `_settle`, which derives from the machine's state what must happen next, so no caller has to wake
anybody. After any input the driver sends what `next` gives, and does what `effects` lists.
"""

from collections.abc import Iterable, Mapping, Sequence

from relay.domain.breaking import Condition
from relay.domain.model import Endpoint, EndpointId, SourceUid
from relay.domain.outcomes import Outcome
from relay.domain.rates import Bounds
from relay.domain.sending.alarms import Alarms
from relay.domain.sending.arrivals import Arrival, Claim, arrive, open_lane
from relay.domain.sending.delivery import Delivery
from relay.domain.sending.effects import Announce, Effect, HandIn, Unpark
from relay.domain.sending.endpoint import EndpointMachine
from relay.domain.sending.holding import Holding
from relay.domain.sending.judging import Landed
from relay.domain.sending.lane import Lane
from relay.domain.sending.machines import Machines
from relay.domain.sending.reading_ahead import ReadingAhead
from relay.domain.sending.rights import Granted
from relay.domain.sending.sharing import Sharing
from relay.domain.sending.states import EndpointState
from relay.domain.sending.trials import Trials
from relay.domain.sending.turns import Turns
from relay.domain.server_time import STEP_MS

BROKEN_REST_MS = 30_000


class Core:
    """See the module. Times are ms since 1970; `schedule` has the seconds before each retry."""

    def __init__(self, *, session: str, slots: int, schedule: Sequence[float]) -> None:
        self.sharing = Sharing()
        self._schedule, self._turns = schedule, Turns(slots)
        self._trials, self._ahead = Trials(), ReadingAhead()
        self._machines, self._alarms = Machines(session=session), Alarms()
        self._holdings: dict[SourceUid, Holding] = {}
        self._effects: list[Effect] = []
        self._draining, self._ticked_ms = False, 0

    # What the driver takes

    def next(self, now_ms: int) -> Delivery | None:
        """The next delivery to send, with its `others`. It takes a slot until it is put in: landed, broken, untried."""
        while (cleared := self._trials.next()) and not cleared.lane.machine.may_go(cleared, now_ms):
            self.untried(cleared, now_ms)
        if cleared is not None:
            return cleared
        while not self._draining and (machine := self._turns.next()) is not None:
            delivery = machine.take(now_ms)
            if delivery is None:
                self._turns.end(machine)
            elif delivery.reference.crashes and not self._trials.begin(delivery):
                self._turns.end(machine)
                self._settle(machine, now_ms)
            else:
                if machine.rights.left == 0 or machine.batch is not None:
                    self._settle(machine, now_ms)
                self._turns.add(machine)
                if not delivery.reference.crashes:
                    return delivery
                self._effects.append(Announce(delivery))
        return None

    def turns(self) -> int:
        """How many more deliveries could be sent now, at most."""
        return self._trials.cleared() + (0 if self._draining else len(self._turns))

    def effects(self) -> list[Effect]:
        """What the driver is asked to do, once."""
        effects, self._effects = self._effects, []
        return effects

    def wake_ms(self) -> int:
        """When to put in `tick`; 0: no time is waited for."""
        return self._alarms.next_ms()

    def collect(self, source: SourceUid, now_ms: int) -> tuple[list[HandIn], int]:
        """What to hand in for a source, and how many further lanes to claim."""
        holding = self._holdings[source]
        held = self.held()
        if self.sharing.gives(held, now_ms) and (lane := holding.give_away()) is not None:
            self.sharing.gave()
            self._settle(lane.machine, now_ms)
        handed = holding.collect(most_ahead=self._ahead.of_lane(held), now_ms=now_ms)
        return handed, min(holding.claims(), self._ahead.of_claims()) if self.sharing.claims(now_ms) else 0

    def held(self, source: SourceUid | None = None) -> int:
        """How many lanes are held, of one source or of all."""
        holdings = self._holdings.values() if source is None else (self._holdings[source],)
        return sum(len(holding.lanes) for holding in holdings)

    def missing(
        self, source: SourceUid, held: Mapping[EndpointId, Sequence[bytes]], pending: Iterable[HandIn]
    ) -> dict[EndpointId, list[bytes]]:
        """After an answer was lost: what the store says is in flight here, and this worker does not know of."""
        return self._holdings[source].missing(held, pending)

    def is_known(self, endpoint: EndpointId) -> bool:
        """Whether an endpoint's configuration and condition were put in, and still count."""
        return (machine := self._machines.get(endpoint)) is not None and machine.endpoint is not None

    def follow(self, source: SourceUid) -> None:
        """Hold lanes of a source from now on."""
        self._holdings[source] = Holding(source)
        self.noticed(source)

    def forget(self, source: SourceUid) -> None:
        """A source is gone: nothing more of it is sent."""
        for lane in self._holdings.pop(source).lanes.values():
            lane.forget()
            lane.machine.left(lane, parked=False)

    def noticed(self, source: SourceUid) -> None:
        """There may be new work in a source's lanes."""
        if (holding := self._holdings.get(source)) is not None and not self._draining:
            holding.look()
            self._take_wanted(holding)

    def reread(self, source: SourceUid, now_ms: int) -> None:
        """Events of a source lost their content: its lanes are handed back, and claimed with the events as they are."""
        if (holding := self._holdings.get(source)) is not None:
            for lane in holding.let_go():
                self._settle(lane.machine, now_ms)

    def configured(
        self, endpoint_id: EndpointId, endpoint: Endpoint | None, bounds: Bounds, *, is_off: bool, now_ms: int
    ) -> None:
        """Take in an endpoint as it is now; None: it is not known. `bounds`: what bounds its callbacks."""
        was_off = endpoint_id in self._machines and self._machines[endpoint_id].state is EndpointState.OFF
        machine = self._machines.of(endpoint_id)
        machine.configured(endpoint, bounds, is_off=is_off)
        if was_off and not is_off:
            # Another worker may have put its lanes aside, and may not know yet that it was switched on.
            self._effects += [Unpark(source, endpoint_id) for source in self._holdings]
        self._settle(machine, now_ms)
        self._machines.forget_oldest(held=self.held())

    def learnt(self, endpoint: EndpointId, condition: Condition, now_ms: int) -> None:
        """Take in what the store remembers of an endpoint."""
        if (machine := self._machines.get(endpoint)) is not None:
            self._machines.move_to_end(endpoint)
            machine.learnt(condition, now_ms)
            self._settle(machine, now_ms)

    def may_send(self, endpoint: EndpointId, granted: Granted, now_ms: int) -> None:
        """Take in rights that were fetched for an endpoint, or the ms until there are some."""
        if (machine := self._machines.get(endpoint)) is not None:
            machine.may_send(granted, now_ms)
            self._settle(machine, now_ms)

    def not_disabled(self, endpoint: EndpointId) -> None:
        """Disabling an endpoint failed."""
        if (machine := self._machines.get(endpoint)) is not None:
            machine.not_disabled()

    # Lanes and the exchange

    def claimed(self, source: SourceUid, claim: Claim, now_ms: int) -> None:
        """A lane is held from now on. Its endpoint was configured a moment ago; one that was not, sends nothing."""
        holding = self._holdings[source]
        machine = self._machines.of(claim.endpoint)
        if (slept := holding.lanes.pop(claim.endpoint, None)) is not None:
            slept.forget()  # It was taken from this worker while it slept, and is its again: with other references.
        lane = open_lane(holding, machine, claim)
        lane.leaves = lane.leaves or self._draining
        holding.lanes[claim.endpoint] = machine.lanes[source] = lane
        arrive(lane, claim.arrivals, self._ahead, now_ms)
        self._settle(machine, now_ms)

    def answered(
        self, source: SourceUid, handed: HandIn, *, state: str, arrivals: Sequence[Arrival], now_ms: int
    ) -> None:
        """The store took what was handed in for a lane. `state` is what the lane is now: held, or not any more."""
        if (holding := self._holdings.get(source)) is None or (lane := holding.lanes.get(handed.endpoint)) is None:
            return
        lane.answered(stays=state == "held", wanted=handed.take, got=len(arrivals))
        if state != "held":
            self._leave(holding, lane, parked=state == "parked")
        elif not lane.leaves:
            # To one that leaves nothing is added: what it forgot would be passed. All of it goes back.
            arrive(lane, arrivals, self._ahead, now_ms)
        self._settle(lane.machine, now_ms)

    def renewed(self, source: SourceUid, until_ms: int, now_ms: int) -> None:
        """The store has renewed this worker's session: until then nobody takes a lane of the source from it."""
        if (holding := self._holdings.get(source)) is not None:
            ended, holding.lease_ms = holding.lease_ms <= now_ms, until_ms
            # What is ordered stood still.
            for lane in holding.lanes.values() if ended else ():
                self._settle(lane.machine, now_ms)

    def claims_answered(self, source: SourceUid, ready: int, now_ms: int) -> None:
        """The exchange is over; so many lanes of the source are still ready."""
        if (holding := self._holdings.get(source)) is not None:
            holding.exchanged(ready if self.sharing.claims(now_ms) else 0)
            self._take_wanted(holding)

    def recovered(self, source: SourceUid, held: Sequence[Claim], *, is_astray: bool, now_ms: int) -> None:
        """After a lost answer: the lanes that the store says are held here, each with what was missing of it.

        `is_astray`: the store went back in time, or took this worker for dead. Nothing that was believed of a lane
        is to be relied on, so each is let go as soon as nothing of it is in flight, and claimed again.
        """
        holding = self._holdings[source]
        for endpoint in set(holding.lanes) - {claim.endpoint for claim in held}:
            lane = holding.lanes[endpoint]
            lane.forget()
            self._leave(holding, lane, parked=False)
        for claim in held:
            if (known := holding.lanes.get(claim.endpoint)) is None:
                self.claimed(source, claim, now_ms)
            else:
                known.answered(stays=True, wanted=0, got=0)
                arrive(known, () if is_astray else claim.arrivals, self._ahead, now_ms)
            lane = holding.lanes[claim.endpoint]
            if is_astray:
                lane.clear()
                lane.leaves = True
            self._settle(lane.machine, now_ms)

    def landed(self, delivery: Delivery, *outcomes: Outcome | None, now_ms: int, jitter: float) -> list[Landed]:
        """A request has ended, with an outcome for each of its deliveries; None: one was not tried after all."""
        machine = delivery.lane.machine
        landed, follows = machine.landed(delivery, outcomes, now_ms=now_ms, jitter=jitter, schedule=self._schedule)
        self._effects += follows
        self._over(delivery, now_ms)
        return landed

    def broke(self, delivery: Delivery, now_ms: int) -> None:
        """An attempt ended by a bug of ours: the endpoint rests, and the delivery waits untried."""
        delivery.lane.machine.broke(delivery, now_ms + BROKEN_REST_MS)
        self._over(delivery, now_ms)

    def untried(self, delivery: Delivery, now_ms: int) -> None:
        """A delivery that `next` gave, or that was to be announced, did not go out."""
        self._trials.not_announced(delivery)
        if delivery in delivery.lane.flying:
            delivery.lane.machine.untried(delivery)
            self._over(delivery, now_ms)

    def announced(self, delivery: Delivery) -> None:
        """The store has noted that a delivery is about to be sent."""
        self._trials.announced(delivery)

    def tick(self, now_ms: int) -> None:
        """Time has passed."""
        if (back_ms := self._ticked_ms - now_ms) > STEP_MS:
            self._set_back(back_ms, now_ms)
        self._ticked_ms = now_ms
        while (machine := self._alarms.due(now_ms)) is not None:
            self._settle(machine, now_ms)

    def drain(self, now_ms: int) -> None:
        """Begin nothing more, hand back waiting deliveries, and release each lane once nothing of it is in flight."""
        self._draining = True
        self.sharing.drain()
        for delivery in self._trials.clear():
            self.untried(delivery, now_ms)
        for machine in self._machines.values():
            for lane in machine.lanes.values():
                lane.leaves = True
            self._settle(machine, now_ms)

    def _set_back(self, back_ms: int, now_ms: int) -> None:
        """The clock was set back: whatever waits, waits as long as it would have."""
        self._alarms.clear()
        self.sharing.forget()
        for holding in self._holdings.values():
            holding.lease_ms -= back_ms
        for machine in self._machines.values():
            machine.set_back(back_ms)
            self._settle(machine, now_ms)

    def _over(self, delivery: Delivery, now_ms: int) -> None:
        self._turns.end(delivery.lane.machine)
        for lane in self._trials.end(delivery):
            self._settle(lane.machine, now_ms)
        self._settle(delivery.lane.machine, now_ms)

    def _settle(self, machine: EndpointMachine, now_ms: int) -> None:
        self._trials.put_up(machine.lanes.values())
        self._effects += machine.settle(now_ms)
        self._turns.add(machine)
        for lane in machine.lanes.values():
            if (holding := self._holdings.get(lane.source)) is not None:
                holding.mark(lane)
                self._take_wanted(holding)
        self._alarms.set(machine, now_ms)

    def _take_wanted(self, holding: Holding) -> None:
        self._effects += [] if (wanted := holding.asked()) is None else [wanted]

    def _leave(self, holding: Holding, lane: Lane, *, parked: bool) -> None:
        del holding.lanes[lane.machine.id]
        self._effects += lane.machine.left(lane, parked=parked)
