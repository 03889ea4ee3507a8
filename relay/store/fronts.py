"""Fronts: the oldest deliveries of a list of what was not delivered, as far as they were read."""

from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from typing import ClassVar, NamedTuple

from relay.domain.model import EndpointId, SourceUid, StoredEvent
from relay.domain.references import Reference, parse_reference, tag_of
from relay.store.undelivered import read_dead, read_dropped

FOREVER = 2**53
KEPT = 1_000
"""Waiting deliveries that are remembered, of each source."""


class Waiting(NamedTuple):
    """A delivery that waits in a list of references."""

    number: int
    text: bytes
    endpoint: EndpointId


class Entry(NamedTuple):
    """A delivery that was not delivered."""

    at_ms: int
    """When it was given up; for one that waits: when its event was stored."""
    source: SourceUid
    endpoint: EndpointId
    reference: Reference
    reason: str | None = None
    """Why it was given up. None: it waits."""
    message: str | None = None
    row: str | None = None


@dataclass(slots=True, eq=False)
class Front:
    """The front of a list."""

    MOST: ClassVar[int] = 500
    """Deliveries that are read at once."""

    source: SourceUid
    entries: list[Entry] = field(default_factory=list)
    """What was read and not taken, oldest first."""
    read_ms: int = 0
    """Nothing that was not read is older."""
    ended: bool = False
    """Everything was read."""
    size: int = 1
    """How many to read next."""
    doubtful: bool = False
    """Older ones than its next ones can be missing."""

    @property
    def head_ms(self) -> int:
        """Nothing that was not taken is older."""
        return self.entries[0].at_ms if self.entries else self.read_ms

    def take(self, until_ms: int) -> list[Entry]:
        """Take what is not newer than a time."""
        end = bisect_right(self.entries, until_ms, key=lambda entry: entry.at_ms)
        taken, self.entries = self.entries[:end], self.entries[end:]
        return taken

    def grow(self, least: int) -> None:
        """Read twice as many the next time: so many of these were of no use."""
        self.size = min(max(2 * self.size, least), self.MOST)


@dataclass(slots=True, eq=False)
class GivenUpFront(Front):
    """The front of the dead deliveries of a source, or of those to an endpoint that were dropped."""

    endpoint: EndpointId | None = None
    """The endpoint of dropped deliveries. None: these are the dead ones."""
    skip: int = 0
    """How many of the time `read_ms` were read."""

    def note(self, found: Sequence[tuple[bytes, float]], own: Collection[EndpointId] | None) -> None:
        """Add what was read, without that of other endpoints than some (None: all) and what cannot be read."""
        self.ended = len(found) < self.size
        for member, score in found:
            at_ms = int(score)
            self.skip = self.skip + 1 if at_ms == self.read_ms else 1
            self.read_ms = at_ms
            text = member.decode("utf-8", "replace")
            if own is None or (self.endpoint or text.partition(" ")[0]) in own:
                entry = self._entry(text, at_ms)
                self.entries += [] if entry is None else [entry]

    def _entry(self, member: str, at_ms: int) -> Entry | None:
        if self.endpoint is None:
            dead = read_dead(member, at_ms)
            return Entry(at_ms, self.source, dead.endpoint, dead.reference, dead.reason) if dead.reference else None
        each = read_dropped(member, at_ms)
        if each.reference is None:
            return None
        return Entry(at_ms, self.source, self.endpoint, each.reference, each.reason, each.message, each.row)


@dataclass(slots=True, eq=False)
class WaitingFront(Front):
    """The front of all deliveries from a source that wait: those with the lowest numbers, which were stored first."""

    MOST: ClassVar[int] = 100

    waiting: list[Waiting] = field(default_factory=list)
    """The first ones, by number."""
    known_to: int = FOREVER
    """Those with higher numbers are not all among them."""
    place: int = 0
    """How many of them were read."""

    def add(self, found: Iterable[Waiting]) -> None:
        """Remember deliveries. Call `order` after the last."""
        self.waiting += found
        if len(self.waiting) > 4 * KEPT:
            self.order()

    def order(self) -> None:
        """Put what is remembered in order, and forget what there is too much of."""
        self.waiting.sort()
        if len(self.waiting) > KEPT:
            self.known_to = min(self.known_to, self.waiting[KEPT - 1].number)
            del self.waiting[KEPT:]

    @property
    def next(self) -> Sequence[Waiting]:
        """What to read next: up to where older ones can be missing, until nothing else is left."""
        end = self.place + self.size
        if not self.doubtful:
            end = min(end, bisect_right(self.waiting, self.known_to, key=lambda each: each.number))
        return self.waiting[self.place : end]

    def note(self, events: Mapping[int, StoredEvent]) -> None:
        """Add what is next, by its events, without what cannot be read and whose event is not kept."""
        read = self.next
        for number, text, endpoint in read:
            event = events.get(number)
            with suppress(ValueError):
                reference = parse_reference(text)
                if event is not None and tag_of(event.id) == reference.tag:
                    self.entries.append(Entry(event.stored_at_ms, self.source, endpoint, reference))
        self.entries.sort(key=lambda entry: entry.at_ms)
        self.read_ms = self.entries[-1].at_ms if self.entries else self.read_ms
        self.doubtful = self.doubtful or (self.known_to < FOREVER and not read and not self.entries)
        self.place += len(read)
        self.ended = self.place == len(self.waiting) and (self.doubtful or self.known_to == FOREVER)


class Heads:
    """Fronts, of which those with the oldest heads are read on."""

    def __init__(self, fronts: Iterable[Front]) -> None:
        self._order = count()
        self._heap: list[tuple[int, int, Front]] = []
        self.push(fronts)

    def __bool__(self) -> bool:
        return bool(self._heap)

    def push(self, fronts: Iterable[Front]) -> None:
        """Put fronts in that have something left."""
        for front in fronts:
            if front.entries or not front.ended:
                heappush(self._heap, (front.head_ms, next(self._order), front))

    def pop(self, most: int) -> list[Front]:
        """Take those with the oldest heads out."""
        return [heappop(self._heap)[-1] for _ in range(min(most, len(self._heap)))]

    def until_ms(self, fronts: Iterable[Front]) -> int:
        """Up to when some fronts, which were taken out, have everything that is left."""
        unread = [front.read_ms for front in fronts if not front.ended]
        return min([*unread, *(head_ms for head_ms, _, _ in self._heap[:1])], default=FOREVER)
