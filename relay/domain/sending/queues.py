"""The waiting deliveries of a held lane, in the order that its endpoint asked for."""

import hashlib
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable
from typing import ClassVar

import msgspec

from relay.domain.envelope import data_of
from relay.domain.model import Endpoint, Order, StoredEvent
from relay.domain.paths import reader
from relay.domain.sending.delivery import Delivery
from relay.domain.sending.effects import HandIn

RETRY_SHARE = 0.2
"""While events wait that were never tried, so many retries go out for each of those (goal G23)."""
RETRY_BURST = 8.0

KeyOf = Callable[[StoredEvent], str | None]


class Queue(ABC):
    """The deliveries of one lane that this worker has claimed and does not send yet."""

    order: ClassVar[Order]
    """The order that its endpoint asked for when the lane was claimed."""

    @abstractmethod
    def __len__(self) -> int:
        """How many could be sent now."""

    @abstractmethod
    def push(self, delivery: Delivery, results: HandIn) -> None:
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
    def clear(self) -> None:
        """Forget everything that waits here."""

    def ended(self, delivery: Delivery, results: HandIn) -> None:  # noqa: B027 - only an order by key cares
        """A delivery that was popped is delivered or dead."""

    def postponed(self, delivery: Delivery, results: HandIn) -> None:  # noqa: B027
        """A delivery that was popped waits for its next try."""

    def given_up(self, number: int, results: HandIn) -> None:  # noqa: B027
        """A delivery that never came here is dead, or not wanted."""

    def handed_in(self, results: HandIn) -> None:  # noqa: B027
        """What was noted in `results` is on its way to the store."""


class Unordered(Queue):
    """Any order. Retries go first, but are rationed while there is something new: a receiver that is well again must
    not be drowned by what it missed."""

    order = "unordered"

    def __init__(self) -> None:
        self._new: deque[Delivery] = deque()
        self._again: deque[Delivery] = deque()
        self._budget = RETRY_BURST

    def __len__(self) -> int:
        return len(self._new) + len(self._again)

    def push(self, delivery: Delivery, _results: HandIn) -> None:
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

    def clear(self) -> None:
        """Forget everything."""
        self._again.clear()
        self._new.clear()


class InOrder(Queue):
    """The order of the lane: one after the other, the first before all others."""

    order = "fifo"

    def __init__(self) -> None:
        self._waiting: deque[Delivery] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def push(self, delivery: Delivery, _results: HandIn) -> None:
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

    def clear(self) -> None:
        """Forget everything."""
        self._waiting.clear()


class ByKey(Queue):
    """In order for each key. A key whose first event must be tried again is blocked: its later events wait in a
    list of its own in the store, and other keys go on."""

    order = "keyed"

    def __init__(self, key_of: KeyOf, blocked: dict[str, int], *, order_version: int = 0) -> None:
        """`blocked`: keys that wait in the store, each with the number of the event that it waits for.

        Their names begin with the version of the order: those of another one are none of this queue's keys.
        """
        self._key_of = key_of
        self._order_version = order_version
        self._blocked = blocked
        self._free: deque[Delivery] = deque()
        self._behind: dict[str, deque[Delivery]] = {}
        """For each key that is free or in flight, its later deliveries."""

    def __len__(self) -> int:
        return len(self._free)

    def push(self, delivery: Delivery, results: HandIn) -> None:
        """Take in a delivery, behind those of its key; one whose key is blocked goes back to wait in the store."""
        key = delivery.key = self._digest(delivery)
        if key is None:
            self._free.append(delivery)
        elif self._blocked.get(key, delivery.reference.number) != delivery.reference.number:
            results.behind.append((delivery.stored, key))
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

    def clear(self) -> None:
        """Forget everything that waits here. A key with a delivery in flight stays taken."""
        for delivery in self._free:
            if delivery.key is not None:
                self._behind.pop(delivery.key, None)
        self._free.clear()
        for behind in self._behind.values():
            behind.clear()

    def ended(self, delivery: Delivery, results: HandIn) -> None:
        """The next of its key may go."""
        key = delivery.key
        if key is None:
            return
        if self._blocked.get(key) == delivery.reference.number:
            # It stays blocked until that is handed in: later claims must line up behind the others.
            results.freed.append(key)
        behind = self._behind.pop(key, None)
        if behind:
            self._free.append(behind.popleft())
            self._behind[key] = behind

    def postponed(self, delivery: Delivery, results: HandIn) -> None:
        """Its key is blocked until it has ended."""
        key = delivery.key
        if key is None:
            return
        self._blocked[key] = delivery.reference.number
        results.behind += [(later.stored, key) for later in self._behind.pop(key, ())]

    def given_up(self, number: int, results: HandIn) -> None:
        """Whatever key waited for it waits no more."""
        results.freed += [key for key, waits_for in self._blocked.items() if waits_for == number]

    def handed_in(self, results: HandIn) -> None:
        """What was freed is free from now on."""
        for key in results.freed:
            self._blocked.pop(key, None)

    def _digest(self, delivery: Delivery) -> str | None:
        key = self._key_of(delivery.event)
        return None if key is None else f"{self._order_version}.{hashlib.sha256(key.encode()).hexdigest()[:32]}"


def has_keys_of_an_older_order(blocked: Iterable[str], order_version: int) -> bool:
    """Whether events wait behind blocked keys of an order that an endpoint had before this one."""
    versions = (key.partition(".")[0] for key in blocked)
    return any(version.isdecimal() and int(version) < order_version for version in versions)


def queue_for(endpoint: Endpoint | None, blocked: dict[str, int]) -> Queue:
    """An empty queue in the order that an endpoint asks for. `blocked`: its keys that wait, see ByKey."""
    if endpoint is None or endpoint.order == "fifo":
        # Nothing is sent to one that is not known: its deliveries go back unchanged.
        return InOrder()
    if endpoint.order == "keyed" and endpoint.order_key:
        return ByKey(key_reader(endpoint.order_key), blocked, order_version=endpoint.order_version)
    return Unordered()


def key_reader(path: str) -> KeyOf:
    """Reads the key that an event is ordered by; None: it has none, and no order."""
    read = reader(path)

    def key(event: StoredEvent) -> str | None:
        try:
            value = read(data_of(event))
        except (msgspec.DecodeError, ValueError, KeyError, AttributeError, TypeError):
            # Damaged: it is sent as it is.
            return None
        return str(value) if isinstance(value, str | int) and str(value) else None

    return key
