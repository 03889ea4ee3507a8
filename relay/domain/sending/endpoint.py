"""The machine of one endpoint: its breaker, window, rate and order, over its lanes of all sources."""

from collections.abc import Sequence

from relay.domain.breaking import Condition
from relay.domain.judging import Verdict
from relay.domain.model import Endpoint, EndpointId, SourceUid
from relay.domain.outcomes import Outcome
from relay.domain.rates import Bounds
from relay.domain.requests.model import Batch
from relay.domain.sending.delivery import Delivery
from relay.domain.sending.effects import Change, Disable, Effect, FetchRights, Unpark
from relay.domain.sending.gathering import gathered, gathers_until_ms, most_requests
from relay.domain.sending.judging import Landed, judged, telling
from relay.domain.sending.lane import Lane
from relay.domain.sending.line import Line
from relay.domain.sending.receiver import Receiver
from relay.domain.sending.rights import Granted, Rights
from relay.domain.sending.states import ENDPOINT_TABLE, EndpointEvent, EndpointState, LaneState
from relay.domain.windows import Window

ASIDE_MS = 60_000
"""No lane is put aside for longer because its endpoint is off or rests: no notice of a change is to be relied on."""
ASK_AGAIN_MS = (100, 1000)
"""How soon at least and at most the right to probe is asked for again, while another worker has it."""
_CLOSED = frozenset({EndpointState.RESTING, EndpointState.OFF})


class EndpointMachine:
    """See the module. `settle` is called after every input, and derives from the state alone what must happen next."""

    __slots__ = (
        "_disabling", "_probe", "_session", "alarm_ms", "endpoint", "flying", "gathers_until_ms", "id", "lanes", "line",
        "receiver", "rights", "state", "window",
    )  # fmt: skip

    def __init__(self, endpoint_id: EndpointId, *, session: str) -> None:
        self.id = endpoint_id
        self.endpoint: Endpoint | None = None
        self.state = EndpointState.OFF
        self.window = Window(1)
        self.flying = 0
        """Requests in flight."""
        self.gathers_until_ms = 0
        """A batch gathers until then; 0: none does."""
        self.alarm_ms = 0
        """When the core settles it, for time alone; 0: it need not."""
        self.receiver = Receiver(endpoint_id)
        self.rights = Rights()
        self.lanes: dict[SourceUid, Lane] = {}
        self.line = Line()
        self._session = session
        self._disabling = False
        self._probe: Delivery | None = None
        """The callback in flight that asks if the receiver is back."""

    # What a driver or another part of the core asks

    @property
    def in_order(self) -> bool:
        """Whether one callback of a lane goes out after the other."""
        return self.endpoint is not None and self.endpoint.order == "fifo"

    @property
    def batch(self) -> Batch | None:
        """What a batch is; None: each event goes alone."""
        known = self.endpoint
        return None if known is None or known.order != "unordered" else known.request.batch

    @property
    def batch_size(self) -> int:
        """How many events a request has at most."""
        return 1 if self.batch is None else self.batch.size

    @property
    def is_probing(self) -> bool:
        """Whether one callback at a time asks if the receiver is back."""
        return self.state is EndpointState.PROBING

    @property
    def is_held_back(self) -> bool:
        """Whether nothing is sent now, whatever waits."""
        return self.state in _CLOSED

    def is_runnable(self) -> bool:
        """Whether one more callback may go out now."""
        if not self.line or self.rights.left == 0 or self.gathers_until_ms:
            return False
        if self.state is EndpointState.FLOWING:
            return self.flying < self.window.size
        return self.state is EndpointState.PROBING and not self.flying

    def may_go(self, delivery: Delivery, now_ms: int) -> bool:
        """Whether a delivery that was taken, and had to wait then, may still go out."""
        lane = delivery.lane
        goes = self.state is EndpointState.FLOWING or (self.is_probing and delivery is self._probe)
        return goes and lane.state is LaneState.OPEN and lane.may_pass(now_ms)

    def aside_until(self, now_ms: int) -> int:
        """Until when its lanes are put aside; 0: they need not be."""
        if self.state is EndpointState.OFF:
            return now_ms + ASIDE_MS
        if self.state is EndpointState.RESTING:
            return min(max(self._rests_until_ms(), now_ms + 1), now_ms + ASIDE_MS)
        return 0

    def _rests_until_ms(self) -> int:
        return max(self.receiver.until_ms(), self.rights.rest_ms)

    def wake_ms(self) -> int:
        """When time alone changes something; 0: it does not."""
        if self._is_at_ease():
            return 0
        times = [lane.until_ms for lane in self.lanes.values() if lane.until_ms and lane.flying]
        if lapse_ms := self.rights.lapse_ms():
            times.append(lapse_ms)
        if self.state is EndpointState.RESTING and self.lanes:
            times.append(self._rests_until_ms())
        if self.is_probing and self.lanes and not self.flying:
            times.append(self.receiver.condition.probe_until_ms)
        if self._wants_rights():
            times.append(self.rights.at_ms)
        if self.gathers_until_ms:
            times.append(self.gathers_until_ms)
        return min(times, default=0)

    def _is_at_ease(self) -> bool:
        waits = self.rights.left == 0 or self.rights.lapse_ms() or self.gathers_until_ms
        return self.state is EndpointState.FLOWING and not (waits or self.in_order)

    # Inputs

    def configured(self, endpoint: Endpoint | None, bounds: Bounds, *, is_off: bool) -> None:
        """Take in the endpoint as it is now; None: it is unknown. `bounds`: what bounds its callbacks."""
        if self.endpoint is None and endpoint is not None:
            self.window = Window(most_requests(endpoint))
        self.endpoint = endpoint
        self._disabling = False
        if endpoint is None or is_off:
            self._on(EndpointEvent.OFF)
        else:
            self._on(EndpointEvent.ON)
            self.window.limit(most_requests(endpoint))
        self.rights.bind(bounds)
        for lane in self.lanes.values():
            if endpoint is not None and lane.order_version != endpoint.order_version:
                # The waiting deliveries are in another order: give it back, and claim it again in the new one.
                lane.until_ms, lane.leaves = 0, True

    def learnt(self, condition: Condition, now_ms: int) -> None:
        """Take in what the store remembers of it."""
        self.receiver.remembered(condition)
        if self.state is EndpointState.ASKING:
            granted = condition.prober == self._session and condition.probe_until_ms > now_ms
            if not condition.opens:
                self._on(EndpointEvent.WELL)
            elif granted:
                self._on(EndpointEvent.GRANTED)
            else:
                self._on(EndpointEvent.REFUSED)
                soonest_ms, latest_ms = now_ms + ASK_AGAIN_MS[0], now_ms + ASK_AGAIN_MS[1]
                self.receiver.ask_again(max(soonest_ms, min(condition.probe_until_ms, latest_ms)))
        elif not condition.opens and self.state is EndpointState.PROBING:
            self._on(EndpointEvent.WELL)
        if (self.receiver.until_ms() > now_ms or condition.opens) and not self.is_probing:
            self._on(EndpointEvent.REST)

    def may_send(self, granted: Granted, now_ms: int) -> None:
        """Take in rights that were fetched, or how long to wait for the next one."""
        if self.rights.given(granted, now_ms):
            self._on(EndpointEvent.REST)

    def set_back(self, back_ms: int) -> None:
        """The clock was set back by so much."""
        self.alarm_ms = 0
        self.receiver.set_back(back_ms)
        self.rights.set_back(back_ms)
        for lane in self.lanes.values():
            lane.set_back(back_ms)

    def not_disabled(self) -> None:
        """Disabling it failed: the next answer that asks for it tries again."""
        self._disabling = False

    def take(self, now_ms: int) -> Delivery | None:
        """The next delivery to go out, with the others of its batch, if it has one; None: there is none after all."""
        if self.rights.have_lapsed(now_ms) or (delivery := self.line.take(now_ms)) is None:
            return None
        self.flying += 1
        self.rights.use()
        if self.is_probing:
            self._probe = delivery
        elif self.batch is not None and not delivery.reference.crashes:
            delivery.others = gathered(self.batch, delivery, lambda: self.line.take(now_ms))
        return delivery

    def untried(self, delivery: Delivery) -> None:
        """A delivery that was taken did not go out, and neither did the others of its batch."""
        self.flying -= 1
        for member in reversed(delivery.members):
            member.lane.put_back(member)
        delivery.others = []

    def broke(self, delivery: Delivery, rest_ms: int) -> None:
        """An attempt ended by a bug of ours: the delivery waits, untried, and so does everything of the endpoint."""
        self.untried(delivery)
        self.receiver.rest(rest_ms)
        self._on(EndpointEvent.REST)

    def landed(
        self, delivery: Delivery, outcomes: Sequence[Outcome | None], *, now_ms: int, jitter: float,
        schedule: Sequence[float],
    ) -> tuple[list[Landed], list[Effect]]:  # fmt: skip
        """A request has ended: judge it, put its deliveries where they belong, and learn from it, once."""
        self.flying -= 1
        self.rights.landed()
        if self.endpoint is not None and self.endpoint.retry_schedule is not None:
            schedule = self.endpoint.retry_schedule
        # What was in flight before the right to probe was given tells nothing new.
        probing = self.is_probing and delivery is self._probe
        landed = judged(
            delivery, outcomes, health=self.receiver.health, probing=probing, schedule=schedule, jitter=jitter,
            now_ms=now_ms,
        )  # fmt: skip
        told = telling(landed)
        if told.verdict.place == "ended":
            self.window.succeeded(told.outcome.duration_ms)
        elif told.verdict.slows:
            self.window.failed()
        return landed, self._learn(told.verdict, now_ms)

    # What follows

    def settle(self, now_ms: int) -> list[Effect]:
        """Derive what must happen next: which lanes close or open again, who is asked, and what is fetched."""
        effects: list[Effect] = []
        if self._is_due(now_ms):
            self._on(EndpointEvent.DUE if self.receiver.health.opens else EndpointEvent.OVER)
            if self.state is EndpointState.ASKING:
                effects.append(Change(self.id, "probe"))
        is_held_back = self.is_held_back
        for lane in self.lanes.values():
            lane.settle(now_ms, is_held_back=is_held_back)
            self.line.join(lane)
        batch = None if self.is_probing else self.batch
        self.gathers_until_ms = 0 if batch is None else gathers_until_ms(batch, self.line.able(), now_ms)
        if self.rights.left is not None:
            effects += self._rights_follow(now_ms)
        return effects

    def _rights_follow(self, now_ms: int) -> list[Effect]:
        self.rights.lapse(now_ms)
        if self._wants_rights() and now_ms >= self.rights.at_ms:
            requests = -(-self.line.waiting(in_order=self.in_order) // self.batch_size)
            return [FetchRights(self.id, self.rights.fetch(requests, self._room(), self.flying))]
        return [FetchRights(self.id, self.rights.tell(self.flying))] if self.rights.have_to_tell(self.flying) else []

    def _room(self) -> int:
        return (1 if self.is_probing else int(self.window.size)) - self.flying

    def left(self, lane: Lane, *, parked: bool) -> list[Effect]:
        """A lane is not held any more."""
        if self.lanes.get(lane.source) is lane:
            del self.lanes[lane.source]
        if parked and not self.is_held_back and not lane.until_ms:
            # The reason is gone by now, and the worker that ended it may have found the lane not parked yet.
            return [Unpark(lane.source, self.id)]
        return []

    def _wants_rights(self) -> bool:
        may_send = bool(self.line) and not self.is_held_back and not self.gathers_until_ms
        return may_send and self.rights.are_needed() and self.rights.fit(self._room())

    def _is_due(self, now_ms: int) -> bool:
        if self.state is EndpointState.RESTING:
            return bool(self.lanes) and self._rests_until_ms() <= now_ms
        return (
            self.is_probing
            and not self.flying
            and bool(self.lanes)
            and self.receiver.condition.probe_until_ms <= now_ms
        )

    def _on(self, event: EndpointEvent) -> None:
        self.state = ENDPOINT_TABLE.get((self.state, event), self.state)

    def _learn(self, verdict: Verdict, now_ms: int) -> list[Effect]:
        effects: list[Effect] = [*self.receiver.judged(verdict, now_ms)]
        if self._rests_until_ms() > now_ms:
            self._on(EndpointEvent.REST)
        elif not self.receiver.health.opens:
            self._on(EndpointEvent.WELL)
        if verdict.kind == "disabled" and self.endpoint is not None and not self._disabling:
            self._disabling = True
            effects.append(Disable(self.endpoint, verdict.reason))
        return effects
