"""The trigger of a callback's body."""

import json
import re
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.domain.json_text import decode, encode
from relay.domain.normalising import KINDS, normalise, read_number, read_time
from relay.domain.parsing import Row, parse_line

ROOT = Path(__file__).parents[3]
DOCUMENTED = (ROOT / "tests/golden/documented_rows.ndjson").read_bytes().splitlines()
NUMBERS = sorted(name for name, kind in KINDS.items() if kind == "number")
FLAGS = sorted(name for name, kind in KINDS.items() if kind == "flag")
IDS = sorted(name for name, kind in KINDS.items() if kind == "id")
TEXTS = sorted(name for name, kind in KINDS.items() if kind == "text")

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text() | st.decimals(allow_nan=False, places=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=4,
)


def normalised(line: bytes) -> dict[str, Any]:
    row = parse_line(line)
    assert isinstance(row, Row)
    return normalise(row.columns)


def test_the_documented_visit_has_types() -> None:
    """The first row of the API's own page, column by column."""
    trigger = normalised(DOCUMENTED[0])
    assert len(trigger) == 98
    expected = {
        "rowId": "1",
        "igrp": "1",
        "triggerDatetime": "2018-01-16T13:20:11.000Z",
        "visitorFirstDatetime": "2018-01-16T13:20:11.000Z",
        "act": "land",
        "goal": "0",
        "new": 2,
        "callDuration": 0,
        "ivrDuration": 4,
        "totalContactKeywordScore": -176,
        "rec": False,
        "callPiiDataFound": False,
        "lat": Decimal("0.0000"),
        "srcPhoneNumber": "0123456",
        "dialledPhoneNumber": "02035555610",
        "numType": "37",
        "leadScore": 100,
        "attr": "",
        "notes": [
            {"note": "Test Note 1", "createDatetime": "2023-01-01T09:00:00.000Z"},
            {"note": "Test Note 2", "createDatetime": "2023-01-02T10:30:00.000Z"},
        ],
    }
    assert {name: trigger[name] for name in expected} == expected
    assert b'"lat":0.0000,"long":0.0000' in encode(trigger)


def test_the_other_documented_rows_have_types() -> None:
    """A call's leg, with money and a number that came as one; a charge, whose zeros are kept."""
    leg, charge = normalised(DOCUMENTED[1]), normalised(DOCUMENTED[2])
    assert (leg["lands"], leg["txr"], leg["txc"], leg["callRatingId"]) == (0, "2401", "", "1")
    assert b'"txv":0.00,' in encode(leg)
    assert b'"goalValue":0.00,' in encode(leg)
    assert b'"callCharge":0.020000,' in encode(charge)
    assert charge["callDuration"] == 8


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("145", 145),
        ("-176", -176),
        ("1.10", Decimal("1.10")),
        ("-0.5", Decimal("-0.5")),
        ("9" * 30, int("9" * 30)),
        ("007", None),
        ("1e5", None),
        ("+1", None),
        (" 1", None),
        ("1.", None),
        (".5", None),
        ("1,000", None),
        ("٣", None),
        ("", None),
        ("-", None),
        ("1\n", None),
        ("9" * 31, None),
    ],
)
def test_a_number_is_what_plainly_is_one(text: str, number: object) -> None:
    """Digits, a sign, a point; whatever could mean something else stays text (H8)."""
    assert read_number(text) == number
    assert normalise({"txv": text})["txv"] == (None if text == "" else text if number is None else number)


@given(name=st.sampled_from(NUMBERS), number=st.integers(-(10**9), 10**9) | st.decimals(-1000, 1000, places=4))
@settings(max_examples=50)
def test_numeric_columns_are_numbers_with_their_digits(name: str, number: object) -> None:
    """A number comes out with the digits that it had, whether it came as text or as a number."""
    text = format(number, "f") if isinstance(number, Decimal) else str(number)
    for value in (text, decode(text)):
        assert encode(normalise({name: value})).decode() == f'{{"{name}":{text}}}'


@pytest.mark.parametrize(
    ("value", "flag"),
    [
        ("0", False),
        ("1", True),
        (0, False),
        (1, True),
        (True, True),
        (False, False),
        ("", None),
        (None, None),
        ("2", "2"),
        (2, 2),
        ("yes", "yes"),
        ([1], [1]),
    ],
    ids=repr,
)
def test_flags_are_booleans(value: object, flag: object) -> None:
    """0 and 1, as text or as numbers; anything else passes as it came."""
    for name in FLAGS:
        got = normalise({name: value})[name]
        assert (got, type(got)) == (flag, type(flag))


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2018-01-16 13:20:11", "2018-01-16T13:20:11.000Z"),
        ("2018-01-16T13:20:11Z", "2018-01-16T13:20:11.000Z"),
        ("2018-07-16 13:20:11+01:00", "2018-07-16T12:20:11.000Z"),
        ("2018-01-16 13:20:11.250", "2018-01-16T13:20:11.250Z"),
        ("2018-01-16 13:20", "2018-01-16T13:20:00.000Z"),
        ("", None),
        ("0000-00-00 00:00:00", None),
        ("0000-00-00", None),
        ("2018-01-16", "2018-01-16"),
        ("2018-02-30 00:00:00", "2018-02-30 00:00:00"),
        ("9999-12-31 23:59:59-23:00", "9999-12-31 23:59:59-23:00"),
        ("yesterday at noon!!", "yesterday at noon!!"),
        (1516108811, 1516108811),
        (None, None),
    ],
    ids=repr,
)
def test_times_are_rfc_3339_in_utc(text: object, time: object) -> None:
    """What the upstream shows without an offset is UTC (H20); zeros are no time (H21); the rest passes as it came."""
    assert normalise({"triggerDatetime": text}) == {"triggerDatetime": time}


@given(moment=st.datetimes())
@settings(max_examples=50)
def test_any_moment_is_read_as_itself(moment: datetime) -> None:
    """The upstream's form and ours are the same moment, and ours is read as itself."""
    moment = moment.replace(microsecond=0)
    read = read_time(moment.isoformat(" "))
    assert read is not None
    assert datetime.fromisoformat(read) == moment.replace(tzinfo=UTC)
    assert read_time(read) == read


@given(row_id=st.integers(1, 2**63 - 1))
@settings(max_examples=25)
def test_ids_are_text(row_id: int) -> None:
    """An id may be greater than a reader's numbers (H33), so it is text, however it came; no id is no null."""
    for name in IDS:
        assert normalise({name: row_id}) == normalise({name: str(row_id)}) == {name: str(row_id)}
    assert normalise({"dgrp": ""}) == {"dgrp": ""}


@given(value=values, name=st.sampled_from(TEXTS) | st.from_regex(r"(pt|c)_[a-z]{1,8}", fullmatch=True) | st.text())
@settings(max_examples=50)
def test_text_and_unknown_columns_pass_as_they_came(name: str, value: object) -> None:
    """Phone numbers keep their zeros (H22), and what is the customer's own is not ours to read (H9)."""
    if KINDS.get(name, "text") == "text":
        assert normalise({name: value}) == {name: value}


@pytest.mark.parametrize("number", ["0123456", "+442035555610", "anonymous", "test.user@localhost.net", ""])
def test_phone_numbers_are_never_numbers(number: str) -> None:
    """National, international, withheld or an address: it is text (H22)."""
    for name in ("srcPhoneNumber", "dialledPhoneNumber", "destPhoneNumber", "customerPhoneNumber", "num"):
        assert normalise({name: number}) == {name: number}


@pytest.mark.parametrize(
    ("value", "notes"),
    [
        ("", []),
        ("[]", []),
        ('[{"note":"a"}]', [{"note": "a"}]),
        (
            [{"note": "a", "createDatetime": "2023-01-01 09:00:00"}],
            [{"note": "a", "createDatetime": "2023-01-01T09:00:00.000Z"}],
        ),
        ('[{"note":"a","createDatetime":"soon"},7]', [{"note": "a", "createDatetime": "soon"}, 7]),
        ('[{"note":"a "b" c"}]', '[{"note":"a "b" c"}]'),
        ('{"note":"a"}', '{"note":"a"}'),
        ("called back", "called back"),
        ("[" * 5000, "[" * 5000),
        (None, None),
        (7, 7),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_notes_are_a_list_where_they_can_be_read(value: object, notes: object) -> None:
    """The text that holds a list becomes the list, its times like all times; other text stays text."""
    assert normalise({"notes": value}) == {"notes": notes}


@given(row=st.dictionaries(st.sampled_from(sorted(KINDS)) | st.text(max_size=5), values, max_size=8))
@settings(max_examples=50)
def test_normalising_loses_no_column_and_changes_nothing_twice(row: dict[str, Any]) -> None:
    """Every column is there, in its order; the row itself is untouched; a normalised row stays what it is."""
    before = dict(row)
    trigger = normalise(row)
    assert list(trigger) == list(row)
    assert row == before
    assert encode(normalise(trigger)) == encode(trigger)
    assert json.loads(encode(trigger)).keys() == row.keys()


def test_what_is_remembered_of_one_column_is_not_believed_of_another() -> None:
    """True is not 1, and text is no number, whatever came before."""
    normalise({"callDuration": "1", "rec": "1"})
    assert normalise({"callDuration": True})["callDuration"] is True
    assert normalise({"rec": 1.0})["rec"] == 1.0


def test_the_page_for_subscribers_lists_every_column_and_its_kind() -> None:
    """docs/events.md has one row for each known column, with what it holds, and none for others."""
    page = (ROOT / "docs/events.md").read_text()
    table = page[page.index("<!-- columns -->") : page.index("<!-- /columns -->")]
    listed: dict[str, str] = {}
    for names, kind in re.findall(r"^\| ([^|]+) \| (\w+) \|", table, re.MULTILINE):
        listed |= dict.fromkeys(re.findall(r"`(\w+)`", names), kind)
    assert listed == dict(KINDS)
