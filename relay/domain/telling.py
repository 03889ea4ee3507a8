"""From a row that is new or changed to the event that reports it."""

from collections.abc import Mapping
from typing import Any

import msgspec

from relay.domain import envelope
from relay.domain.event_types import codes_of
from relay.domain.identity import Again, Changed, New, message_id
from relay.domain.model import ROUTES, SourceUid, StoredEvent
from relay.domain.normalising import normalise
from relay.domain.parsing import Row
from relay.domain.shapes import Shape


class Facts(msgspec.Struct, frozen=True, array_like=True):
    """What the events of a page have in common. It has no credentials, because it leaves the worker's process."""

    source: SourceUid
    igrp: int
    route: str
    routes: tuple[str, ...]
    """All routes of the source that are polled."""
    space: str
    """`t` for triggers and `i` for itemised calls."""
    now_ms: int
    polled_at: str
    """`now_ms` as RFC 3339."""
    tell_again: bool = False
    """Whether rows that are as they were make events as well: those that they made when they became so."""


def facts(
    source: SourceUid,
    igrp: int,
    *,
    route: str,
    routes: tuple[str, ...],
    space: str,
    now_ms: int,
    tell_again: bool = False,
) -> Facts:
    """The facts of a page that the relay judges at `now_ms`."""
    return Facts(source, igrp, route, routes, space, now_ms, envelope.rfc3339(now_ms), tell_again)


def tell(
    of: Facts,
    row: Row,
    shape: Shape,
    sight: New | Changed | Again,
    *,
    digest: bytes,
    classes: int,
    before: StoredEvent | None,
) -> tuple[StoredEvent, dict[str, Any]]:
    """Make the event, and the `data` that filters are asked about.

    `before` is the event under the number of the row's last event, if there is one. `digest` is the row's stable
    digest, `classes` its mask, `shape` its shape.
    """
    had = sight.had if isinstance(sight, Changed) else None
    trigger = normalise(row.columns, shape)
    previous = None if had is None or before is None else _previous(before, of, row.row_id, sight.revision, trigger)
    data = envelope.data(
        source=of.source,
        igrp=of.igrp,
        row_id=row.row_id,
        revision=sight.revision,
        classes=classes,
        trigger=trigger,
        repaired=row.repaired,
        previous=previous,
    )
    timestamp = envelope.timestamp(trigger, created=had is None, polled_at=of.polled_at)
    event = StoredEvent(
        message_id(of.source, space=of.space, row_id=row.row_id, digest=digest, recurrence=sight.recurrence),
        data["rowId"],
        of.now_ms,
        sight.revision,
        codes_of(classes, had),
        envelope.encode(data, timestamp=timestamp),
        -1 if of.tell_again else ROUTES.index(of.route),
    )
    return event, data


def _previous(
    before: StoredEvent, of: Facts, row_id: int, revision: int, now: Mapping[str, Any]
) -> dict[str, Any] | None:
    """What changed since the event before; None if that is not this row's, or can't be read.

    A number can be given again, also to a row of another installation, if the source was created again.
    """
    if before.row_id != str(row_id) or before.revision >= revision or envelope.is_expunged(before):
        return None
    try:
        data = envelope.decode(before.body)
        source, trigger = (data["source"], data["igrp"], "call_charge" in data["classes"]), data["trigger"]
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, TypeError):
        return None
    is_its_own = source == (of.source, of.igrp, of.space == "i") and isinstance(trigger, dict)
    return envelope.previous(trigger, now) if is_its_own else None
