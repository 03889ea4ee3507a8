"""Undelivered messages and operational events on the wire."""

from datetime import datetime
from typing import Any, Literal

from relay.api.schemas.common import Out, moment
from relay.store.operations import Operation

State = Literal["dead", "waiting"]


class UndeliveredOut(Out, frozen=True, kw_only=True):
    """A message that an endpoint should have received and has not."""

    app_id: str
    """The id of the application."""
    endpoint_id: str
    """The id of the endpoint."""
    endpoint_uid: str | None
    """Your own name for the endpoint."""
    endpoint_description: str
    """The description of the endpoint."""
    source: str | None
    """The uid of the source. null: the message was posted."""
    msg_id: str | None
    """The id of the message. null: the relay no longer has it."""
    row_id: str | None
    """The rowId of the row. It is unique only within its kind of row. null: the relay no longer has it,
    or the message was posted."""
    event_type: str | None
    """The event type that the callback would have. null: the message was posted, and the relay no longer has it."""
    state: State
    """`dead`: the relay gave up. `waiting`: the relay sends the message when the endpoint is enabled or resumed."""
    reason: str
    """For `dead`: `schedule_used_up`, `verdict_rule`, `transformation`, `no_match`, `poison`, `event_not_kept`,
    `backlog_full` or `backlog_too_old`. For `waiting`: `endpoint_disabled`, `endpoint_paused` or `endpoint_unfit`."""
    kept: bool
    """Whether the relay still has the message, so that you can send it again."""
    since: datetime | None
    """When the relay gave up, or stored the event."""
    attempts: int
    """How many attempts ended since the event was stored, or since somebody last resent it."""


class OldestUndeliveredOut(Out, frozen=True, kw_only=True):
    """The oldest undelivered messages."""

    data: list[UndeliveredOut]
    """The messages with the oldest `since` first."""
    complete: bool
    """Whether these are certainly the oldest. `false`: the relay did not look at everything, and older ones may be
    undelivered."""


class OperationalEventOut(Out, frozen=True, kw_only=True):
    """Something that the relay did on its own, or a problem that it found."""

    id: str
    """The id of the operational event."""
    type: str
    """What happened, such as `endpoint.disabled`."""
    timestamp: datetime
    """When it happened."""
    data: dict[str, Any]
    """Ids and reasons."""


def show_operation(operation: Operation) -> OperationalEventOut:
    """An operational event as responses show it."""
    return OperationalEventOut(
        id=operation.position, type=operation.kind, timestamp=moment(operation.at_ms), data=operation.data
    )
