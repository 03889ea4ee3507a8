"""What waits in a held lane, in the order that its endpoint asked for."""

import hashlib
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable

from relay.domain.references import Reference
from relay.pipeline.dispatch.delivery import Delivery
from relay.store.lanes import Handed

RETRY_SHARE = 0.2
"""While events wait that were never tried, so many retries go out for each of those (goal G23)."""
RETRY_BURST = 8.0

KeyOf = Callable[[Delivery], str | None]


class Queue(ABC):
    """The deliveries of one lane that this worker has claimed and does not send yet."""

    @abstractmethod
    def __len__(self) -> int:
        """How many could be sent now."""

    @abstractmethod
    def push(self, delivery: Delivery, handed: Handed) -> None:
        """Take in a delivery that was claimed, in the lane's order."""

    @abstractmethod
    def push_first(self, delivery: Delivery) -> None:
        """Take back a delivery that was popped and not tried."""

    @abstractmethod
    def pop(self) -> Delivery:
        """The next one to send. Raises IndexError when none can be."""

    @abstractmethod
    def waiting(self) -> list[Delivery]:
        """Everything that is here, in order."""

    @abstractmethod
    def clear(self) -> list[Delivery]:
        """Give everything back, in order."""

    def ended(self, delivery: Delivery, handed: Handed) -> None:  # noqa: B027 - only an order by key cares
        """A delivery that was popped is delivered or dead."""

    def postponed(self, delivery: Delivery, handed: Handed) -> None:  # noqa: B027
        """A delivery that was popped waits for its next try."""

    def given_up(self, reference: Reference, handed: Handed) -> None:  # noqa: B027
        """A delivery that never came here is dead: its event is not kept any more."""

    def handed_in(self, handed: Handed) -> None:  # noqa: B027
        """What was noted in `handed` is on its way to the store."""


class Unordered(Queue):
    """Any order. Retries go first, but are rationed while there is something new: a receiver that is well again must
    not be drowned by what it missed."""

    def __init__(self) -> None:
        self._new: deque[Delivery] = deque()
        self._again: deque[Delivery] = deque()
        self._budget = RETRY_BURST

    def __len__(self) -> int:
        return len(self._new) + len(self._again)

    def push(self, delivery: Delivery, _handed: Handed) -> None:
        """Take in a delivery that was claimed."""
        (self._again if delivery.reference.attempt > 1 else self._new).append(delivery)

    def push_first(self, delivery: Delivery) -> None:
        """Take back a delivery that was popped and not tried."""
        self._again.appendleft(delivery)

    def pop(self) -> Delivery:
        """A retry if there is one and the ration allows it, else the oldest that was never tried."""
        if self._again and (self._budget >= 1.0 or not self._new):
            if self._new:
                self._budget -= 1.0
            return self._again.popleft()
        self._budget = min(RETRY_BURST, self._budget + RETRY_SHARE)
        return self._new.popleft()

    def waiting(self) -> list[Delivery]:
        """Retries first."""
        return [*self._again, *self._new]

    def clear(self) -> list[Delivery]:
        """Give everything back."""
        rest = self.waiting()
        self._again.clear()
        self._new.clear()
        return rest


class InOrder(Queue):
    """The order of the lane: one after the other, the first before all others."""

    def __init__(self) -> None:
        self._waiting: deque[Delivery] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def push(self, delivery: Delivery, _handed: Handed) -> None:
        """Take in a delivery behind all others."""
        self._waiting.append(delivery)

    def push_first(self, delivery: Delivery) -> None:
        """Take back a delivery before all others."""
        self._waiting.appendleft(delivery)

    def pop(self) -> Delivery:
        """The first."""
        return self._waiting.popleft()

    def waiting(self) -> list[Delivery]:
        """Everything, in the order of the lane."""
        return list(self._waiting)

    def clear(self) -> list[Delivery]:
        """Give everything back, in the order of the lane."""
        rest = self.waiting()
        self._waiting.clear()
        return rest


class ByKey(Queue):
    """In order for each key. A key whose first event must be tried again is blocked: what comes after it waits in a
    list of its own in the store, and other keys go on."""

    def __init__(self, key_of: KeyOf, blocked: dict[str, int]) -> None:
        """`blocked`: keys that wait, by their digest, each with the number of the event that it waits for."""
        self._key_of = key_of
        self._blocked = blocked
        self._free: deque[Delivery] = deque()
        self._behind: dict[str, deque[Delivery]] = {}
        """For each key that is free or in flight, what comes after it."""

    def __len__(self) -> int:
        return len(self._free)

    def push(self, delivery: Delivery, handed: Handed) -> None:
        """Take in a delivery, behind those of its key; one whose key is blocked goes back to wait in the store."""
        key = self._digest(delivery)
        if key is None:
            self._free.append(delivery)
        elif self._blocked.get(key, delivery.reference.number) != delivery.reference.number:
            handed.behind.append((delivery.stored, key))
        elif key in self._behind:
            self._behind[key].append(delivery)
        else:
            self._behind[key] = deque()
            self._free.append(delivery)

    def push_first(self, delivery: Delivery) -> None:
        """Take back a delivery that was popped: those of its key still wait for it."""
        self._free.appendleft(delivery)

    def pop(self) -> Delivery:
        """The first of some key."""
        return self._free.popleft()

    def waiting(self) -> list[Delivery]:
        """Everything, by the events' numbers."""
        rest = [*self._free, *(later for behind in self._behind.values() for later in behind)]
        return sorted(rest, key=lambda delivery: delivery.reference.number)

    def clear(self) -> list[Delivery]:
        """Give everything back. A key with a delivery in flight stays taken."""
        rest = self.waiting()
        for delivery in self._free:
            self._behind.pop(self._digest(delivery) or "", None)
        self._free.clear()
        for behind in self._behind.values():
            behind.clear()
        return rest

    def ended(self, delivery: Delivery, handed: Handed) -> None:
        """The next of its key may go."""
        key = self._digest(delivery)
        if key is None:
            return
        if key in self._blocked:
            # It stays blocked until that is handed in: what is claimed meanwhile must get in line behind the others.
            handed.released.append(key)
        behind = self._behind.pop(key, None)
        if behind:
            self._free.append(behind.popleft())
            self._behind[key] = behind

    def postponed(self, delivery: Delivery, handed: Handed) -> None:
        """Its key is blocked until it has ended."""
        key = self._digest(delivery)
        if key is None:
            return
        if key not in self._blocked:
            self._blocked[key] = delivery.reference.number
            handed.blocks.append((key, delivery.reference.number))
        handed.behind += [(later.stored, key) for later in self._behind.pop(key, ())]

    def given_up(self, reference: Reference, handed: Handed) -> None:
        """Whatever key waited for it waits no more."""
        handed.released += [key for key, number in self._blocked.items() if number == reference.number]

    def handed_in(self, handed: Handed) -> None:
        """What was released is free from now on."""
        for key in handed.released:
            self._blocked.pop(key, None)

    def _digest(self, delivery: Delivery) -> str | None:
        key = self._key_of(delivery)
        return None if key is None else hashlib.sha256(key.encode()).hexdigest()[:32]
