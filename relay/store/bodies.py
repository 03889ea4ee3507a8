"""Events near at hand: what was stored or read a moment ago, so that ten endpoints cost one read."""

from collections import OrderedDict
from collections.abc import Iterable

from relay.domain.model import MessageId, SourceUid, StoredEvent
from relay.domain.references import Reference, tag_of
from relay.store.event_form import PACKING
from relay.store.events import Events

MOST_BYTES = 24 * 2**20
OVERHEAD_BYTES = 450
"""The memory that an event takes in addition to its body."""


class Bodies:
    """A cache of events with a budget in bytes; the ones used longest ago go first.

    Numbers are given again when the store loses its last second or a source is created again, so an event is kept under
    its number and its tag: one of before is never taken for one of now.
    """

    def __init__(self, events: Events, *, most_bytes: int = MOST_BYTES) -> None:
        self._events = events
        self._most = most_bytes
        self._bytes = 0
        self._kept: OrderedDict[tuple[SourceUid, int, str], StoredEvent | bytes] = OrderedDict()
        """As they are stored until they are read, and then as structs."""

    async def read(self, source: SourceUid, wanted: Iterable[Reference]) -> dict[int, StoredEvent]:
        """The events that references mean, by number. At most one round trip. Raises StoreUnavailable.

        Left out: those that are kept no more, and those whose number has another event by now. Two references of one
        number and different tags can be `wanted`; only one of them is right, so compare its tag with the event's.
        """
        found: dict[int, StoredEvent] = {}
        missing: dict[int, set[str]] = {}
        kept, used = self._kept, self._kept.move_to_end
        for reference in wanted:
            number, tag = reference.number, reference.tag
            key = (source, number, tag)
            event = kept.get(key)
            if event is None:
                missing.setdefault(number, set()).add(tag)
            else:
                if isinstance(event, bytes):
                    self._bytes -= _size(event)
                    event = kept[key] = PACKING.unpack(event)
                    self._bytes += _size(event)
                used(key)
                found[number] = event
        if missing:
            for number, event in (await self._events.read(source, missing)).items():
                self.keep(source, number, event)
                if tag_of(event.id) in missing[number]:
                    found[number] = event
        return found

    def clear(self) -> None:
        """Forget all events: some of them may have been expunged."""
        self._kept.clear()
        self._bytes = 0

    def keep(self, source: SourceUid, number: int, event: StoredEvent) -> None:
        """Keep an event that was just read."""
        self._keep((source, number, tag_of(event.id)), event)

    def keep_packed(self, source: SourceUid, number: int, message: MessageId, packed: bytes) -> None:
        """Keep an event that was just stored, in its stored form."""
        self._keep((source, number, tag_of(message)), packed)

    def _keep(self, key: tuple[SourceUid, int, str], event: StoredEvent | bytes) -> None:
        before = self._kept.pop(key, None)
        if before is not None:
            self._bytes -= _size(before)
        self._kept[key] = event
        self._bytes += _size(event)
        while self._bytes > self._most:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= _size(oldest)


def _size(event: StoredEvent | bytes) -> int:
    return OVERHEAD_BYTES + len(event if isinstance(event, bytes) else event.body)
