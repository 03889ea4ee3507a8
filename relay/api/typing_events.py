"""From the body of a request to stored event types."""

from collections.abc import Iterable, Iterator
from typing import Any

from msgspec import UNSET, structs

from relay.api.schemas.common import given
from relay.api.schemas.event_types import EventTypeIn, EventTypeItem, EventTypePatch, EventTypeUpsertIn
from relay.domain.custom_types import CustomType, is_own, read_only
from relay.domain.openapi_webhooks import Webhook
from relay.errors import Fault

Wanted = dict[str, CustomType]
"""Types as they should be, by name."""

_DEFAULTS: dict[str, Any] = {
    "archived": False, "deprecated": False, "schemas": None, "feature_flags": (), "group_name": None,
}  # fmt: skip
"""The values of these fields for a PUT that omits them."""


def new_type(name: str, body: EventTypeIn | EventTypeUpsertIn | EventTypeItem, *, now_ms: int) -> CustomType:
    """A new type."""
    return CustomType(name=name, created_at_ms=now_ms, updated_at_ms=now_ms, **(_DEFAULTS | _fields(body)))


def replaced(old: CustomType, body: EventTypeUpsertIn | EventTypeItem, *, now_ms: int) -> CustomType:
    """A type after a PUT."""
    return structs.replace(old, updated_at_ms=now_ms, **(_DEFAULTS | _fields(body)))


def patched(old: CustomType, body: EventTypePatch, *, now_ms: int) -> CustomType:
    """A type after a PATCH."""
    return structs.replace(old, updated_at_ms=now_ms, **_fields(body))


def archived(old: CustomType, *, now_ms: int) -> CustomType:
    """A type that no further endpoint can select."""
    return structs.replace(old, archived=True, updated_at_ms=now_ms)


def imported(webhook: Webhook, old: CustomType | None, *, now_ms: int) -> CustomType:
    """A type as a document has it. It is not archived, and keeps the flags that it had."""
    fields = structs.asdict(webhook)
    if old is None:
        return CustomType(created_at_ms=now_ms, updated_at_ms=now_ms, **fields)
    return structs.replace(old, archived=False, updated_at_ms=now_ms, **fields)


def to_change(wanted: Iterable[CustomType], stored: Wanted, *, replace_all: bool, now_ms: int) -> Iterator[CustomType]:
    """Those of the wanted types that differ from what is stored, and with `replace_all` the others, archived."""
    names = set[str]()
    for each in wanted:
        names.add(each.name)
        old = stored.get(each.name)
        if old is None or structs.replace(old, updated_at_ms=each.updated_at_ms) != each:
            yield each
    for name, old in stored.items():
        if replace_all and name not in names and not old.archived:
            yield archived(old, now_ms=now_ms)


def item_faults(items: Iterable[EventTypeItem]) -> Iterator[Fault]:
    """Faults of the types of an import: names of the relay's own, and names that come twice."""
    met = set[str]()
    for at, item in enumerate(items):
        place = ("body", "eventTypes", at, "name")
        if is_own(item.name):
            yield Fault(place, f"{read_only(item.name)}, or leave it out")
        elif item.name in met:
            yield Fault(place, f"`{item.name}` comes twice")
        met.add(item.name)


def _fields(body: EventTypeIn | EventTypeUpsertIn | EventTypePatch | EventTypeItem) -> dict[str, Any]:
    fields = given(body, "description", "archived", "deprecated", "schemas", "group_name")
    if body.feature_flag is not UNSET:
        fields["feature_flags"] = () if body.feature_flag is None else (body.feature_flag,)
    if body.feature_flags is not UNSET:
        fields["feature_flags"] = tuple(dict.fromkeys(body.feature_flags or ()))
    return fields
