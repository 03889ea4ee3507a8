"""What a row is, told from its own fields alone: whichever route showed it, the answer is the same (hazard H15).

The decision is which rules apply, and both the classes and their explanation follow from it.
"""

from typing import Any, NamedTuple

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


class Rule(NamedTuple):
    """What gives a row classes."""

    mask: int
    """The classes."""
    columns: tuple[str, ...]
    """The columns that it looks at."""
    says: str
    """When it applies."""


RULES = (
    Rule(CALL_CHARGE, (), "the row is from the route itemisedCalls"),
    Rule(TRIGGER, (), "the row is from another route than itemisedCalls"),
    Rule(CALL | TOUCH_POINT, ("act",), "act is call"),
    Rule(CALL_USER, ("act",), "act is callUser"),
    Rule(VISIT | TOUCH_POINT, ("act",), "act is land"),
    Rule(GOAL | TOUCH_POINT, ("goal",), "goal is not empty and not 0"),
    Rule(TRANSACTION, ("act", "txc", "goalCurrency"), "txc or goalCurrency is not empty, and act is not callRate"),
)
"""All rules (infinity-api.md 4.1). A row has the classes of all that apply: bit `1 << index` for each."""
_CHARGE, _ANY, _CALL, _CALL_USER, _LAND, _GOAL, _TRANSACTION = (1 << index for index in range(len(RULES)))
_BY_ACT = {"call": _ANY | _CALL, "callUser": _ANY | _CALL_USER, "land": _ANY | _LAND}
_NO_GOAL = (None, "", "0", 0)
_EMPTY = (None, "")


def _all_masks() -> tuple[int, ...]:
    masks = [0] * (1 << len(RULES))
    for applied in range(len(masks)):
        for index, rule in enumerate(RULES):
            masks[applied] |= rule.mask if applied >> index & 1 else 0
    return tuple(masks)


_MASKS = _all_masks()
"""The classes of every set of rules."""


def classify(row: dict[str, Any], *, route: str) -> int:
    """The mask of a row's classes (infinity-api.md 4.1); `row` may be as it came or normalised.

    Only `itemisedCalls` needs to be known as the route: its rows have no `act` and an id space of their own.

    >>> from relay.domain.event_types import names
    >>> names(classify({"act": "call", "goal": "7"}, route="calls"))
    ('goal', 'call', 'touch_point', 'trigger')
    """
    return _MASKS[_applied(row, route)]


def explain(row: dict[str, Any], *, route: str) -> list[Rule]:
    """The rules that give a row its classes.

    >>> [rule.says for rule in explain({"act": "call"}, route="all")][1:]
    ['act is call']
    """
    applied = _applied(row, route)
    return [rule for index, rule in enumerate(RULES) if applied >> index & 1]


def _applied(row: dict[str, Any], route: str) -> int:
    """Which rules apply to a row."""
    if route == "itemisedCalls":
        return _CHARGE
    act = row.get("act")
    applied = _BY_ACT.get(act, _ANY) if act.__class__ is str else _ANY
    if row.get("goal") not in _NO_GOAL:
        applied |= _GOAL
    if act != "callRate" and (row.get("txc") not in _EMPTY or row.get("goalCurrency") not in _EMPTY):
        applied |= _TRANSACTION
    return applied
