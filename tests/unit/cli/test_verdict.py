"""The demo's judge: what must come follows from the rows that were shown, and each loss or repeat is seen."""

import json
from typing import Any

from relay.cli.demo.verdict import Received, Subscription, Verdict, events, expected, readable
from relay.domain.model import SourceUid

CALLS = Subscription(name="calls", says="", types=("call.created", "call.updated"))
GOALS = Subscription(name="goals", says="", types=("goal.created",))
LONG = Subscription(name="long", says="", filter={"callDuration": {"$gte": 60}})
ALL = (CALLS, GOALS, LONG)


def shown(row_id: str, *versions: dict[str, Any]) -> bytes:
    return json.dumps({"rowId": row_id, "routes": ["all"], "versions": versions}).encode()


def wanted(*lines: bytes) -> set[tuple[str, str, int]]:
    return expected(events(lines, source=SourceUid("demo"), igrp=1), ALL)


def test_a_row_is_expected_where_types_and_filter_say_so() -> None:
    """A short call goes to who wants calls, a long one also to who filters for it, a page view to nobody."""
    rows = (
        shown("1", {"rowId": "1", "act": "call", "callDuration": "59"}),
        shown("2", {"rowId": "2", "act": "call", "callDuration": "60"}),
        shown("3", {"rowId": "3", "act": "page"}),
    )
    assert wanted(*rows) == {("calls", "1", 1), ("calls", "2", 1), ("long", "2", 1)}


def test_a_call_that_becomes_a_goal_is_expected_again() -> None:
    """A changed row is a second event: `call.updated` for one, `goal.created` for the other."""
    call = {"rowId": "1", "act": "call", "callDuration": "9", "goal": "0"}
    assert wanted(shown("1", call, call | {"goal": "7"})) == {("calls", "1", 1), ("calls", "1", 2), ("goals", "1", 2)}


def test_a_change_of_counts_is_no_event() -> None:
    """A version that differs in a volatile column only is the same event."""
    call = {"rowId": "1", "act": "call", "visitorCallCount": "1"}
    assert wanted(shown("1", call, call | {"visitorCallCount": "2"})) == {("calls", "1", 1)}


def test_a_row_that_is_no_json_is_not_expected() -> None:
    """The relay puts it into quarantine, so it is neither counted nor missed, until it becomes readable."""
    broken = json.dumps({"rowId": "1", "routes": ["all"], "versions": ["{broken"]}).encode()
    mended = json.dumps(
        {"rowId": "2", "routes": ["all"], "versions": ["{broken", {"rowId": "2", "act": "call"}]}
    ).encode()
    assert wanted(broken, mended) == {("calls", "2", 1)}
    assert readable([broken, mended]) == 1


def test_what_the_receiver_wrote_is_counted() -> None:
    """Verified ones, repeats of an id, and refused ones are told apart."""
    received = Received()
    note = {"path": "calls", "verified": True, "duplicate": False, "rowId": "1", "revision": 1}
    for line in (note, note | {"duplicate": True}, {"path": "calls", "verified": False, "error": "forged"}):
        received.add(json.dumps(line).encode())
    assert (received.verified, received.duplicates, received.refused) == (2, 1, 1)
    assert received.callbacks == {("calls", "1", 1)}


def test_only_a_clean_run_keeps_its_promises() -> None:
    """One callback missing, or one too many, makes the demo fail."""
    clean = {"shown": 9, "stored": 9, "verified": 9}
    assert Verdict(**clean, duplicates=0, missing=0).kept_its_promises
    assert not Verdict(**clean, duplicates=1, missing=0).kept_its_promises
    assert not Verdict(**clean, duplicates=0, missing=1).kept_its_promises
