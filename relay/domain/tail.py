"""The tail: what listeners are shown of each attempt as it ends, and which attempts a listener wants.

Nothing of a row stands in an entry, apart from its rowId, and nothing that a receiver answered apart from its status.
"""

from typing import Literal

from relay.domain.envelope import attempted_type
from relay.domain.event_types import CLASSES, names
from relay.domain.identity import attempt_id
from relay.domain.model import ApplicationId, Attempt, Endpoint, EndpointId, SourceUid, StoredEvent, Struct
from relay.domain.outcomes import Outcome

Ending = Literal["delivered", "skipped", "retry", "dead", "disabled"]
"""What becomes of a delivery after an attempt: the kinds of verdicts (relay.domain.judging)."""


class Entry(Struct, frozen=True, array_like=True):
    """An attempt that has ended. Fields are only added at the end: processes of two releases exchange entries."""

    at_ms: int
    """When it ended."""
    source: str
    """The source, or the stream of an application's posts."""
    app: str
    endpoint: str
    endpoint_uid: str
    """Empty: it has none."""
    message: str
    row_id: str
    """Empty: the message was posted."""
    event_type: str
    classes: int
    """A mask, see relay.domain.event_types; 0: the message was posted."""
    attempt_id: str
    ending: str
    """One of `Ending`."""
    status: int
    error: str
    """Why there was no answer, one of relay.domain.outcomes.Failure. Empty: there was one."""
    duration_ms: int
    number: int
    by_hand: int
    next_at_ms: int
    """0: no attempt follows."""


class Batch(Struct, frozen=True, array_like=True):
    """What a worker publishes at once."""

    entries: list[Entry]
    lost: int = 0
    """Entries that the worker had no room for."""


class Interest(Struct, frozen=True, kw_only=True):
    """Which attempts a listener wants. Empty: all."""

    source: SourceUid | None = None
    app: ApplicationId | None = None
    endpoint: EndpointId | None = None
    event_types: frozenset[str] = frozenset()
    classes: int = 0
    """A mask: attempts of events that have one of these classes."""
    endings: frozenset[str] = frozenset()

    def wants(self, entry: Entry) -> bool:
        """Whether an attempt is wanted."""
        return (
            (self.app is None or entry.app == self.app)
            and (self.source is None or entry.source == self.source)
            and (self.endpoint is None or entry.endpoint == self.endpoint)
            and (not self.event_types or entry.event_type in self.event_types)
            and (not self.classes or bool(entry.classes & self.classes))
            and (not self.endings or entry.ending in self.endings)
        )


def entry_of(
    source: SourceUid, endpoint: Endpoint, event: StoredEvent, outcome: Outcome, attempt: Attempt, *, at_ms: int
) -> Entry:
    """The entry of an attempt that ended at a time."""
    return Entry(
        at_ms=at_ms,
        source=source,
        app=endpoint.app_id,
        endpoint=endpoint.id,
        endpoint_uid=endpoint.uid or "",
        message=event.id,
        row_id=event.row_id if event.post is None else "",
        event_type=attempted_type(attempt),
        classes=_mask(event),
        attempt_id=attempt_id(event.id, endpoint.id, attempt.started_at_ms, attempt.number),
        ending=attempt.verdict,
        status=attempt.status,
        # An attempt also has the detail, which can hold what an expression says of the row.
        error=outcome.error,
        duration_ms=attempt.duration_ms,
        number=attempt.number,
        by_hand=attempt.trigger,
        next_at_ms=attempt.next_at_ms,
    )


def classes_of(entry: Entry) -> tuple[str, ...]:
    """The classes of an entry's event, in order of precedence."""
    return names(entry.classes)


def _mask(event: StoredEvent) -> int:
    if event.post is not None:
        return 0
    mask = 0
    for code in event.types:
        mask |= 1 << code // 2
    return mask & ((1 << len(CLASSES)) - 1)
