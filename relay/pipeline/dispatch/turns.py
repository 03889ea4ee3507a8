"""Whose turn it is to send: one callback a lane, round and round, so that a long lane delays no short one."""

from collections import deque

from relay.pipeline.dispatch.lane import HeldLane

SHARE = 4
"""While others wait, no lane holds more than a quarter of a worker's slots."""


class Turns:
    """The lanes that may send now, in the order of their turns."""

    def __init__(self, slots: int) -> None:
        self._most = max(1, slots // SHARE)
        self._lanes: deque[HeldLane] = deque()

    def __len__(self) -> int:
        return len(self._lanes)

    def add(self, lane: HeldLane) -> None:
        """Give a lane a turn, if it can use one and does not wait for one already."""
        if not lane.in_turns and lane.is_runnable():
            lane.in_turns = True
            self._lanes.append(lane)

    def next(self) -> HeldLane | None:
        """The lane whose turn it is, or None. One that holds its share waits as long as another can go."""
        first_greedy: HeldLane | None = None
        while self._lanes:
            lane = self._lanes.popleft()
            if lane is first_greedy:
                lane.in_turns = False
                return lane
            if not lane.is_runnable():
                lane.in_turns = False
            elif len(lane.flying) < self._most or not self._lanes:
                lane.in_turns = False
                return lane
            else:
                first_greedy = first_greedy or lane
                self._lanes.append(lane)
        return None
