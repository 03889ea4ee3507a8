"""What waits in a held lane, in the order that its endpoint asked for."""

import hashlib
from collections import deque
from collections.abc import Callable
from typing import Protocol

from relay.pipeline.dispatch.delivery import Delivery
from relay.store.lanes import Handed

RETRY_SHARE = 0.2
"""While events wait that were never tried, so many retries go out for each of those (goal G23)."""
RETRY_BURST = 8.0

KeyOf = Callable[[Delivery], str | None]


class Queue(Protocol):
    """The deliveries of one lane that this worker has claimed and does not send yet."""

    def __len__(self) -> int:
        """How many could be sent now."""

    def push(self, delivery: Delivery, handed: Handed) -> None:
        """Take in a delivery that was claimed, in the lane's order."""

    def pop(self) -> Delivery:
        """The next one to send. Raises IndexError when none can be."""

    def ended(self, delivery: Delivery, handed: Handed) -> None:
        """A delivery that was popped is delivered or dead."""

    def postponed(self, delivery: Delivery, handed: Handed) -> None:
        """A delivery that was popped waits for its next try."""

    def clear(self) -> list[Delivery]:
        """Give back everything, in order."""


class Unordered:
    """Any order. Retries go first, but are rationed while there is something new: a receiver that is well again must
    not be drowned by what it missed."""

    def __init__(self) -> None:
        self._new: deque[Delivery] = deque()
        self._again: deque[Delivery] = deque()
        self._budget = RETRY_BURST

    def __len__(self) -> int:
        return len(self._new) + len(self._again)

    def push(self, delivery: Delivery, _handed: Handed) -> None:
        (self._again if delivery.reference.attempt > 1 else self._new).append(delivery)

    def pop(self) -> Delivery:
        if self._again and (self._budget >= 1.0 or not self._new):
            if self._new:
                self._budget -= 1.0
            return self._again.popleft()
        self._budget = min(RETRY_BURST, self._budget + RETRY_SHARE)
        return self._new.popleft()

    def ended(self, delivery: Delivery, handed: Handed) -> None:
        pass

    def postponed(self, delivery: Delivery, handed: Handed) -> None:
        pass

    def clear(self) -> list[Delivery]:
        rest = [*self._again, *self._new]
        self._again.clear()
        self._new.clear()
        return rest


class InOrder:
    """The order of the lane: one after the other, the first before all others."""

    def __init__(self) -> None:
        self._waiting: deque[Delivery] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def push(self, delivery: Delivery, _handed: Handed) -> None:
        self._waiting.append(delivery)

    def pop(self) -> Delivery:
        return self._waiting.popleft()

    def ended(self, delivery: Delivery, handed: Handed) -> None:
        pass

    def postponed(self, delivery: Delivery, handed: Handed) -> None:
        pass

    def clear(self) -> list[Delivery]:
        rest = list(self._waiting)
        self._waiting.clear()
        return rest


class ByKey:
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

    def pop(self) -> Delivery:
        return self._free.popleft()

    def ended(self, delivery: Delivery, handed: Handed) -> None:
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
        key = self._digest(delivery)
        if key is None:
            return
        if key not in self._blocked:
            self._blocked[key] = delivery.reference.number
            handed.blocks.append((key, delivery.reference.number))
        handed.behind += [(later.stored, key) for later in self._behind.pop(key, ())]

    def handed_in(self, handed: Handed) -> None:
        """What `ended` released is on its way to the store."""
        for key in handed.released:
            self._blocked.pop(key, None)

    def clear(self) -> list[Delivery]:
        rest = [*self._free, *(later for behind in self._behind.values() for later in behind)]
        self._free.clear()
        for behind in self._behind.values():
            behind.clear()
        return sorted(rest, key=lambda delivery: delivery.reference.number)

    def _digest(self, delivery: Delivery) -> str | None:
        key = self._key_of(delivery)
        return None if key is None else hashlib.sha256(key.encode()).hexdigest()[:32]
