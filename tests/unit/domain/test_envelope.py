"""The bytes of a body."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.domain import envelope
from relay.domain.classifying import classify
from relay.domain.event_types import CALL, EVENT_TYPES, GOAL
from relay.domain.model import SourceUid
from relay.domain.normalising import normalise
from relay.domain.parsing import Row, parse_line

GOLDEN = Path(__file__).parents[2] / "golden"
DOCUMENTED = GOLDEN.joinpath("documented_rows.ndjson").read_bytes().splitlines()
POLLED_AT = "2026-11-24T08:00:00.000Z"

triggers = st.dictionaries(
    st.text(max_size=5), st.none() | st.booleans() | st.integers() | st.text(max_size=5), max_size=6
)


def stored(trigger: dict[str, Any], **changes: Any) -> bytes:
    content: dict[str, Any] = {
        "source": SourceUid("uk"),
        "igrp": 12,
        "row_id": 5,
        "revision": 1,
        "classes": GOAL | CALL,
        "trigger": trigger,
    }
    return envelope.encode(envelope.data(**content | changes), timestamp=POLLED_AT)


def test_a_body_has_its_parts_in_their_order() -> None:
    """Type, time, data; and in data who, what and the trigger, then what it was before."""
    body = envelope.HEADS[4] + stored({"txv": Decimal("1.10")}, revision=2, previous={"txv": Decimal("1.0")})
    assert body == (
        b'{"type":"call.created","timestamp":"2026-11-24T08:00:00.000Z","data":{"source":"uk","igrp":12,'
        b'"rowId":"5","key":"12-5","revision":2,"classes":["goal","call"],"trigger":{"txv":1.10},"previous":{"txv":1.0}}}'
    )


def test_a_body_says_that_its_row_was_repaired_and_only_then() -> None:
    """The flag stands before the trigger, is absent from every other body, and no row can pretend to it."""
    assert b'"classes":["goal","call"],"repaired":true,"trigger":{' in stored({}, repaired=True)
    assert envelope.is_repaired(stored({}, repaired=True))
    assert envelope.decode(stored({}, repaired=True))["repaired"] is True
    for trigger in (
        {},
        {"repaired": True},
        {"c": {"repaired": True, "trigger": {}}},
        {"c": '"repaired":true,"trigger":'},
    ):
        assert not envelope.is_repaired(stored(trigger))
        assert "repaired" not in envelope.decode(stored(trigger))


@pytest.mark.parametrize("code", range(len(EVENT_TYPES)), ids=EVENT_TYPES)
def test_every_type_makes_a_whole_body(code: int) -> None:
    """Whatever the type, its head and the stored bytes are one JSON object."""
    body = json.loads(envelope.head(code) + stored({}))
    assert (body["type"], list(body)) == (EVENT_TYPES[code], ["type", "timestamp", "data"])


@pytest.mark.parametrize("line", DOCUMENTED, ids=["land", "callBlegStart", "charge", "no charge"])
def test_the_bytes_of_a_documented_row_never_change_by_accident(line: bytes) -> None:
    """Subscribers sign off on bytes: what the API's own rows become is kept in tests/golden."""
    row = parse_line(line)
    assert isinstance(row, Row)
    route = "all" if row.row_id < 3 else "itemisedCalls"
    trigger = normalise(row.columns)
    body = envelope.HEADS[12 if route == "all" else 14] + envelope.encode(
        envelope.data(
            source=SourceUid("uk"),
            igrp=1,
            row_id=row.row_id,
            revision=1,
            classes=classify(row.columns, route=route),
            trigger=trigger,
        ),
        timestamp=envelope.timestamp(trigger, created=True, polled_at=POLLED_AT),
    )
    assert body in GOLDEN.joinpath("bodies.ndjson").read_bytes().splitlines()


@given(trigger=triggers)
@settings(max_examples=50)
def test_stored_data_can_be_read_again(trigger: dict[str, Any]) -> None:
    """What was encoded comes back, as it is needed to tell what changed."""
    data = envelope.decode(stored(trigger))
    assert data["trigger"] == trigger
    assert (data["rowId"], data["classes"]) == ("5", ["goal", "call"])


@pytest.mark.parametrize(
    ("time", "created", "expected"),
    [
        ("2018-01-16 13:20:11", True, "2018-01-16T13:20:11.000Z"),
        ("2018-01-16T13:20:11.5+01:00", True, "2018-01-16T12:20:11.500Z"),
        ("2018-01-16 13:20:11", False, POLLED_AT),
        ("0000-00-00 00:00:00", True, POLLED_AT),
        ("", True, POLLED_AT),
        (None, True, POLLED_AT),
        (7, True, POLLED_AT),
        ("2018-02-30 13:20:11Z", True, POLLED_AT),
        ("9999-12-31 23:59:59-23:00", True, POLLED_AT),
        ("whenever it may be Z", True, POLLED_AT),
    ],
)
def test_a_timestamp_is_when_it_happened(time: Any, created: bool, expected: str) -> None:
    """A new row's own time, if it has one (H12: past or future); the poll's for a change."""
    trigger = normalise({"triggerDatetime": time})
    assert envelope.timestamp(trigger, created=created, polled_at=POLLED_AT) == expected
    assert envelope.timestamp({}, created=created, polled_at=POLLED_AT) == POLLED_AT


def test_a_moment_is_written_to_the_millisecond() -> None:
    """Always with three digits and in UTC."""
    assert envelope.rfc3339(0) == "1970-01-01T00:00:00.000Z"
    assert envelope.rfc3339(1_763_971_200_001) == "2025-11-24T08:00:00.001Z"


@given(old=triggers, new=triggers)
@settings(max_examples=100)
def test_previous_leads_from_the_new_trigger_back_to_the_old(old: dict[str, Any], new: dict[str, Any]) -> None:
    """Changed fields with their old values, null for those that were absent; nothing that stayed as it was."""
    before = envelope.previous(old, new)
    changed = {name for name in old | new if name not in old or name not in new or old[name] != new[name]}
    assert before == {name: old.get(name) for name in changed}
