"""Messages on the wire, and their statuses at endpoints, in Svix's shapes."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from relay.api.schemas.common import In, Out, Time, moment, moment_or_none
from relay.domain.envelope import is_repaired, type_name
from relay.domain.model import Attempt, Endpoint, StoredEvent
from relay.domain.privacy import Privacy
from relay.domain.readers import protected

SUCCESS, PENDING, FAIL, SENDING, CANCELED = 0, 1, 2, 3, 4
"""Svix's numbers of a status."""
STATUS_TEXT = ("success", "pending", "fail", "sending", "canceled")
STATUS_OF: Mapping[str, int] = {"delivered": SUCCESS, "skipped": CANCELED, "retry": SENDING, "disabled": PENDING}
"""The status of a delivery by the verdict of its last attempt. Any other verdict means FAIL.

As in Svix, a delivery that the relay retries is SENDING and has a next attempt. A delivery whose last attempt disabled
its endpoint is PENDING until the endpoint is enabled. A delivery that the endpoint's transformation skips is CANCELED.
"""


class _Message(Out, frozen=True, kw_only=True):
    id: str
    """The id of the message. Callbacks carry it as `webhook-id`."""
    event_id: str | None = None
    """Your own name for a posted message. null: it has none, or the message is of a row."""
    event_type: str
    """The first of the event's types. For a row, `payload.data.classes` has all classes."""
    payload: Annotated[msgspec.Raw, Meta(extra_json_schema={"type": "object"})]
    """The body that endpoints receive. For a row, `type` is there the first type that the endpoint subscribed to. Empty
    without `with_content`."""
    channels: list[str] | None = None
    """The channels of a posted message. null: it has none."""
    tags: list[str] | None = None
    """The tags of a posted message. null: it has none."""
    timestamp: datetime
    """When the relay stored the event."""
    repaired: bool = False
    """Whether the row was not valid JSON and the relay repaired it. Some of its characters can be replaced. The payload
    then has `data.repaired`."""


class PolledMessageOut(_Message, frozen=True, kw_only=True):
    """A message as a poller reads it: `payload` is the body of the callback that a webhook would receive."""

    headers: dict[str, str] | None = None
    """Always null."""
    deliver_at: datetime | None = None
    """Always null."""


class PolledOut(Out, frozen=True, kw_only=True):
    """What a poller reads at once, in Svix's shape."""

    data: list[PolledMessageOut]
    """The messages, those of one source in the order in which the relay stored them. The list can be empty though
    `done` is false, when none of many events passed the filters."""
    iterator: str
    """Send it as `iterator` to read the following messages. It never expires."""
    done: bool
    """Whether the relay has no further messages yet. Wait a moment then, and poll with `iterator`."""


class ConsumerSeekIn(In, frozen=True, kw_only=True):
    """Where a consumer continues."""

    after: Time
    """Continue with the first message that the relay stored after this time."""


class ConsumerSeekOut(Out, frozen=True, kw_only=True):
    """Where a consumer continues."""

    iterator: str
    """The iterator of that place. You can omit it when you poll."""


class MessageOut(_Message, frozen=True, kw_only=True):
    """A message: an event of a row that appeared or changed, or one that was posted."""


class AttemptedMessageOut(_Message, frozen=True, kw_only=True):
    """A message, with its status at one endpoint."""

    status: int
    """0: success, 1: pending (the endpoint is disabled), 2: fail, 3: sending (the relay retries it)."""
    status_text: str
    """The status as a word."""
    next_attempt: datetime | None
    """When the next attempt is due."""


class DestinationOut(Out, frozen=True, kw_only=True):
    """An endpoint, with the status of one message there."""

    id: str
    """The id of the endpoint."""
    status: int
    """0: success, 1: pending (the endpoint is disabled), 2: fail, 3: sending (the relay retries it)."""
    status_text: str
    """The status as a word."""
    next_attempt: datetime | None
    """When the next attempt is due."""
    url: str
    """The URL that receives callbacks."""
    description: str
    """The description of the endpoint."""
    uid: str | None
    """Your own name for the endpoint."""
    disabled: bool
    """Whether the endpoint is disabled."""
    event_types: list[str] | None
    """The event types of the endpoint. null: every type."""
    filter_types: list[str] | None
    """The old name of `eventTypes`."""
    channels: list[str] | None
    """The channels of posted messages that it receives. null: all."""
    throttle_rate: int | None
    """The maximum number of callbacks per second. null: no limit."""
    rate_limit: int | None
    """The old name of `throttleRate`."""
    version: int = 1
    """For older clients."""
    created_at: datetime
    """When the endpoint was created."""
    updated_at: datetime
    """When the endpoint last changed."""


class EmptyOut(Out, frozen=True, kw_only=True):
    """An empty response."""


def show_message(event: StoredEvent, privacy: Privacy, *, with_content: bool) -> MessageOut:
    """A message as responses show it, under the rules for who reads it."""
    return MessageOut(**_message(event, privacy, with_content=with_content))


def show_polled(event: StoredEvent, privacy: Privacy, event_types: Collection[str] | None) -> PolledMessageOut:
    """A message as the first of its types that an endpoint subscribed to (None: all types), under its rules."""
    codes = [code for code in event.types if event_types is None or type_name(event, code) in event_types]
    return PolledMessageOut(**_message(event, privacy, with_content=True, code=(codes or event.types)[0]))


def show_attempted(event: StoredEvent, last: Attempt, privacy: Privacy, *, with_content: bool) -> AttemptedMessageOut:
    """A message with its status at an endpoint."""
    return AttemptedMessageOut(**_message(event, privacy, with_content=with_content), **_state(last))


def show_destination(endpoint: Endpoint, last: Attempt) -> DestinationOut:
    """An endpoint with the status of a message there."""
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


def delivery_status(last: Attempt) -> int:
    """Svix's status of a delivery after its last attempt."""
    return STATUS_OF.get(last.verdict, FAIL)


def _message(event: StoredEvent, privacy: Privacy, *, with_content: bool, code: int | None = None) -> dict[str, Any]:
    code = event.types[0] if code is None else code
    post = event.post
    return {
        "id": event.id,
        "event_id": post and post.event_id,
        "event_type": type_name(event, code),
        "payload": msgspec.Raw(protected(event, code, privacy) if with_content else b"{}"),
        "channels": list(post.channels) if post and post.channels else None,
        "tags": list(post.tags) if post and post.tags else None,
        "timestamp": moment(event.stored_at_ms),
        "repaired": post is None and is_repaired(event.body),
    }


def _state(last: Attempt) -> dict[str, Any]:
    status = delivery_status(last)
    next_attempt = moment_or_none(last.next_at_ms or None) if status in (PENDING, SENDING) else None
    return {"status": status, "status_text": STATUS_TEXT[status], "next_attempt": next_attempt}
