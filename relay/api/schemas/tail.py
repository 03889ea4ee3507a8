"""The tail on the wire: events of a stream (Server-Sent Events), each with JSON as its data."""

from datetime import datetime
from typing import Any, Literal, get_args

import msgspec

from relay.api.schemas.common import TYPE_ENCODERS, Out, moment, moment_or_none
from relay.domain.streams import are_posts
from relay.domain.tail import Ending, Entry, classes_of

ENDINGS: tuple[str, ...] = get_args(Ending)
End = Literal["time", "key", "shutdown"]


class TailStartOut(Out, frozen=True, kw_only=True, tag_field="type", tag="start"):
    """`start`: the relay listens."""

    at: datetime
    """The time from which on attempts are shown."""


class TailAttemptOut(Out, frozen=True, kw_only=True, tag_field="type", tag="attempt"):
    """`attempt`: an attempt has ended."""

    at: datetime
    """When the attempt ended."""
    source: str | None
    """The uid of the source. null: the message was posted."""
    app_id: str
    """The id of the application."""
    endpoint_id: str
    """The id of the endpoint."""
    endpoint_uid: str | None
    """Your own name for the endpoint."""
    msg_id: str
    """The id of the message."""
    row_id: str | None
    """The rowId of the row. null: the message was posted."""
    event_type: str
    """The event type that the callback had."""
    classes: list[str]
    """All classes of the row. Empty: the message was posted."""
    attempt_id: str
    """The id of the attempt."""
    outcome: Ending
    """`delivered`: the receiver confirmed the message. `skipped`: the endpoint's transformation or lookup says that the
    message is not sent. `retry`: the attempt failed, and another one follows. `dead`: the attempt failed, and the relay
    has given up. `disabled`: the attempt disabled the endpoint."""
    status: int
    """The HTTP status of the response. 0: there was no response."""
    error: str
    """Why there was no response, such as `timeout`. Empty: there was one."""
    duration_ms: int
    """How long the attempt took."""
    number: int
    """1 for the first attempt of a delivery."""
    trigger_type: int
    """0: by schedule, 1: somebody resent the message."""
    next_attempt: datetime | None
    """When the next attempt is due. null: none follows."""


class TailLostOut(Out, frozen=True, kw_only=True, tag_field="type", tag="lost"):
    """`lost`: attempts that are not shown."""

    attempts: int | None
    """How many attempts are not shown, at most. null: the connection to Redis was interrupted, so nobody knows."""


class TailHeartbeatOut(Out, frozen=True, kw_only=True, tag_field="type", tag="heartbeat"):
    """`heartbeat`: the relay still listens."""

    at: datetime
    """The time of the relay."""


class TailEndOut(Out, frozen=True, kw_only=True, tag_field="type", tag="end"):
    """`end`: the relay closes the stream."""

    reason: End
    """`time`: `seconds` have passed. `shutdown`: this process ends; connect again. `key`: the API key no longer works
    for this tail; do not connect again with it."""


TailOut = TailStartOut | TailAttemptOut | TailLostOut | TailHeartbeatOut | TailEndOut


def show_entry(entry: Entry) -> TailAttemptOut:
    """An attempt as the tail shows it."""
    return TailAttemptOut(
        at=moment(entry.at_ms),
        source=None if are_posts(entry.source) else entry.source,  # type: ignore[arg-type]
        app_id=entry.app,
        endpoint_id=entry.endpoint,
        endpoint_uid=entry.endpoint_uid or None,
        msg_id=entry.message,
        row_id=entry.row_id or None,
        event_type=entry.event_type,
        classes=list(classes_of(entry)),
        attempt_id=entry.attempt_id,
        outcome=entry.ending,  # type: ignore[arg-type]
        status=entry.status,
        error=entry.error,
        duration_ms=entry.duration_ms,
        number=entry.number,
        trigger_type=entry.by_hand,
        next_attempt=moment_or_none(entry.next_at_ms or None),
    )


def _time(value: Any) -> str:
    text: str = TYPE_ENCODERS[type(value)](value)
    return text


def written(event: TailOut) -> bytes:
    """An event of the stream. JSON has no line breaks, so one line of data is enough."""
    name = str(event.__struct_config__.tag)
    return b"event: %s\ndata: %s\n\n" % (name.encode(), msgspec.json.encode(event, enc_hook=_time))
