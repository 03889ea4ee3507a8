"""What was not delivered, and what the relay did on its own decision, on the wire."""

from datetime import datetime
from typing import Any, Literal

from relay.api.schemas.common import Out, moment
from relay.store.operations import Operation

State = Literal["dead", "waiting"]


class UndeliveredOut(Out, frozen=True, kw_only=True):
    """One event that one endpoint did not get."""

    app_id: str
    endpoint_id: str
    source: str
    msg_id: str | None
    """null: nobody knows any more."""
    row_id: str | None
    event_type: str
    state: State
    """`dead`: it was given up. `waiting`: it is sent when its endpoint is enabled or resumed."""
    reason: str
    """`schedule_used_up`, `poison`, `event_not_kept`, `backlog_full` or `backlog_too_old` of dead ones;
    `endpoint_disabled`, `endpoint_paused` or `endpoint_unfit` of those that wait."""
    kept: bool
    """Whether the message is still there, so that it can be sent again."""
    since: datetime | None
    """When it was given up, or stored."""
    attempts: int
    """Tries that came to an end since it was stored, or last sent again by hand."""


class OperationalEventOut(Out, frozen=True, kw_only=True):
    """Something that the relay did on its own decision."""

    id: str
    type: str
    """`endpoint.disabled`, …"""
    timestamp: datetime
    data: dict[str, Any]
    """Ids and reasons."""


def show_operation(operation: Operation) -> OperationalEventOut:
    """An operational event as it is answered."""
    return OperationalEventOut(
        id=operation.position, type=operation.kind, timestamp=moment(operation.at_ms), data=operation.data
    )
