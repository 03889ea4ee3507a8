"""Why an event has its classes, and its row by groups, on the wire."""

from datetime import datetime
from typing import Any, Literal

from relay.api.schemas.common import Out

Delivery = Literal["none", "waiting", "confirmed", "unwanted", "dead", "dropped"]


class ColumnOut(Out, frozen=True, kw_only=True):
    """A column of the row, under the privacy rules of the application."""

    name: str
    """The name of the column."""
    value: Any
    """Its value, as in the payload."""


class ReasonOut(Out, frozen=True, kw_only=True):
    """A rule that gave the row a class."""

    rule: str
    """When the rule applies."""
    columns: list[ColumnOut]
    """The columns that the rule looks at, as far as the row has them and the application may see them."""


class ClassOut(Out, frozen=True, kw_only=True):
    """A class of the row."""

    name: str
    """The class, such as `goal`."""
    event_type: str
    """The event type that the message has for this class: `.created` if the row gained the class, or `.updated`."""
    reasons: list[ReasonOut]
    """The rules that gave the row this class. Empty: another release classified the row, or the content is gone."""


class GroupOut(Out, frozen=True, kw_only=True):
    """A group of columns."""

    name: str
    """The name of the group, as in docs/columns.md."""
    columns: list[ColumnOut]
    """The columns of the row in this group."""


class DestinationStateOut(Out, frozen=True, kw_only=True):
    """What became of the message at an endpoint."""

    endpoint_id: str
    """The id of the endpoint."""
    endpoint_uid: str | None
    """Your own name for the endpoint."""
    state: Delivery
    """`none`: the endpoint was not to get the message. `waiting`: the delivery has not ended. `confirmed`: the receiver
    confirmed it. `unwanted`: the filter did not want it after all. `dead`: the relay gave it up. `dropped`: the relay
    dropped it, because the backlog was full or too old."""
    attempts: int
    """How many attempts the relay still has."""
    next_attempt: datetime | None
    """When the next attempt is due. null: none is planned, or the message waits for its first attempt."""


class ExplanationOut(Out, frozen=True, kw_only=True):
    """Why a message has its classes, its row by groups of columns, and what became of it."""

    msg_id: str
    """The id of the message."""
    source: str | None
    """The uid of the source. null: the message was posted."""
    row_id: str | None
    """The rowId of the row. null: the message was posted."""
    revision: int
    """1 for a new row. It grows with each change."""
    classes: list[ClassOut]
    """The classes of the row. Empty: the message was posted."""
    groups: list[GroupOut]
    """The columns of the row. Empty: the message was posted, or its content was removed."""
    previous: list[ColumnOut]
    """The changed columns with their old values."""
    deliveries: list[DestinationStateOut]
    """The first 200 endpoints of the application, by id."""
