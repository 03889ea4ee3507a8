"""Posted messages on the wire, in Svix's shape."""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from relay.api.schemas.common import In
from relay.api.schemas.endpoint_fields import Channel, TypeName
from relay.domain.names import UID_MOST, name_in_words

CHANNELS_MOST, TAGS_MOST = 5, 8

EventId = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=UID_MOST,
        pattern=r"^(?!\.{1,2}\Z|msg_)[a-zA-Z0-9_.-]+\Z",
        extra={"form": f"{name_in_words(UID_MOST)}, and must not begin with `msg_`"},
    ),
]
HINT = {"hint": "omit it or send null for none"}


class MessageIn(In, frozen=True, kw_only=True):
    """A message to post.

    A message has no retention, no delay and no parameters of transformations of its own, so the relay refuses Svix's
    `payloadRetentionHours`, `deliverAt`, `transformationsParams` and `application`. Endpoints have transformations.
    """

    event_type: TypeName
    """What happened, such as `invoice.paid`."""
    payload: dict[str, Any]
    """The body of the callbacks. They carry its bytes as you sent them."""
    event_id: EventId | UnsetType | None = UNSET
    """Your own name for the message, unique in the application. The relay answers 409 if it keeps a message with this
    name. null: none."""
    channels: Annotated[list[Channel], Meta(min_length=1, max_length=CHANNELS_MOST, extra=HINT)] | UnsetType | None = (
        UNSET
    )
    """Endpoints with channels receive the message only if they have one of these. null: none."""
    tags: Annotated[list[Channel], Meta(min_length=1, max_length=TAGS_MOST, extra=HINT)] | UnsetType | None = UNSET
    """Words by which lists can be filtered. null: none."""
    payload_retention_period: Annotated[int, Meta(ge=90, le=90)] | UnsetType | None = UNSET
    """Older clients of Svix send its default, 90 days. It has no effect: `RELAY_RETENTION_SECONDS` applies."""


class EventExampleIn(In, frozen=True, kw_only=True):
    """Which example to send."""

    event_type: TypeName
    """The type: one of the relay's own, or one that you created. Its example is the first one of its newest schema, or
    made from that schema."""
    example_index: Annotated[int, Meta(ge=0, le=0)] | UnsetType | None = UNSET
    """Svix's number of an example. Each type has one: 0."""


class _Sent(msgspec.Struct):
    payload: msgspec.Raw


def payload_of(body: bytes) -> bytes:
    """The bytes of the payload in the body of a request that was found to be a MessageIn."""
    return bytes(msgspec.json.decode(body, type=_Sent).payload)
