"""The machine of one endpoint: its breaker, window, rate and order, over its lanes of all sources."""

from collections import deque
from collections.abc import Sequence

import msgspec

from relay.domain.breaking import WELL, Condition, Health
from relay.domain.judging import Verdict, judge
from relay.domain.model import Attempt, Endpoint, EndpointId, SourceUid
from relay.domain.outcomes import Outcome
from relay.domain.sending.delivery import Delivery
from relay.domain.sending.effects import Change, Disable, Effect, FetchRights, Unpark
from relay.domain.sending.lane import Lane
from relay.domain.sending.states import ENDPOINT_TABLE, EndpointEvent, EndpointState, LaneState
from relay.domain.windows import Window

ASIDE_MS = 60_000
"""No lane is put aside for longer because its endpoint is off or rests: no notice of a change is to be relied on."""
FAILING_IS_KEPT_AFTER_MS = 60_000
"""A receiver that failed for so long without a success is remembered by the store: it is disabled after five days."""
RIGHTS_FOR_S = 0.1
"""Rights are fetched for so long at a time."""
ASK_AGAIN_MS = (100, 1000)
"""How soon at least and at most the right to probe is asked for again, while another worker has it."""
_CLOSED = frozenset({EndpointState.RESTING, EndpointState.OFF})


class EndpointMachine:
    """See the module. `settle` is called after every input, and derives from the state alone what must happen next."""

    __slots__ = (
        "_disabling",
        "_fetching",
        "_limits",
        "_probe",
        "_rest_ms",
        "_rights_at_ms",
        "_session",
        "alarm_ms",
        "condition",
        "endpoint",
        "flying",
        "health",
        "id",
        "lanes",
        "line",
        "rights",
        "state",
        "window",
    )

    def __init__(self, endpoint_id: EndpointId, *, session: str) -> None:
        self.id = endpoint_id
        self.endpoint: Endpoint | None = None
        self.state = EndpointState.OFF
        self.window = Window(1)
        self.flying = 0
        self.alarm_ms = 0
        """When the core settles it, for time alone; 0: it need not."""
        self.health = Health()
        self.condition: Condition = WELL
        """What the store said last."""
        self.rights: int | None = None
        """Callbacks that its rate limits let it send now; None: it has no limit."""
        self.lanes: dict[SourceUid, Lane] = {}
        self.line: deque[Lane] = deque()
        """Lanes that have something to send, in the order of their turns."""
        self._session = session
        self._limits: tuple[int, ...] = ()
        self._rights_at_ms = 0
        self._fetching = self._disabling = False
        self._probe: Delivery | None = None
        """The callback in flight that asks if the receiver is back."""
        self._rest_ms = 0
        """This worker alone sends nothing before."""

    # What a driver or another part of the core asks

    @property
    def in_order(self) -> bool:
        """Whether one callback of a lane goes out after the other."""
        return self.endpoint is not None and self.endpoint.order == "fifo"

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
        if not self.line or self.rights == 0:
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
            return min(max(self._until_ms(), now_ms + 1), now_ms + ASIDE_MS)
        return 0

    def wake_ms(self) -> int:
        """When time alone changes something; 0: it does not."""
        if self._is_at_ease():
            return 0
        times = [lane.until_ms for lane in self.lanes.values() if lane.until_ms and lane.flying]
        if self.state is EndpointState.RESTING and self.lanes:
            times.append(self._until_ms())
        if self.is_probing and self.lanes and not self.flying:
            times.append(self.condition.probe_until_ms)
        if self._wants_rights():
            times.append(self._rights_at_ms)
        return min(times, default=0)

    def _is_at_ease(self) -> bool:
        return self.state is EndpointState.FLOWING and self.rights != 0 and not self.in_order

    # Inputs

    def configured(self, endpoint: Endpoint | None, limits: Sequence[int], *, is_off: bool) -> None:
        """Take in the endpoint as it is now; None: it is unknown. `limits`: the rates that bind it, a second."""
        if self.endpoint is None and endpoint is not None:
            self.window = Window(endpoint.max_in_flight)
        self.endpoint = endpoint
        self._disabling = False
        if endpoint is None or is_off:
            self._on(EndpointEvent.OFF)
        else:
            self._on(EndpointEvent.ON)
            self.window.limit(endpoint.max_in_flight)
        if tuple(limits) != self._limits:
            self._limits, self.rights, self._rights_at_ms = tuple(limits), 0 if limits else None, 0
            # Whoever was asked for rights may find no limit any more, and say nothing.
            self._fetching = False
        for lane in self.lanes.values():
            if endpoint is not None and lane.order_version != endpoint.order_version:
                # What waits here is in another order: give it back, and claim it again in the new one.
                lane.until_ms, lane.leaves = 0, True

    def learnt(self, condition: Condition, now_ms: int) -> None:
        """Take in what the store remembers of it."""
        before, self.condition = self.condition, condition
        since = condition.failing_since_ms
        if condition.opens != self.health.opens:
            # Others saw it open, or close; or somebody says that it counts as well.
            self.health = Health(since, condition.opens)
        elif since != before.failing_since_ms:
            # Others had a success, or have waited for one for longer.
            self.health = msgspec.structs.replace(self.health, failing_since_ms=since)
        if self.state is EndpointState.ASKING:
            granted = condition.prober == self._session and condition.probe_until_ms > now_ms
            if not condition.opens:
                self._on(EndpointEvent.WELL)
            elif granted:
                self._on(EndpointEvent.GRANTED)
            else:
                self._on(EndpointEvent.REFUSED)
                self._rest_ms = max(now_ms + ASK_AGAIN_MS[0], min(condition.probe_until_ms, now_ms + ASK_AGAIN_MS[1]))
        elif not condition.opens and self.state is EndpointState.PROBING:
            self._on(EndpointEvent.WELL)
        if (self._until_ms() > now_ms or condition.opens) and not self.is_probing:
            self._on(EndpointEvent.REST)

    def may_send(self, given: int, wait_ms: int, now_ms: int) -> None:
        """Take in rights that were fetched, or how long to wait for the next one."""
        self._fetching = False
        if self.rights is not None:
            self.rights = given
            self._rights_at_ms = now_ms + max(1, wait_ms)

    def not_disabled(self) -> None:
        """Disabling it failed: the next answer that asks for it tries again."""
        self._disabling = False

    def take(self, now_ms: int) -> Delivery | None:
        """The next delivery to go out, of the lanes in turn; None: there is none after all."""
        while self.line:
            lane = self.line.popleft()
            lane.in_line = False
            if lane.can_send() and lane.may_pass(now_ms):
                delivery = lane.begin()
                self._stand_in_line(lane)
                self.flying += 1
                if self.rights is not None:
                    self.rights -= 1
                if self.is_probing:
                    self._probe = delivery
                return delivery
        return None

    def untried(self, delivery: Delivery) -> None:
        """A delivery that was taken did not go out."""
        self.flying -= 1
        delivery.lane.put_back(delivery)

    def broke(self, delivery: Delivery, rest_ms: int) -> None:
        """An attempt ended by a bug of ours: the delivery waits, untried, and so does everything of the endpoint."""
        self.untried(delivery)
        self._rest(rest_ms)

    def landed(
        self, delivery: Delivery, outcome: Outcome, *, now_ms: int, jitter: float, schedule: Sequence[float]
    ) -> list[Effect]:
        """An attempt has ended: judge it, put the delivery where it belongs, and learn from it."""
        self.flying -= 1
        endpoint = self.endpoint
        if endpoint is not None and endpoint.retry_schedule is not None:
            schedule = endpoint.retry_schedule
        verdict = judge(
            outcome,
            attempt=delivery.reference.attempt,
            health=self.health,
            # What was in flight before the right to probe was given tells nothing new.
            probing=self.is_probing and delivery is self._probe,
            order=delivery.lane.queue.order,
            schedule=schedule,
            jitter=jitter,
            now_ms=now_ms,
        )
        delivery.lane.noted(_attempt(self.id, delivery, outcome, verdict, now_ms))
        self._place(delivery, verdict)
        if verdict.place == "ended":
            self.window.succeeded(outcome.duration_ms)
        elif verdict.slows:
            self.window.failed()
        return self._learn(verdict, now_ms)

    # What follows

    def settle(self, now_ms: int) -> list[Effect]:
        """Derive what must happen next: which lanes close or open again, who is asked, and what is fetched."""
        effects: list[Effect] = []
        if self._is_due(now_ms):
            self._on(EndpointEvent.DUE if self.health.opens else EndpointEvent.OVER)
            if self.state is EndpointState.ASKING:
                effects.append(Change(self.id, "probe"))
        is_held_back = self.is_held_back
        for lane in self.lanes.values():
            lane.settle(now_ms, is_held_back=is_held_back)
            self._stand_in_line(lane)
        if self._wants_rights() and now_ms >= self._rights_at_ms:
            self._fetching = True
            waiting = sum(len(lane.queue) for lane in self.line)
            effects.append(FetchRights(self.id, max(1, min(waiting, int(min(self._limits) * RIGHTS_FOR_S)))))
        return effects

    def left(self, lane: Lane, *, parked: bool) -> list[Effect]:
        """A lane is not held any more."""
        if self.lanes.get(lane.source) is lane:
            del self.lanes[lane.source]
        if parked and not self.is_held_back and not lane.until_ms:
            # The reason is gone by now, and whoever ended it may have found the lane not parked yet.
            return [Unpark(lane.source, self.id)]
        return []

    def _wants_rights(self) -> bool:
        return self.rights == 0 and bool(self.line) and not self._fetching and not self.is_held_back

    def _is_due(self, now_ms: int) -> bool:
        if self.state is EndpointState.RESTING:
            return bool(self.lanes) and self._until_ms() <= now_ms
        return self.is_probing and not self.flying and bool(self.lanes) and self.condition.probe_until_ms <= now_ms

    def _stand_in_line(self, lane: Lane) -> None:
        if not lane.in_line and lane.can_send():
            lane.in_line = True
            self.line.append(lane)

    def _on(self, event: EndpointEvent) -> None:
        self.state = ENDPOINT_TABLE.get((self.state, event), self.state)

    def _rest(self, until_ms: int) -> None:
        self._rest_ms = max(self._rest_ms, until_ms)
        self._on(EndpointEvent.REST)

    def _until_ms(self) -> int:
        return max(self.condition.until_ms, self.condition.asked_ms, self._rest_ms)

    def _place(self, delivery: Delivery, verdict: Verdict) -> None:
        lane = delivery.lane
        if verdict.place == "ended":
            lane.ended(delivery)
            return
        if verdict.place == "dead":
            lane.gave_up(delivery, verdict.reason)
            return
        if verdict.uses_try:
            attempt = delivery.reference.attempt + 1
            delivery.reference = delivery.reference._replace(attempt=attempt, crashes=0, by_hand=0)
        if verdict.place == "due":
            lane.postponed(delivery, verdict.due_ms)
            return
        lane.put_back(delivery)
        if verdict.uses_try and verdict.due_ms:
            # Nothing may pass it: the whole lane waits.
            lane.until_ms = verdict.due_ms

    def _learn(self, verdict: Verdict, now_ms: int) -> list[Effect]:
        before, self.health = self.health, verdict.health
        effects: list[Effect] = []
        if verdict.breaker_until_ms:
            self.condition = _later(self.condition, until_ms=verdict.breaker_until_ms)
            effects.append(Change(self.id, "open", before.opens, verdict.breaker_until_ms))
        elif not self.health.failing_since_ms or self.health.opens < before.opens:
            if self.condition.failing_since_ms or self.condition.opens or before.opens:
                self.condition = Condition(asked_ms=self.condition.asked_ms)
                effects.append(Change(self.id, "well"))
        elif not self.condition.failing_since_ms and (
            now_ms - self.health.failing_since_ms >= FAILING_IS_KEPT_AFTER_MS
        ):
            self.condition = _later(self.condition, failing_since_ms=self.health.failing_since_ms)
            effects.append(Change(self.id, "failing", 0, self.health.failing_since_ms))
        if verdict.asked_until_ms > self.condition.asked_ms:
            self.condition = _later(self.condition, asked_ms=verdict.asked_until_ms)
            effects.append(Change(self.id, "rest", 0, verdict.asked_until_ms))
        if verdict.rest_until_ms:
            self._rest(verdict.rest_until_ms)
        if self._until_ms() > now_ms:
            self._on(EndpointEvent.REST)
        elif not self.health.opens:
            self._on(EndpointEvent.WELL)
        if verdict.kind == "disabled" and self.endpoint is not None and not self._disabling:
            self._disabling = True
            effects.append(Disable(self.endpoint, verdict.reason))
        return effects


def _later(condition: Condition, **fields: int) -> Condition:
    values = {name: max(getattr(condition, name), value) for name, value in fields.items()}
    return Condition(**({name: getattr(condition, name) for name in condition.__struct_fields__} | values))


def _attempt(endpoint: EndpointId, delivery: Delivery, outcome: Outcome, verdict: Verdict, now_ms: int) -> Attempt:
    reference = delivery.reference
    return Attempt(
        endpoint_id=endpoint,
        seq=reference.number,
        number=reference.attempt,
        type_code=reference.type_code,
        started_at_ms=now_ms - round(outcome.duration_ms),
        duration_ms=round(outcome.duration_ms),
        status=outcome.status,
        verdict=verdict.kind,
        error=outcome.error if not outcome.detail else f"{outcome.error}: {outcome.detail}",
        next_at_ms=verdict.due_ms,
        headers=outcome.headers,
        body=outcome.body,
        trigger=reference.by_hand,
        tag=reference.tag,
    )
