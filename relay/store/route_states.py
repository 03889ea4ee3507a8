"""The state of a route as the store has it, and what is damaged in it."""

from collections.abc import Mapping
from typing import Any

import msgspec
import structlog

from relay.domain.route_state import RouteState

log = structlog.get_logger()

LOST_CURSOR = (
    "the cursor in the store is damaged: set it with PUT /api/v1/source/{uid}/route/{route}/cursor, or take the route "
    "off the source and add it again a minute later; then it continues behind the newest row"
)
MOST_ROW_ID = 2**63 - 1
MOST_MS = 2**47
"""A time after the year 6000 is damage."""
_STORED = {each.name for each in msgspec.structs.fields(RouteState)} - {"route", "unreadable"}


def read_state(name: str, fields: Mapping[bytes, bytes]) -> RouteState:
    """A field that can't be read is left out. Without its cursor, a route stands still."""
    values: dict[str, str] = {}
    for key, value in fields.items():
        field, text = key.decode("utf-8", "replace"), value.decode("utf-8", "replace")
        if field in _STORED and (text or field == "cursor"):
            values[field] = text
    damaged: list[str] = []
    if not _are_readable(values):
        damaged = [field for field, text in values.items() if not _are_readable({field: text})]
        values = {field: text for field, text in values.items() if field not in damaged}
        log.warning("route_state_damaged", route=name, fields=damaged)
    state = msgspec.convert({"route": name, **values}, RouteState, strict=False)
    if "cursor" in damaged:
        state = msgspec.structs.replace(state, state="stopped", last_error=LOST_CURSOR, unreadable=True)
    return state


def _are_readable(values: Mapping[str, str]) -> bool:
    try:
        state = msgspec.convert({"route": "", **values}, RouteState, strict=False)
    except msgspec.ValidationError:
        return False
    # Scripts compare the text of a cursor, so each number has one.
    return all(_is_in_bounds(field, getattr(state, field), text) for field, text in values.items())


def _is_in_bounds(field: str, value: Any, text: str) -> bool:
    most = MOST_ROW_ID if field in ("cursor", "held_from") else MOST_MS
    return type(value) is not int or (str(value) == text and 0 <= value <= most)
