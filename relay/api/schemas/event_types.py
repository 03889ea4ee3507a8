"""Event types on the wire: a fixed catalogue, for the relay itself says what a row is."""

from datetime import UTC, datetime
from typing import Any

from relay.api.schemas.common import Out
from relay.domain.event_types import EVENT_TYPES

SINCE = datetime(2026, 11, 1, tzinfo=UTC)
"""Svix's shape wants to know when a type was made."""
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
    description: str
    group_name: str
    archived: bool = False
    deprecated: bool = False
    feature_flag: str | None = None
    feature_flags: list[str] | None = None
    schemas: dict[str, Any] | None = None
    created_at: datetime = SINCE
    updated_at: datetime = SINCE


def show_event_type(name: str) -> EventTypeOut:
    """A type of the catalogue as it is answered."""
    group, _, change = name.partition(".")
    happened = "appeared, or a row became that" if change == "created" else "changed"
    return EventTypeOut(name=name, group_name=group, description=f"{THINGS[group].capitalize()} {happened}.")


CATALOGUE = {name: show_event_type(name) for name in sorted(EVENT_TYPES)}
