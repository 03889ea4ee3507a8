"""A lane as the worker that holds it knows it: what waits here, what is in flight, and what came of the rest."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from relay.domain.breaking import Health
from relay.domain.model import Endpoint, SourceUid, StoredEvent
from relay.domain.references import Reference
from relay.domain.windows import Window
from relay.outbound.callbacks import PreparedEndpoint
from relay.store.lanes import FOREVER, Handed

SMALLEST_READ = 16
LARGEST_READ = 1024


@dataclass(slots=True, eq=False)
class Delivery:
    """One event for one endpoint, claimed by this worker."""

    stored: bytes
    """The reference as it stands in the store."""
    reference: Reference
    event: StoredEvent


class HeldLane:
    """One lane under this worker's session."""

    __slots__ = (
        "endpoint",
        "flying",
        "handed",
        "health",
        "in_turns",
        "prepared",
        "queue",
        "read_ahead",
        "source",
        "stopped_until",
        "window",
    )

    def __init__(
        self, source: SourceUid, endpoint: Endpoint, prepared: PreparedEndpoint, window: Window, health: Health
    ) -> None:
        self.source = source
        self.endpoint = endpoint
        self.prepared = prepared
        self.window = window
        self.health = health
        self.queue: deque[Delivery] = deque()
        self.flying: set[Delivery] = set()
        self.handed = Handed(endpoint.id)
        self.in_turns = False
        self.read_ahead = SMALLEST_READ
        self.stopped_until: int | str = ""
        """ms until when it is to be parked, or FOREVER; '': it goes on."""

    def is_runnable(self) -> bool:
        """Whether one more callback may be sent now."""
        if not self.queue or self.stopped_until != "":
            return False
        return len(self.flying) < self.most_flying()

    def most_flying(self) -> int:
        """How many may be in flight at once."""
        if self.health.half_open or self.endpoint.order == "fifo":
            return 1
        return int(self.window.size)

    def begin(self) -> Delivery:
        """Take the next delivery into flight."""
        delivery = self.queue.popleft()
        self.flying.add(delivery)
        return delivery

    def stop(self, until: int | str) -> None:
        """Park the lane as soon as nothing of it is in flight; the latest of several times counts."""
        if self.stopped_until == FOREVER or until == FOREVER:
            self.stopped_until = FOREVER
        else:
            self.stopped_until = max(int(self.stopped_until or 0), int(until))

    def collect(self, *, most_ahead: int) -> Handed:
        """Take what is to be handed in, with how many references to read ahead; parks the lane if it is to stop."""
        handed, self.handed = self.handed, Handed(self.endpoint.id)
        if self.stopped_until != "":
            handed.back += [(delivery.stored, delivery.stored) for delivery in self.queue]
            self.queue.clear()
            if not self.flying:
                handed.park_until = self.stopped_until
            return handed
        if not self.queue:
            # It ran dry since the last time: read further ahead.
            self.read_ahead = min(self.read_ahead * 2, LARGEST_READ)
        wanted = 1 if self.health.half_open else min(self.read_ahead, most_ahead)
        if len(self.queue) <= wanted // 2:
            handed.more = wanted - len(self.queue)
        return handed

    def hand_back(self, deliveries: Sequence[Delivery]) -> None:
        """Put deliveries back at the head of the lane, untried."""
        self.handed.back += [(delivery.stored, delivery.stored) for delivery in deliveries]
