"""A lane as the worker that holds it knows it: what waits here, what is in flight, and what came of the rest."""

from collections import deque
from collections.abc import Iterable

from relay.domain.breaking import Health
from relay.domain.model import Endpoint, SourceUid
from relay.outbound.callbacks import PreparedEndpoint
from relay.pipeline.dispatch.delivery import Delivery
from relay.pipeline.dispatch.queues import Queue
from relay.pipeline.dispatch.windows import SharedWindow
from relay.store.lanes import Handed

SMALLEST_READ = 16
LARGEST_READ = 256
ASIDE_MS = 60_000
"""A lane that is put aside because its endpoint is disabled is looked at again after this. No notice of a change is to
be relied on, so no lane is ever parked for good."""


class HeldLane:
    """One lane under this worker's session."""

    __slots__ = (
        "asked",
        "endpoint",
        "exhausted",
        "flying",
        "handed",
        "health",
        "in_turns",
        "is_off",
        "prepared",
        "queue",
        "read_ahead",
        "rights",
        "source",
        "stopped_until",
        "suspects",
        "was_off",
        "window",
    )

    def __init__(
        self,
        source: SourceUid,
        endpoint: Endpoint,
        *,
        prepared: PreparedEndpoint,
        window: SharedWindow,
        health: Health,
        queue: Queue,
        rights: int | None,
    ) -> None:
        """`rights`: callbacks that its rate limits let it send now; None: it has no limit."""
        self.source = source
        self.endpoint = endpoint
        self.prepared = prepared
        self.window = window
        self.health = health
        self.queue = queue
        self.rights = rights
        self.flying: set[Delivery] = set()
        self.suspects: deque[Delivery] = deque()
        """What waits for its trial."""
        self.handed = Handed(endpoint.id)
        self.in_turns = False
        self.read_ahead = SMALLEST_READ
        self.asked = 0
        """How many references were asked for last."""
        self.exhausted = False
        """There were fewer than that: nothing more waits in the store, as far as this worker knows."""
        self.is_off = False
        """Its endpoint is disabled, paused or gone, or the lane is somebody else's."""
        self.was_off = False
        """It was handed in to be parked for that reason."""
        self.stopped_until: int | None = None
        """ms until when it is to be parked; None: it goes on."""

    @property
    def is_stopped(self) -> bool:
        """Whether nothing more is to be sent, and the lane parked as soon as nothing of it is in flight."""
        return self.is_off or self.stopped_until is not None

    def is_runnable(self) -> bool:
        """Whether one more callback may be sent now."""
        if self.is_stopped or not self.queue or self.rights == 0:
            return False
        if self.health.half_open or self.endpoint.order == "fifo":
            return not (self.flying or self.suspects)
        return self.window.flying < self.window.size

    def is_short(self) -> bool:
        """Whether it could send more than is here, or is to be parked: its next exchange should not wait."""
        return self.is_stopped or not (self.exhausted or self.queue)

    def is_empty(self) -> bool:
        """Whether this worker has nothing of it: neither deliveries nor results."""
        return not (self.flying or self.suspects or self.queue.waiting()) and self.handed.is_empty()

    def waiting(self) -> list[Delivery]:
        """What was claimed and is not in flight, in order."""
        return [*self.suspects, *self.queue.waiting()]

    def begin(self) -> Delivery:
        """Take the next delivery into flight."""
        delivery = self.queue.pop()
        self.flying.add(delivery)
        self.window.flying += 1
        if self.rights is not None:
            self.rights -= 1
        return delivery

    def land(self, delivery: Delivery) -> None:
        """A delivery is in flight no more."""
        if delivery in self.flying:
            self.flying.discard(delivery)
            self.window.flying -= 1

    def stop(self, until_ms: int) -> None:
        """Park the lane as soon as nothing of it is in flight; the latest of several times counts."""
        self.stopped_until = max(self.stopped_until or 0, until_ms)

    def collect(self, *, now_ms: int, most_ahead: int, let_go: bool) -> Handed:
        """Take what is to be handed in, with how many references to read ahead.

        A lane that is stopped is parked, and one that is to be let go is, both as soon as nothing of it is in flight.
        """
        if self.is_stopped or let_go:
            self.hand_back(self.waiting())
            self.suspects.clear()
            self.queue.clear()
        handed, self.handed = self.handed, Handed(self.endpoint.id)
        self.queue.handed_in(handed)
        if self.is_stopped and not self.flying:
            self.was_off = self.is_off
            handed.park_until = max(self.stopped_until or 0, now_ms + ASIDE_MS if self.is_off else 0)
        elif let_go and not self.flying:
            handed.more = -1
        elif not (self.is_stopped or let_go):
            handed.more = self.asked = self._wanted(most_ahead)
        return handed

    def _wanted(self, most_ahead: int) -> int:
        if not self.queue:
            # It ran dry since the last time: read further ahead.
            self.read_ahead = min(self.read_ahead * 2, LARGEST_READ)
        wanted = 1 if self.health.half_open else min(self.read_ahead, most_ahead)
        return wanted - len(self.queue) if len(self.queue) <= wanted // 2 else 0

    def hand_back(self, deliveries: Iterable[Delivery]) -> None:
        """Put deliveries back at the head of the lane, untried."""
        self.handed.back += [(delivery.stored, delivery.stored) for delivery in deliveries]
