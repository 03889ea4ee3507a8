"""Whose turn it is to send: one callback a lane, round and round, so that a long lane delays no short one.

An endpoint goes on only while it has fewer callbacks in flight than slots are free. One that does not answer gets half
of the slots at the most, two get a third each, and however many there are, something is left for the others (goal G17).
A fixed share can't do that: a few more silent endpoints than there are shares, and nobody else sends.
"""

from collections import deque
from heapq import heappop, heappush
from itertools import count

from relay.pipeline.dispatch.lane import HeldLane

PROBES = 2
"""Probes of receivers that were down hold one in so many slots at most: there may be thousands of those."""


class Turns:
    """The lanes that may send now, in the order of their turns, and the slots that they take."""

    def __init__(self, slots: int) -> None:
        self._free = slots
        self._most_probes = max(1, slots // PROBES)
        self._lanes: deque[HeldLane] = deque()
        self._greedy: list[tuple[int, int, HeldLane]] = []
        """A heap of lanes that have too many in flight, by how many, with a number that makes them comparable."""
        self._needs: dict[HeldLane, int] = {}
        """The entry of each lane in that heap that counts."""
        self._numbers = count()
        self._probing: set[HeldLane] = set()
        self._probes: deque[HeldLane] = deque()
        """Lanes with a probe to send, while there are enough of those in flight."""

    def __len__(self) -> int:
        return len(self._lanes)

    def add(self, lane: HeldLane) -> None:
        """Give a lane a turn, if it can use one and does not wait for one already."""
        if lane.in_turns or not lane.is_runnable():
            return
        flying = lane.window.flying
        if flying < self._free:
            lane.in_turns = True
            self._lanes.append(lane)
        elif self._needs.get(lane) != flying:
            self._needs[lane] = flying
            heappush(self._greedy, (flying, next(self._numbers), lane))

    def next(self) -> HeldLane | None:
        """The lane whose turn it is, or None. It takes a slot until `end`."""
        self._forgive()
        while self._lanes:
            lane = self._lanes.popleft()
            if lane.health.half_open and len(self._probing) >= self._most_probes:
                self._probes.append(lane)
                continue
            lane.in_turns = False
            if lane.is_runnable() and lane.window.flying < self._free:
                self._free -= 1
                if lane.health.half_open:
                    self._probing.add(lane)
                return lane
            self.add(lane)
        return None

    def end(self, lane: HeldLane) -> None:
        """A callback of a lane has landed, and its slot is free."""
        self._free += 1
        if lane in self._probing:
            self._probing.discard(lane)
            if self._probes:
                self._lanes.append(self._probes.popleft())
        self.add(lane)

    def _forgive(self) -> None:
        """Lanes that had too many in flight get a turn again once more slots are free than that."""
        while self._greedy and self._greedy[0][0] < self._free:
            flying, _, lane = heappop(self._greedy)
            if self._needs.get(lane) == flying:
                del self._needs[lane]
                self.add(lane)
