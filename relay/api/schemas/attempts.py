"""Attempts on the wire, in Svix's shape."""

from datetime import datetime

from msgspec import UNSET, UnsetType

from relay.api.schemas.common import Out, moment, moment_or_none
from relay.api.schemas.messages import CANCELED, FAIL, STATUS_TEXT, SUCCESS, MessageOut, show_message
from relay.domain.envelope import attempted_type
from relay.domain.headers import is_sensitive
from relay.domain.identity import id_of_attempt
from relay.domain.masking import HIDDEN
from relay.domain.model import Attempt, Endpoint, StoredEvent
from relay.domain.privacy import Privacy


class BatchOfAttemptOut(Out, frozen=True, kw_only=True):
    """A request with several events."""

    id: str
    """The `webhook-id` of the request."""
    size: int
    """How many events the request had."""


class ResponseHeaderOut(Out, frozen=True, kw_only=True):
    """A header of a response."""

    name: str
    """The name, in lower case."""
    value: str
    """The value. `••••` if the name says that the value is a secret, as that of `set-cookie`."""


class AttemptOut(Out, frozen=True, kw_only=True):
    """One HTTP request for a delivery."""

    id: str
    """The id of the attempt."""
    msg_id: str
    """The id of the message."""
    endpoint_id: str
    """The id of the endpoint."""
    url: str
    """The URL of the request."""
    response: str
    """The beginning of the response's body. Empty without `with_content`."""
    response_headers: list[ResponseHeaderOut]
    """The first headers of the response: at most 32, with 2,048 characters together. Empty without `with_content`."""
    response_status_code: int
    """The HTTP status of the response. 0: there was no response."""
    response_duration_ms: int
    """How long the request took."""
    connect_duration_ms: int
    """The time to connect. 0: the relay used an open connection, or the attempt did not get so far."""
    tls_duration_ms: int
    """The time of the TLS handshake. 0 as for `connectDurationMs`, and for http."""
    head_duration_ms: int
    """The time from the first byte of the request to the head of the response. 0: there was no response."""
    status: int
    """0: success, 2: fail."""
    status_text: str
    """The status as a word."""
    trigger_type: int
    """0: by schedule, 1: somebody resent the message."""
    timestamp: datetime
    """When the request began."""
    error: str
    """Why there was no response."""
    number: int
    """1 for the first attempt of a delivery."""
    event_type: str
    """The event type that the callback had."""
    next_attempt: datetime | None
    """When the next attempt was due after this one."""
    batch: BatchOfAttemptOut | None
    """The batch that the request was. null: the event was sent alone, or nothing was sent."""
    msg: MessageOut | UnsetType = UNSET
    """The message, with `with_msg`."""


def show_attempt(
    attempt: Attempt, event: StoredEvent, endpoint: Endpoint, *, with_content: bool, with_msg: bool = False
) -> AttemptOut:
    """An attempt as responses show it."""
    status = attempt_status(attempt)
    return AttemptOut(
        id=id_of_attempt(attempt, event.id),
        msg_id=event.id,
        endpoint_id=attempt.endpoint_id,
        url=attempt.url or endpoint.url,
        response=attempt.body.decode("utf-8", "replace") if with_content else "",
        response_headers=_headers(attempt) if with_content else [],
        response_status_code=attempt.status,
        response_duration_ms=attempt.duration_ms,
        connect_duration_ms=attempt.connect_ms,
        tls_duration_ms=attempt.tls_ms,
        head_duration_ms=attempt.head_ms,
        status=status,
        status_text=STATUS_TEXT[status],
        trigger_type=attempt.trigger,
        timestamp=moment(attempt.started_at_ms),
        error=attempt.error,
        number=attempt.number,
        event_type=attempted_type(attempt),
        next_attempt=moment_or_none(attempt.next_at_ms or None),
        batch=BatchOfAttemptOut(id=attempt.batch_id, size=attempt.batch_size) if attempt.batch_id else None,
        msg=show_message(event, Privacy(), with_content=False) if with_msg else UNSET,
    )


def attempt_status(attempt: Attempt) -> int:
    """Svix's status of one attempt: whether it succeeded."""
    return {"delivered": SUCCESS, "skipped": CANCELED}.get(attempt.verdict, FAIL)


def _headers(attempt: Attempt) -> list[ResponseHeaderOut]:
    return [
        ResponseHeaderOut(name=name.lower(), value=HIDDEN if is_sensitive(name) else value)
        for name, value in attempt.headers
    ]
