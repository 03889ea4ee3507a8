"""The place of a reading: how far it has come, and when it wants its next page. The store keeps it, as JSON."""

import msgspec
from msgspec.structs import replace

from relay.domain.model import EndpointId

MOST_ROW_ID = 2**63 - 1


class Place(msgspec.Struct, frozen=True, array_like=True):
    """Where one reading of one route stands. It reads in rounds: from its place up to the end of the round."""

    after: int
    """The reading continues behind this rowId."""
    until: int | None = None
    """The last rowId of the round that is under way; None: none is."""
    due_ms: int = 0
    """When it wants its next page."""
    whole_until: int = 0
    """Up to this rowId it reads whole rows, although it reads rowIds alone where it can."""
    ceiling: int | None = None
    """It asks for rowIds up to this one only, because the upstream did not sort (see relay.domain.paging)."""
    failures: int = 0
    """How many requests failed in a row."""
    rows: int = 0
    """How many rows it has read."""
    events: int = 0
    """How many events these made."""
    waits_for: tuple[EndpointId, ...] = ()
    """Endpoints that have so much to do that a backfill waits for them: some of them, if there are many."""

    def begun(self, after: int, until: int) -> "Place":
        """At the beginning of a round."""
        return replace(self, after=after, until=until, ceiling=None, whole_until=min(self.whole_until, after))

    def moved(self, after: int, *, ceiling: int | None, now_ms: int, rows: int = 0, events: int = 0) -> "Place":
        """After a page of so many rows, at this rowId: the next page is due now."""
        ceiling = None if ceiling == self.until else ceiling
        counted = {"rows": self.rows + rows, "events": self.events + events}
        return replace(self, after=after, ceiling=ceiling, failures=0, due_ms=now_ms, **counted)

    def rested(self, due_ms: int) -> "Place":
        """At the end of a round: the next one is due at a time."""
        return Place(self.after, due_ms=due_ms, rows=self.rows, events=self.events)

    def past(self, row_id: int) -> "Place":
        """At least at this rowId."""
        if self.after >= row_id:
            return self
        return replace(self, after=row_id, ceiling=None)

    def due_within(self, latest_ms: int) -> "Place":
        """Due at that time at the latest: an interval may have become shorter, or the clock may have been set back."""
        return self if self.due_ms <= latest_ms else replace(self, due_ms=latest_ms)

    def within(self, low: int, high: int) -> "Place":
        """Not before `low`, nor behind `high`. A round that lies outside has ended."""
        after = min(max(self.after, low), high)
        until = None if self.until is None else min(self.until, high)
        until = None if until is None or until <= after else until
        if (after, until) == (self.after, self.until):
            return self
        return replace(self, after=after, until=until, ceiling=None)


def read_place(kept: bytes) -> Place | None:
    """A place as the store has it; None: it is damaged."""
    try:
        place = msgspec.json.decode(kept, type=Place)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    optional = (place.until or 0, place.ceiling or 0)
    numbers = (place.after, *optional, place.due_ms, place.whole_until, place.failures, place.rows, place.events)
    return place if all(0 <= number <= MOST_ROW_ID for number in numbers) else None


write_place = msgspec.json.encode
"""A place as the store keeps it."""
