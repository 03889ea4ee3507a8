"""From a row that is new or changed to the event that reports it."""

from typing import Any, NamedTuple

import msgspec

from relay.domain import envelope
from relay.domain.event_types import codes_of
from relay.domain.identity import Changed, New, message_id
from relay.domain.model import Source, StoredEvent
from relay.domain.normalising import normalise
from relay.domain.parsing import Row


class Told(NamedTuple):
    """A row of which an event is to tell."""

    number: int
    """The event's."""
    row: Row
    sight: New | Changed
    digest: bytes
    """The row's stable digest."""
    classes: int


def tell(
    source: Source, space: str, told: Told, before: StoredEvent | None, *, now_ms: int
) -> tuple[StoredEvent, dict[str, Any]]:
    """Make the event, and the `data` that filters are asked about.

       `before` is the event under
    the number of the row's last event, if anything does.
    """
    row, sight = told.row, told.sight
    had = sight.had if isinstance(sight, Changed) else None
    trigger = normalise(row.columns)
    data = envelope.data(
        source=source.uid,
        igrp=source.igrp,
        row_id=row.row_id,
        revision=sight.revision,
        classes=told.classes,
        trigger=trigger,
        repaired=row.repaired,
        previous=None
        if had is None or before is None
        else _previous(before, source, space=space, told=told, now=trigger),
    )
    timestamp = envelope.timestamp(trigger, created=had is None, polled_at=envelope.rfc3339(now_ms))
    event = StoredEvent(
        id=message_id(source.uid, space=space, row_id=row.row_id, digest=told.digest, recurrence=sight.recurrence),
        row_id=str(row.row_id),
        stored_at_ms=now_ms,
        revision=sight.revision,
        types=codes_of(told.classes, had),
        body=envelope.encode(data, timestamp=timestamp),
    )
    return event, data


def _previous(
    before: StoredEvent, source: Source, *, space: str, told: Told, now: dict[str, Any]
) -> dict[str, Any] | None:
    """What changed since the event before; None if that is not this row's, or can't be read.

    A number can be given again, also to a row of another installation, if the source was created again.
    """
    if before.row_id != str(told.row.row_id) or before.revision >= told.sight.revision:
        return None
    try:
        data = envelope.decode(before.body)
        of, trigger = (data["source"], data["igrp"], "call_charge" in data["classes"]), data["trigger"]
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, TypeError):
        return None
    is_its_own = of == (source.uid, source.igrp, space == "i") and isinstance(trigger, dict)
    return envelope.previous(trigger, now) if is_its_own else None
