"""Events near at hand: what was stored or read a moment ago, so that ten endpoints cost one read."""

from collections import OrderedDict
from collections.abc import Iterable

from relay.domain.model import SourceUid, StoredEvent
from relay.store.events import Events

MOST_BYTES = 64 * 2**20
OVERHEAD_BYTES = 400
"""What an event costs in memory beside its body."""


class Bodies:
    """A cache of events with a budget in bytes; the ones used longest ago go first."""

    def __init__(self, events: Events, *, most_bytes: int = MOST_BYTES) -> None:
        self._events = events
        self._most = most_bytes
        self._bytes = 0
        self._kept: OrderedDict[tuple[SourceUid, int], StoredEvent] = OrderedDict()

    async def read(self, source: SourceUid, numbers: Iterable[int]) -> dict[int, StoredEvent]:
        """Events by number; those that are not kept any more are left out. At most one round trip."""
        found: dict[int, StoredEvent] = {}
        missing = []
        for number in numbers:
            event = self._kept.get((source, number))
            if event is None:
                missing.append(number)
            else:
                found[number] = event
        if missing:
            read = await self._events.read(source, missing)
            for number, event in read.items():
                self.keep(source, number, event)
            found |= read
        return found

    def keep(self, source: SourceUid, number: int, event: StoredEvent) -> None:
        """Keep an event that was just stored or read. Events never change, so it is right for ever."""
        if (source, number) in self._kept:
            return
        self._kept[source, number] = event
        self._bytes += len(event.body) + OVERHEAD_BYTES
        while self._bytes > self._most:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= len(oldest.body) + OVERHEAD_BYTES
