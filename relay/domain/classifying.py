"""What a row is, told from its own fields alone: whichever route showed it, the answer is the same (hazard H15)."""

from typing import Any

from relay.domain.event_types import (
    CALL,
    CALL_CHARGE,
    CALL_USER,
    GOAL,
    TOUCH_POINT,
    TRANSACTION,
    TRIGGER,
    VISIT,
)

_BY_ACT = {"call": CALL | TOUCH_POINT, "callUser": CALL_USER, "land": VISIT | TOUCH_POINT}
_NO_GOAL = (None, "", "0", 0)
_EMPTY = (None, "")


def classify(row: dict[str, Any], *, route: str) -> int:
    """The mask of a row's classes (infinity-api.md 4.1); `row` may be as it came or normalised.

    Only `itemisedCalls` needs to be known as the route: its rows have no `act` and an id space of their own.

    >>> from relay.domain.event_types import names
    >>> names(classify({"act": "call", "goal": "7"}, route="calls"))
    ('goal', 'call', 'touch_point', 'trigger')
    """
    if route == "itemisedCalls":
        return CALL_CHARGE
    act = row.get("act")
    mask = TRIGGER | _BY_ACT.get(act, 0) if act.__class__ is str else TRIGGER
    if row.get("goal") not in _NO_GOAL:
        mask |= GOAL | TOUCH_POINT
    if act != "callRate" and (row.get("txc") not in _EMPTY or row.get("goalCurrency") not in _EMPTY):
        mask |= TRANSACTION
    return mask
