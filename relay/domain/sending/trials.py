"""Trials of suspects: deliveries that were on the wire when workers died, again and again (goal G10).

One is tried at a time: should this worker die too, it is to blame. The others wait in their lanes meanwhile, and take
no slot.
"""

from collections.abc import Iterable

from relay.domain.sending.delivery import Delivery
from relay.domain.sending.lane import SUSPECT_CRASHES, Lane


class Trials:
    """Who is tried, and whose suspects wait."""

    def __init__(self) -> None:
        self._tried: Delivery | None = None
        self._waiting: dict[Lane, None] = {}

    def is_tried(self, delivery: Delivery) -> bool:
        """Whether a delivery is the one that is tried."""
        return self._tried is delivery

    def begin(self, delivery: Delivery) -> bool:
        """Whether a delivery that was taken may go out now. If not it waits in its lane until a trial has ended."""
        if delivery.reference.crashes < SUSPECT_CRASHES:
            return True
        if self._tried is None:
            self._tried = delivery
            return True
        lane = delivery.lane
        lane.flying.discard(delivery)
        lane.machine.flying -= 1
        lane.suspects.append(delivery)
        self._waiting[lane] = None
        return False

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
