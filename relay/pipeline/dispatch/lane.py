"""A lane as the worker that holds it knows it: what waits here, what is in flight, and what came of the rest."""

from collections.abc import Iterable

from relay.domain.breaking import Health
from relay.domain.model import Endpoint, SourceUid
from relay.outbound.callbacks import PreparedEndpoint
from relay.pipeline.dispatch.delivery import Delivery
from relay.pipeline.dispatch.queues import ByKey, Queue
from relay.pipeline.dispatch.windows import SharedWindow
from relay.store.lanes import FOREVER, Handed

SMALLEST_READ = 16
LARGEST_READ = 1024


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
        "prepared",
        "queue",
        "read_ahead",
        "rights",
        "source",
        "stopped_until",
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
        self.handed = Handed(endpoint.id)
        self.in_turns = False
        self.read_ahead = SMALLEST_READ
        self.asked = 0
        """How many references were asked for last."""
        self.exhausted = False
        """There were fewer than that: nothing more waits in the store, as far as this worker knows."""
        self.stopped_until: int | str = ""
        """ms until when it is to be parked, or FOREVER; '': it goes on."""

    def is_runnable(self) -> bool:
        """Whether one more callback may be sent now."""
        if self.stopped_until != "" or not self.queue or self.rights == 0:
            return False
        if self.health.half_open or self.endpoint.order == "fifo":
            return not self.flying
        return self.window.flying < self.window.size

    def is_short(self) -> bool:
        """Whether it could send more than is here, or is to be parked: its next exchange should not wait."""
        return self.stopped_until != "" or not (self.exhausted or self.queue)

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

    def stop(self, until: int | str) -> None:
        """Park the lane as soon as nothing of it is in flight; the latest of several times counts."""
        if self.stopped_until == FOREVER or until == FOREVER:
            self.stopped_until = FOREVER
        else:
            self.stopped_until = max(int(self.stopped_until or 0), int(until))

    def collect(self, *, most_ahead: int) -> Handed:
        """Take what is to be handed in, with how many references to read ahead; parks the lane if it is to stop."""
        if self.stopped_until != "":
            self.hand_back(self.queue.clear())
        handed, self.handed = self.handed, Handed(self.endpoint.id)
        if isinstance(self.queue, ByKey):
            self.queue.handed_in(handed)
        if self.stopped_until != "":
            if not self.flying:
                handed.park_until = self.stopped_until
            return handed
        if not self.queue:
            # It ran dry since the last time: read further ahead.
            self.read_ahead = min(self.read_ahead * 2, LARGEST_READ)
        wanted = 1 if self.health.half_open else min(self.read_ahead, most_ahead)
        if len(self.queue) <= wanted // 2:
            handed.more = wanted - len(self.queue)
        self.asked = handed.more
        return handed

    def hand_back(self, deliveries: Iterable[Delivery]) -> None:
        """Put deliveries back at the head of the lane, untried."""
        self.handed.back += [(delivery.stored, delivery.stored) for delivery in deliveries]
