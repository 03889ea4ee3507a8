"""Batches: the id of a request with several events, and what its answer says about each."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.domain.batching import Unnamed, batch_id, may_be_about_one, named
from relay.domain.outcomes import Failure, Outcome
from relay.domain.requests.ruling import Ruling

EVENTS = [{"id": f"msg_{n}", "key": f"1-{n}", "type": "call.created"} for n in range(3)]


@given(st.lists(st.text("abc", max_size=3), max_size=4), st.lists(st.text("abc", max_size=3), max_size=4))
def test_two_batches_have_one_id_only_if_they_are_one(one: list[str], other: list[str]) -> None:
    """In one order, too."""
    ids, others = [f"msg_{each}" for each in one], [f"msg_{each}" for each in other]
    assert (batch_id(ids) == batch_id(others)) == (ids == others)


@pytest.mark.parametrize(
    ("result", "places"),
    [
        (None, set()), ([], set()), (0, {0}), ([2, 0], {0, 2}), ("msg_1", {1}), (["1-2", "msg_0"], {0, 2}), (1.0, {1}),
    ],
)  # fmt: skip
def test_events_are_named_by_place_id_or_key(result: Any, places: set[int]) -> None:
    """One name need not be in a list."""
    assert named(None if result is None else msgspec.json.encode(result), EVENTS) == places


@pytest.mark.parametrize("result", [3, -1, 0.5, True, "msg_9", [0, "other"], {"at": 0}, [[0]], [None], ""])
def test_what_names_no_event_is_refused(result: Any) -> None:
    """Then nobody knows which events failed."""
    with pytest.raises(Unnamed):
        named(msgspec.json.encode(result), EVENTS)


def test_the_same_row_twice_has_failed_twice() -> None:
    """A key names all events of its row."""
    assert named(b'"1-0"', [*EVENTS, {"id": "msg_9", "key": "1-0"}]) == {0, 3}


@pytest.mark.parametrize(
    ("outcome", "splits"),
    [
        (Outcome(status=400), True),
        (Outcome(status=413), True),
        (Outcome(status=401), False),
        (Outcome(status=404), False),
        (Outcome(status=429), False),
        (Outcome(status=500), False),
        (Outcome(status=204), False),
        (Outcome(error=Failure.TIMEOUT), False),
        (Outcome(error=Failure.TRANSFORMATION), True),
        (Outcome(status=207, error=Failure.PARTIAL), False),
        (Outcome(status=403, ruling=Ruling("dead")), True),
        (Outcome(status=200, ruling=Ruling("exists")), True),
        (Outcome(status=400, ruling=Ruling("later")), False),
        (Outcome(status=400, ruling=Ruling("delivered")), False),
    ],
)
def test_what_may_be_about_one_event(outcome: Outcome, splits: bool) -> None:
    """Of a batch; a request with one event is about it in any case."""
    assert may_be_about_one(msgspec.structs.replace(outcome, batch_id="b", batch_size=2)) == splits
    assert not may_be_about_one(msgspec.structs.replace(outcome, batch_id="b", batch_size=1))
