"""Whose turn it is to send: one callback an endpoint, round and round, so that a long backlog delays no short one.

An endpoint continues only while it has fewer callbacks in flight than slots are free. One that does not answer gets
half of the slots at the most, two get a third each, and however many there are, something is left for the others
(goal G17). A fixed share can't do that: a few more silent endpoints than there are shares, and nobody else sends.
"""

from collections import deque
from heapq import heappop, heappush
from itertools import count

from relay.domain.sending.endpoint import EndpointMachine

PROBES = 2
"""Probes of receivers that were down hold one in so many slots at most: there may be thousands of those."""


class Turns:
    """The endpoints that may send now, in the order of their turns, and the slots that they take."""

    def __init__(self, slots: int) -> None:
        self._free = slots
        self._most_probes = max(1, slots // PROBES)
        self._line: deque[EndpointMachine] = deque()
        self._probes: deque[EndpointMachine] = deque()
        """Endpoints with a probe to send."""
        self._standing: set[EndpointMachine] = set()
        """Those that stand in one of the two."""
        self._greedy: list[tuple[int, int, EndpointMachine]] = []
        """A heap of endpoints that have too many in flight, by how many, with a number that makes them comparable."""
        self._needs: dict[EndpointMachine, int] = {}
        """The entry of each endpoint in that heap that counts."""
        self._numbers = count()
        self._probing: set[EndpointMachine] = set()
        """Endpoints whose callback in flight is a probe."""

    def __len__(self) -> int:
        """How many may get a slot now, at most."""
        waiting = len(self._line) + (len(self._probes) if len(self._probing) < self._most_probes else 0)
        return min(waiting, self._free)

    def add(self, machine: EndpointMachine) -> None:
        """Give an endpoint a turn, if it can use one and does not wait for one already."""
        if machine in self._standing or not machine.is_runnable():
            return
        if machine.is_probing:
            self._standing.add(machine)
            self._probes.append(machine)
        elif machine.flying < self._free:
            self._standing.add(machine)
            self._line.append(machine)
        elif self._needs.get(machine) != machine.flying:
            self._needs[machine] = machine.flying
            heappush(self._greedy, (machine.flying, next(self._numbers), machine))

    def next(self) -> EndpointMachine | None:
        """The endpoint whose turn it is, or None. It takes a slot until `end`."""
        while self._free > 0 and (machine := self._first()) is not None:
            self._standing.discard(machine)
            if not machine.is_runnable():
                continue
            if machine.is_probing:
                if len(self._probing) < self._most_probes:
                    self._probing.add(machine)
                    self._free -= 1
                    return machine
            elif machine.flying < self._free:
                self._free -= 1
                return machine
            # What it is has changed while it stood here.
            self.add(machine)
        return None

    def end(self, machine: EndpointMachine) -> None:
        """A callback of an endpoint has landed, or did not go out: its slot is free."""
        self._free += 1
        self._probing.discard(machine)
        self._forgive()

    def _first(self) -> EndpointMachine | None:
        if self._probes and len(self._probing) < self._most_probes:
            return self._probes.popleft()
        return self._line.popleft() if self._line else None

    def _forgive(self) -> None:
        """Endpoints that had too many in flight get a turn again once more slots are free than that."""
        while self._greedy and self._greedy[0][0] < self._free:
            flying, _, machine = heappop(self._greedy)
            if self._needs.get(machine) == flying:
                del self._needs[machine]
                self.add(machine)
