"""A lane as the worker that holds it knows it: deliveries that wait, those in flight, and results of others."""

from collections import deque
from typing import TYPE_CHECKING

from relay.domain.model import Attempt, SourceUid
from relay.domain.operational import Event
from relay.domain.references import Reference
from relay.domain.sending.delivery import Delivery
from relay.domain.sending.effects import HandIn
from relay.domain.sending.queues import Queue
from relay.domain.sending.states import LANE_TABLE, LaneEvent, LaneState

if TYPE_CHECKING:
    from relay.domain.sending.endpoint import EndpointMachine
    from relay.domain.sending.holding import Holding

SMALLEST_READ = 16
LARGEST_READ = 256
NO_ORDER = -1
"""The order's version of a lane whose endpoint was not known when it was claimed."""
SUSPECT_CRASHES = 2
"""A delivery that was on the wire so often when a worker died is tried alone."""


class Lane:
    """One lane under this worker's session."""

    __slots__ = (
        "ahead",
        "exhausted",
        "flying",
        "holding",
        "in_line",
        "leaves",
        "machine",
        "order_version",
        "queue",
        "read_ahead",
        "results",
        "state",
        "suspects",
        "until_ms",
    )

    def __init__(self, holding: "Holding", machine: "EndpointMachine", queue: Queue, *, order_version: int) -> None:
        self.holding = holding
        self.machine = machine
        self.queue = queue
        self.order_version = order_version
        self.state = LaneState.OPEN
        self.flying: set[Delivery] = set()
        self.suspects: deque[Delivery] = deque()
        """Deliveries that wait for their trial."""
        self.results = HandIn(machine.id)
        self.read_ahead = SMALLEST_READ
        self.ahead = SMALLEST_READ
        """How many it may have here, as its last exchange was told: a probe needs one."""
        self.exhausted = False
        """Nothing more waits in the store, as far as this worker knows."""
        self.until_ms = 0
        """An ordered lane waits until then, because its head does; 0: it continues."""
        self.leaves = False
        """It has to go: its order changed, its worker drains, or other lanes wait for their turn."""
        self.in_line = False
        """It stands among the lanes of its endpoint that have something to send."""

    def on(self, event: LaneEvent) -> None:
        """Go to the next state, if the event leads to one."""
        self.state = LANE_TABLE.get((self.state, event), self.state)

    def settle(self, now_ms: int, *, is_held_back: bool) -> None:
        """Close, or open again, as its endpoint and its own head allow."""
        if self.until_ms and self.until_ms <= now_ms:
            self.until_ms = 0
        closes = is_held_back or self.leaves or self.until_ms
        self.on(LaneEvent.CLOSE if closes else LaneEvent.REOPEN)

    def set_back(self, back_ms: int) -> None:
        """The clock was set back by so much."""
        self.until_ms = max(0, self.until_ms - back_ms)
        if self.machine.batch is not None:
            for delivery in self.queue.waiting():
                delivery.since_ms = max(0, delivery.since_ms - back_ms)

    @property
    def source(self) -> SourceUid:
        """The source that it belongs to."""
        return self.holding.source

    def can_send(self) -> bool:
        """Whether it has something that may go now, as far as it is concerned itself."""
        if self.state is not LaneState.OPEN or not self.queue or self.until_ms:
            return False
        return not (self.queue.order == "fifo" and (self.flying or self.suspects))

    def may_pass(self, now_ms: int) -> bool:
        """Whether no other worker can have been given the lane. Where order counts, that must be certain."""
        return self.queue.order == "unordered" or now_ms < self.holding.lease_ms

    def may_change_hands(self) -> bool:
        """Whether another worker could soon go on with it: its callbacks come through, so those in flight land."""
        return self.state is LaneState.OPEN and bool(self.results.ended) and not self.suspects

    def is_short(self) -> bool:
        """Whether its next exchange should not wait: it could send more than is here, or has to leave."""
        if self.state is LaneState.OPEN:
            return self.wants_more() and len(self.queue) < self.machine.batch_size
        return self.can_leave()

    def is_full(self) -> bool:
        """Whether it has as many waiting as it may have here."""
        return len(self.queue) >= self.ahead

    def is_low(self) -> bool:
        """Whether half of what it may read ahead is used up."""
        return self.state is LaneState.OPEN and len(self.queue) <= self.ahead // 2

    def wants_more(self) -> bool:
        """Whether it is low, and more may wait in the store."""
        return self.is_low() and not self.exhausted

    def has_work(self) -> bool:
        """Whether there is something of it to hand in, or it can leave."""
        return self.can_leave() or self.results.has_results()

    def can_leave(self) -> bool:
        """Whether it is to go, and nothing of it is in flight any more."""
        return self.state is LaneState.CLOSING and not self.flying

    def waiting(self) -> list[Delivery]:
        """What was claimed and is not in flight, in order."""
        return [*self.suspects, *self.queue.waiting()]

    def push(self, delivery: Delivery) -> None:
        """Take in a delivery that was claimed."""
        self.queue.push(delivery, self.results)

    def begin(self) -> Delivery:
        """Take the next delivery into flight."""
        delivery = self.queue.pop()
        self.flying.add(delivery)
        return delivery

    def suspect(self, delivery: Delivery) -> None:
        """A delivery that was taken waits for its trial."""
        self.flying.discard(delivery)
        self.machine.flying -= 1
        self.suspects.append(delivery)

    def put_back(self, delivery: Delivery) -> None:
        """A delivery in flight was not tried, or must be tried again before all others."""
        self.flying.discard(delivery)
        self.queue.push_first(delivery)

    def ended(self, delivery: Delivery, *, is_sent: bool = True) -> None:
        """A delivery in flight has reached its receiver, or its endpoint does not want it sent."""
        self.flying.discard(delivery)
        (self.results.ended if is_sent else self.results.unwanted).append(delivery.stored)
        self.queue.ended(delivery, self.results)

    def gave_up(self, delivery: Delivery, reason: str) -> None:
        """A delivery in flight is dead."""
        self.flying.discard(delivery)
        self.results.dead.append((delivery.stored, reason))
        self.queue.ended(delivery, self.results)

    def postponed(self, delivery: Delivery, due_ms: int) -> None:
        """A delivery in flight waits in the store for its next try."""
        self.flying.discard(delivery)
        self.results.due.append((delivery.stored, delivery.reference.text(), due_ms, delivery.key or ""))
        self.queue.postponed(delivery, self.results)

    def unwanted(self, stored: bytes, number: int) -> None:
        """What was claimed is not wanted by its endpoint."""
        self.results.unwanted.append(stored)
        self.queue.given_up(number, self.results)

    def superseded(self, stored: bytes, attempt: Attempt) -> None:
        """What was claimed need not be sent: the receiver has confirmed a newer revision. `attempt` says so."""
        self.unwanted(stored, attempt.seq)
        self.results.attempts.append(attempt)

    def hold(self, stored: bytes, reference: Reference, until_ms: int, *, in_order: bool) -> None:
        """What was claimed is not old enough, or waits for a newer revision: it waits in the store."""
        self.results.held.append((stored, reference._replace(held=1, crashes=0).text(), until_ms, in_order))

    def never_came(self, stored: bytes, number: int | None, reason: str) -> None:
        """What was claimed can't be sent, for its event is not there, or its reference can't be read."""
        self.results.dead.append((stored, reason))
        if number is not None:
            self.queue.given_up(number, self.results)

    def noted(self, attempt: Attempt, event: Event | None, now_ms: int) -> None:
        """An attempt is to be kept in the log. `event` is the operational event that it causes."""
        self.results.attempts.append(attempt)
        if event is not None:
            self.results.notable.append((event[0], now_ms, event[1]))

    def collect(self, *, most_ahead: int, now_ms: int) -> HandIn:
        """Take what is to be handed in, with how many references to read ahead.

        A lane that closes leaves when nothing of it is in flight, and hands back its waiting deliveries. It is parked
        while it or its endpoint has to wait. Otherwise it is released, and another worker may have it.
        """
        handed, self.results = self.results, HandIn(self.machine.id)
        self.queue.handed_in(handed)
        if self.state is LaneState.OPEN:
            handed.take = self._wanted(most_ahead)
        elif self.can_leave():
            handed.back = [(each.stored, each.reference.text()) for each in self.waiting()]
            self.clear()
            self.on(LaneEvent.LEAVE)
            until_ms = max(self.until_ms, self.machine.aside_until(now_ms))
            handed.leaving = "park" if until_ms else "go"
            handed.until_ms = until_ms
        return handed

    def _wanted(self, most_ahead: int) -> int:
        if not self.queue:
            # It ran dry since the last time: read further ahead.
            self.read_ahead = min(self.read_ahead * 2, LARGEST_READ)
        # While a batch gathers, the next one is read.
        wanted = max(self.read_ahead, 2 * self.machine.batch_size)
        self.ahead = 1 if self.machine.is_probing else min(wanted, most_ahead)
        return self.ahead - len(self.queue) if self.is_low() else 0

    def answered(self, *, stays: bool, wanted: int, got: int) -> None:
        """The store has taken what was handed in, and says whether the lane is held."""
        self.on(LaneEvent.STAYED if stays else LaneEvent.LEFT)
        self.exhausted = got < wanted
        if self.state is LaneState.GONE:
            self.forget()

    def forget(self) -> None:
        """Another worker has it, and sends the waiting deliveries."""
        self.state = LaneState.GONE
        self.clear()

    def clear(self) -> None:
        """Forget the waiting deliveries: the store has them too."""
        self.suspects.clear()
        self.queue.clear()

    def known(self) -> set[bytes]:
        """Every reference of which this worker has something: deliveries, and results to hand in."""
        return {each.stored for each in (*self.waiting(), *self.flying)} | self.results.references()
