"""Looks up the other revisions of rows, for endpoints that want only the newest one."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from relay.domain.event_types import is_charge
from relay.domain.model import Attempt, Endpoint, SourceUid, StoredEvent
from relay.domain.references import Reference
from relay.domain.sending.attempts import superseded
from relay.domain.settling import MOST_REVISIONS, Newer, newer_of, review_ms
from relay.pipeline.clock import Clock
from relay.store.books import Books
from relay.store.events import Events

Row = tuple[str, int]
"""A space of rowIds and a rowId."""


class Due(NamedTuple):
    """An event that is old enough to be sent to an endpoint."""

    endpoint: Endpoint
    reference: Reference
    event: StoredEvent

    @property
    def row(self) -> Row:
        """The row that it is of."""
        return "i" if is_charge(self.event.types) else "t", int(self.event.row_id)


class Settled(NamedTuple):
    """What becomes of it."""

    until_ms: int = 0
    """It waits until then; 0: it is sent, or ends."""
    superseded: Attempt | None = None
    """It ends, because a newer revision was confirmed."""


class Settling:
    """Decides by what the books say of the rows."""

    def __init__(self, *, books: Books, events: Events, clock: Clock) -> None:
        self._books, self._events, self._clock = books, events, clock

    async def settle(self, source: SourceUid, dues: Sequence[Due]) -> list[Settled]:
        """What becomes of some events. Three round trips at most. Raises StoreUnavailable.

        What the books do not have any more holds nothing up: then the event is sent.
        """
        if not dues:
            return []
        revisions = await self._books.revisions(source, {due.row for due in dues})
        recent = {row: numbers[-MOST_REVISIONS:] for row, numbers in revisions.items()}
        pairs = {(due.endpoint.id, number) for due in dues for number in recent.get(due.row, ())}
        states = await self._books.states(source, pairs)
        found: list[Newer] = []
        for due in dues:
            of_row = ((number, states.get((due.endpoint.id, number))) for number in recent.get(due.row, ()))
            found.append(newer_of(due.reference.number, {number: state for number, state in of_row if state}))
        others = await self._events.read(source, _others(found))
        now_ms = self._clock.now_ms()
        return [_settled(due, newer, others, now_ms) for due, newer in zip(dues, found, strict=True)]


def _others(found: Collection[Newer]) -> set[int]:
    return {number for each in found for number in (each.confirmed, *each.waiting, *each.before) if number}


def _settled(due: Due, newer: Newer, others: Mapping[int, StoredEvent], now_ms: int) -> Settled:
    endpoint, reference, event = due
    if newer.confirmed:
        by = others.get(newer.confirmed)
        return Settled(superseded=superseded(endpoint.id, reference, by.id if by else None, now_ms))
    stored_ms = {number: other.stored_at_ms for number, other in others.items()}
    return Settled(until_ms=review_ms(endpoint, reference, event, newer, stored_ms, now_ms))
