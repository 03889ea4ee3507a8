"""Classes, types and their codes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.domain.event_types import CALL, CLASSES, EVENT_TYPES, GOAL, TRIGGER, code_of, codes_of, mask_of, names

masks = st.integers(0, 2 ** len(CLASSES) - 1)


def test_codes_never_move() -> None:
    """Codes are stored, so each type keeps its place; new ones come behind."""
    assert EVENT_TYPES[:16] == (
        "transaction.created",
        "transaction.updated",
        "goal.created",
        "goal.updated",
        "call.created",
        "call.updated",
        "call_user.created",
        "call_user.updated",
        "visit.created",
        "visit.updated",
        "touch_point.created",
        "touch_point.updated",
        "trigger.created",
        "trigger.updated",
        "call_charge.created",
        "call_charge.updated",
    )
    assert all(code_of(name) == code for code, name in enumerate(EVENT_TYPES))


@given(mask=masks)
def test_a_mask_and_its_names_say_the_same(mask: int) -> None:
    """Every mask has its names, in order of precedence, and they give the mask back."""
    assert mask_of(names(mask)) == mask
    assert list(names(mask)) == sorted(names(mask), key=CLASSES.index)


def test_a_word_that_is_no_class_has_no_mask() -> None:
    """A typo is an error, not an empty mask."""
    with pytest.raises(ValueError):
        mask_of(("calls",))


def test_a_call_that_becomes_a_goal_is_a_goal_created_and_a_call_updated() -> None:
    """The class that a row gained comes as created, the ones that it had as updated, by precedence."""
    types = [EVENT_TYPES[code] for code in codes_of(GOAL | CALL | TRIGGER, had=CALL | TRIGGER)]
    assert types == ["goal.created", "call.updated", "trigger.updated"]


@given(current=masks, had=st.none() | masks)
def test_each_class_that_a_row_has_is_told_once(current: int, had: int | None) -> None:
    """One type for each class of now, by precedence; created if it is new to the row. A lost class is not told."""
    expected = [
        f"{name}.{'updated' if (had or 0) & mask_of((name,)) else 'created'}"
        for name in CLASSES
        if current & mask_of((name,))
    ]
    assert [EVENT_TYPES[code] for code in codes_of(current, had)] == expected
