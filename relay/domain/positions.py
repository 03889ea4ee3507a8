"""Where the reader of a poller stands in the events of each source.

The events of a source become visible in the order of their numbers, so a number says what was read. A store that loses
its last writes gives numbers twice. So a position also has the beginning of the last event's id: if the store has
another event under that number, the reader goes back to the time at which it read the lost one.
"""

import msgspec

from relay.domain.model import StoredEvent
from relay.domain.references import tag_of

SLACK_MS = 60_000
"""Clocks of two processes differ by less: see relay.pipeline.clock. Reading a minute twice is better than a gap."""


class Position(msgspec.Struct, frozen=True, array_like=True):
    """What is read next of one source."""

    number: int
    tag: str = ""
    """The beginning of the id of the event before; empty: there was none."""
    at_ms: int = 0
    """When the event before was stored, or where reading began."""

    def is_lost(self, *, newest: int, before: StoredEvent | None, has_neighbours: bool) -> bool:
        """Whether the store is not the one that gave this position, or lost what it led past.

        `newest` is the highest number that it gave, and `before` the event with the number before, if it is kept.
        `has_neighbours`: others of its bucket are kept. A whole bucket is forgotten when its time has come, but never
        one event of it.
        """
        if self.number > newest + 1:
            return True
        if not self.tag:
            return False
        return has_neighbours if before is None else self.tag != tag_of(before.id)

    def moved(self, number: int, before: StoredEvent | None) -> "Position":
        """The position at another number."""
        if before is None:
            return Position(number, "", self.at_ms)
        return Position(number, tag_of(before.id), before.stored_at_ms)


class Bookmark(msgspec.Struct, frozen=True, array_like=True):
    """Where a reader stands: what an iterator contains, sealed."""

    nonce: str
    """Different in each bookmark that is given, so that two clients with one consumer id are noticed."""
    positions: dict[str, Position]
    """By the uid of the source. One that is not there is read from the creation of the endpoint on."""
