"""The lanes of an endpoint that have something to send, in the order of their turns."""

from collections import deque

from relay.domain.sending.delivery import Delivery
from relay.domain.sending.lane import Lane


class Line:
    """See the module. A lane that has nothing to send any more is found out when its turn comes."""

    def __init__(self) -> None:
        self._lanes: deque[Lane] = deque()

    def __len__(self) -> int:
        return len(self._lanes)

    def join(self, lane: Lane) -> None:
        """Stand at the end, unless it stands here or has nothing to send."""
        if not lane.in_line and lane.can_send():
            lane.in_line = True
            self._lanes.append(lane)

    def take(self, now_ms: int) -> Delivery | None:
        """Take the next delivery into flight; None: there is none after all."""
        while self._lanes:
            lane = self._lanes.popleft()
            lane.in_line = False
            if lane.can_send() and lane.may_pass(now_ms):
                delivery = lane.begin()
                self.join(lane)
                return delivery
        return None

    def able(self) -> list[Lane]:
        """The lanes that have something to send now."""
        return [lane for lane in self._lanes if lane.can_send()]

    def waiting(self, *, in_order: bool) -> int:
        """How many deliveries could be sent, where one of each lane at a time can if they are in order."""
        return len(self._lanes) if in_order else sum(len(lane.queue) for lane in self._lanes)
