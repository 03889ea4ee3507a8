"""Event types on the wire. The catalogue is fixed, because the relay itself classifies rows."""

from datetime import UTC, datetime
from typing import Any

from relay.api.schemas.common import Out
from relay.domain.event_types import EVENT_TYPES

SINCE = datetime(2026, 11, 1, tzinfo=UTC)
"""When the types were created: Svix's shape requires a time."""
THINGS = {
    "transaction": "a transaction",
    "goal": "a goal",
    "call": "a call",
    "call_user": "a user of the telephone system on a call",
    "visit": "a visit",
    "touch_point": "a touch point (a landing, a call or a goal)",
    "trigger": "any row",
    "call_charge": "an itemised charge for a call",
}


class EventTypeOut(Out, frozen=True, kw_only=True):
    """An event type."""

    name: str
    """The name, such as `call.created`."""
    description: str
    """What happened when an event has this type."""
    group_name: str
    """The part of the name before the dot."""
    archived: bool = False
    """Always false."""
    deprecated: bool = False
    """Always false."""
    feature_flag: str | None = None
    """Always null."""
    feature_flags: list[str] | None = None
    """Always null."""
    schemas: dict[str, Any] | None = None
    """Always null: types have no schemas."""
    created_at: datetime = SINCE
    """When the type was created."""
    updated_at: datetime = SINCE
    """When the type last changed."""


def show_event_type(name: str) -> EventTypeOut:
    """A type of the catalogue as responses show it."""
    group, _, change = name.partition(".")
    happened = "appeared, or a row became one" if change == "created" else "changed"
    return EventTypeOut(name=name, group_name=group, description=f"{THINGS[group].capitalize()} {happened}.")


CATALOGUE = {name: show_event_type(name) for name in sorted(EVENT_TYPES)}
