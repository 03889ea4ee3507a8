"""Replaying: rows that are told again are delivered from events that are still kept, which are not stored twice."""

from collections.abc import Sequence

from msgspec.structs import replace

from relay.domain.books import DROPPED, State
from relay.domain.identity import Seen
from relay.domain.model import EndpointId, SourceUid, StoredEvent
from relay.domain.references import Reference, tag_of
from relay.errors import Unreadable
from relay.store.books import Books
from relay.store.event_form import PACKING
from relay.store.events import Events
from relay.store.pages import RowCommit
from relay.store.undelivered import Undelivered

GIVEN_UP = DROPPED | {State.DEAD}


class Replaying:
    """Looks for the events that rows made before, and puts their deliveries into lanes again."""

    def __init__(self, *, events: Events, books: Books, undelivered: Undelivered) -> None:
        self._events = events
        self._books = books
        self._undelivered = undelivered

    async def replay(self, source: SourceUid, rows: Sequence[RowCommit]) -> list[RowCommit]:
        """Deliver from kept events. Gives the rows as they are to be committed: the others make events.

        A delivery that waits already is left alone, so a page that is read again after a crash repeats few of them.
        """
        asked = {row.before: row for row in rows if row.before}
        events = await self._events.read(source, asked) if asked else {}
        kept = {number: asked[number] for number, event in events.items() if _is_same(asked[number], event)}
        if not kept:
            return list(rows)
        gone = await self._deliver(source, kept)
        return [row if kept.get(row.before) is not row or row.before in gone else _told(row) for row in rows]

    async def _deliver(self, source: SourceUid, kept: dict[int, RowCommit]) -> set[int]:
        """Put the deliveries of kept events into lanes; gives the numbers of events that went in the meantime."""
        wanted = [(endpoint, number, code) for number, row in kept.items() for endpoint, code in row.lanes]
        states = await self._books.states(source, [(endpoint, number) for endpoint, number, _ in wanted])
        deliveries = [
            (endpoint, _reference(kept[number], endpoint, code))
            for endpoint, number, code in wanted
            if states.get((endpoint, number)) is not State.WAITING
        ]
        given_up = {delivery for delivery, state in states.items() if state in GIVEN_UP}
        return await self._undelivered.resend_all(source, deliveries, listed=given_up)


def _is_same(row: RowCommit, event: StoredEvent) -> bool:
    """Whether a kept event is what the row would make.

    An update has the id of the state that the row has now, but other types: endpoints that do not know the row get its
    creation. A number can have been given to another event.
    """
    try:
        return row.message == event.id and PACKING.unpack(row.event).types == event.types
    except Unreadable:
        return False


def _reference(row: RowCommit, endpoint: EndpointId, code: int) -> Reference:
    assert row.message is not None  # noqa: S101 - it was compared with that of the kept event
    unchecked = int(endpoint in row.unchecked)
    return Reference(row.before, code, tag_of(row.message), by_hand=1, unchecked=unchecked)


def _told(row: RowCommit) -> RowCommit:
    """A row that makes no event: its event is the one of before."""
    seen = None if row.seen is None else Seen.unpack(row.seen).pack(row.before)
    return replace(row, seen=seen, message=None, event=b"", lanes=(), before=0)
