"""Trials of suspects: deliveries that were in flight when workers died, again and again (goal G10).

One is tried at a time, and noted in the store before: should this worker die too, it is to blame. The others wait in
their lanes meanwhile, and take no slot.
"""

from collections.abc import Callable

from relay.pipeline.dispatch.delivery import Delivery
from relay.pipeline.dispatch.lane import HeldLane

SUSPECT_CRASHES = 2
"""From so many crashes on a delivery is tried alone."""


class Trials:
    """Who is tried, and whose suspects wait."""

    def __init__(self, *, to_send: Callable[[HeldLane], None]) -> None:
        """`to_send` is called with each lane whose suspect may try again to be the one."""
        self._to_send = to_send
        self._busy = False
        self._waiting: dict[HeldLane, None] = {}

    def begin(self, lane: HeldLane, delivery: Delivery) -> bool:
        """Whether a delivery may be tried now. If not it waits in its lane, until a trial has ended."""
        if self._busy:
            lane.suspects.append(delivery)
            self._waiting[lane] = None
            return False
        self._busy = True
        return True

    def end(self) -> None:
        """The trial is over: every lane may put up one of its suspects, and the quickest is next."""
        self._busy = False
        waiting, self._waiting = self._waiting, {}
        for lane in waiting:
            if lane.suspects:
                lane.queue.push_first(lane.suspects.popleft())
                self._to_send(lane)
            if lane.suspects:
                self._waiting[lane] = None
