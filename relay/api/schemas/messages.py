"""Messages and attempts on the wire, in Svix's shapes."""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from relay.api.schemas.common import Out, moment, moment_or_none
from relay.domain.envelope import HEADS, is_repaired
from relay.domain.event_types import EVENT_TYPES
from relay.domain.model import Attempt, Endpoint, MessageId, StoredEvent
from relay.store.identifiers import base62

SUCCESS, PENDING, FAIL, SENDING = 0, 1, 2, 3
"""Svix's numbers of a status."""
STATUS_TEXT = ("success", "pending", "fail", "sending")
STATUS_OF: Mapping[str, int] = {"delivered": SUCCESS, "retry": SENDING, "disabled": PENDING}
"""The status of a delivery by the verdict of its last attempt. Any other verdict means FAIL.

As in Svix, a delivery that the relay retries is SENDING and has a next attempt. A delivery whose last attempt disabled
its endpoint is PENDING until the endpoint is enabled.
"""


class _Message(Out, frozen=True, kw_only=True):
    id: str
    event_id: str | None = None
    event_type: str
    """The first of its types; `payload.data.classes` has all classes."""
    payload: Annotated[msgspec.Raw, Meta(extra_json_schema={"type": "object"})]
    """What endpoints get, `type` apart, which is the first that each subscribed to. Empty without `with_content`."""
    channels: list[str] | None = None
    tags: list[str] | None = None
    timestamp: datetime
    """When the relay stored it."""
    repaired: bool = False
    """The row was not valid JSON, and was repaired: characters of it can be replaced. So does `payload.data.repaired`
    say, which is absent otherwise."""


class MessageOut(_Message, frozen=True, kw_only=True):
    """An event: what a row is, or became."""


class AttemptedMessageOut(_Message, frozen=True, kw_only=True):
    """An event, and what has become of it at one endpoint."""

    status: int
    status_text: str
    next_attempt: datetime | None


class AttemptOut(Out, frozen=True, kw_only=True):
    """One HTTP try of a delivery."""

    id: str
    msg_id: str
    endpoint_id: str
    url: str
    response: str
    """How the response's body starts. Empty without `with_content`."""
    response_status_code: int
    """0: there was no response."""
    response_duration_ms: int
    status: int
    status_text: str
    trigger_type: int
    """0: by schedule; 1: sent again by hand."""
    timestamp: datetime
    error: str
    """Why there was no response."""
    number: int
    """1 for the first try."""
    event_type: str
    next_attempt: datetime | None
    msg: MessageOut | UnsetType = UNSET


class DestinationOut(Out, frozen=True, kw_only=True):
    """An endpoint, and what has become of one event there."""

    id: str
    status: int
    status_text: str
    next_attempt: datetime | None
    url: str
    description: str
    uid: str | None
    disabled: bool
    event_types: list[str] | None
    filter_types: list[str] | None
    channels: list[str] | None
    throttle_rate: int | None
    rate_limit: int | None
    version: int = 1
    created_at: datetime
    updated_at: datetime


class EndpointStatsOut(Out, frozen=True, kw_only=True):
    """Deliveries by their state."""

    success: int
    pending: int
    """Deliveries that wait until their endpoint is enabled again."""
    fail: int
    """They were given up."""
    sending: int
    canceled: int = 0
    """Svix's; nothing is canceled here."""
    complete: bool
    """All attempts that are kept of that time were looked at."""


class EmptyOut(Out, frozen=True, kw_only=True):
    """Nothing to say."""


def show_message(event: StoredEvent, *, with_content: bool) -> MessageOut:
    """An event as it is answered."""
    return MessageOut(**_message(event, with_content=with_content))


def show_attempted(event: StoredEvent, last: Attempt, *, with_content: bool) -> AttemptedMessageOut:
    """An event with what came of its last attempt at an endpoint."""
    return AttemptedMessageOut(**_message(event, with_content=with_content), **_state(last))


def show_attempt(
    attempt: Attempt, event: StoredEvent, endpoint: Endpoint, *, with_content: bool, with_msg: bool = False
) -> AttemptOut:
    """An attempt as it is answered."""
    status = attempt_status(attempt)
    return AttemptOut(
        id=id_of_attempt(attempt, event.id),
        msg_id=event.id,
        endpoint_id=attempt.endpoint_id,
        url=attempt.url or endpoint.url,
        response=attempt.body.decode("utf-8", "replace") if with_content else "",
        response_status_code=attempt.status,
        response_duration_ms=attempt.duration_ms,
        status=status,
        status_text=STATUS_TEXT[status],
        trigger_type=attempt.trigger,
        timestamp=moment(attempt.started_at_ms),
        error=attempt.error,
        number=attempt.number,
        event_type=EVENT_TYPES[attempt.type_code],
        next_attempt=moment_or_none(attempt.next_at_ms or None),
        msg=show_message(event, with_content=False) if with_msg else UNSET,
    )


def show_destination(endpoint: Endpoint, last: Attempt) -> DestinationOut:
    """An endpoint with what came of the last attempt to send it an event."""
    types = None if endpoint.event_types is None else list(endpoint.event_types)
    return DestinationOut(
        id=endpoint.id,
        url=endpoint.url,
        description=endpoint.description,
        uid=endpoint.uid,
        disabled=endpoint.disabled,
        event_types=types,
        filter_types=types,
        channels=None if endpoint.channels is None else list(endpoint.channels),
        throttle_rate=endpoint.rate_limit,
        rate_limit=endpoint.rate_limit,
        created_at=moment(endpoint.created_at_ms),
        updated_at=moment(endpoint.updated_at_ms),
        **_state(last),
    )


def attempt_status(attempt: Attempt) -> int:
    """Svix's status of a try by itself: whether it worked."""
    return SUCCESS if attempt.verdict == "delivered" else FAIL


def delivery_status(last: Attempt) -> int:
    """Svix's status of a delivery after its last try."""
    return STATUS_OF.get(last.verdict, FAIL)


def id_of_attempt(attempt: Attempt, message: MessageId) -> str:
    """An id that says which attempt it is, in all sources: the same each time, and nobody keeps it."""
    named = f"{message} {attempt.endpoint_id} {attempt.started_at_ms} {attempt.number}".encode()
    return "atmpt_" + base62(int.from_bytes(hashlib.sha256(named).digest()[:20], "big"))


def _message(event: StoredEvent, *, with_content: bool) -> dict[str, Any]:
    code = event.types[0]
    payload = msgspec.Raw(HEADS[code] + event.body if with_content else b"{}")
    return {
        "id": event.id,
        "event_type": EVENT_TYPES[code],
        "payload": payload,
        "timestamp": moment(event.stored_at_ms),
        "repaired": is_repaired(event.body),
    }


def _state(last: Attempt) -> dict[str, Any]:
    status = delivery_status(last)
    next_attempt = moment_or_none(last.next_at_ms or None) if status in (PENDING, SENDING) else None
    return {"status": status, "status_text": STATUS_TEXT[status], "next_attempt": next_attempt}
