"""Trials: what was on the wire when a worker died is announced before it goes out again (goal G10).

From the second crash on a delivery is a suspect, and one of those is tried at a time: should this worker die too, it is
to blame. Until then, the others wait in their lanes and take no slot.
"""

from collections import deque
from collections.abc import Iterable

from relay.domain.sending.delivery import Delivery
from relay.domain.sending.lane import SUSPECT_CRASHES, Lane


class Trials:
    """Who is announced, who is tried, and whose suspects wait."""

    def __init__(self) -> None:
        self._announcing: dict[Delivery, None] = {}
        """Deliveries that are being noted in the store before they are sent."""
        self._cleared: deque[Delivery] = deque()
        """Those that may go out: it is noted."""
        self._tried: Delivery | None = None
        self._waiting: dict[Lane, None] = {}

    def cleared(self) -> int:
        """How many may go out."""
        return len(self._cleared)

    def next(self) -> Delivery | None:
        """One that may go out."""
        return self._cleared.popleft() if self._cleared else None

    def begin(self, delivery: Delivery) -> bool:
        """Whether a delivery that was taken is to be announced. If not it waits in its lane until a trial has ended."""
        if delivery.reference.crashes >= SUSPECT_CRASHES and self._tried is not None:
            delivery.lane.suspect(delivery)
            self._waiting[delivery.lane] = None
            return False
        if delivery.reference.crashes >= SUSPECT_CRASHES:
            self._tried = delivery
        self._announcing[delivery] = None
        return True

    def announced(self, delivery: Delivery) -> None:
        """The store has noted that a delivery is about to be sent."""
        if delivery in self._announcing:
            del self._announcing[delivery]
            self._cleared.append(delivery)

    def not_announced(self, delivery: Delivery) -> None:
        """Noting it failed."""
        self._announcing.pop(delivery, None)

    def clear(self) -> list[Delivery]:
        """Nothing goes out any more; gives what was about to."""
        left = [*self._announcing, *self._cleared]
        self._announcing.clear()
        self._cleared.clear()
        return left

    def end(self, delivery: Delivery) -> list[Lane]:
        """A delivery is over: if it was the one that was tried, gives the lanes whose suspects wait."""
        if self._tried is not delivery:
            return []
        self._tried = None
        waiting, self._waiting = self._waiting, {}
        return list(waiting)

    def put_up(self, lanes: Iterable[Lane]) -> None:
        """While nobody is tried each lane may put up one of its suspects, and the quickest is next."""
        if self._tried is not None:
            return
        for lane in lanes:
            if lane.suspects:
                lane.queue.push_first(lane.suspects.popleft())
