"""From a line to a row, a message, or a line to put aside."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.domain.json_text import encode
from relay.domain.parsing import (
    MAX_DEPTH,
    MAX_LINE_BYTES,
    MAX_ROW_ID,
    Message,
    Rejected,
    Row,
    parse_line,
    peek_row_id,
    read_row_id,
)

DOCUMENTED = Path(__file__).parents[2].joinpath("golden/documented_rows.ndjson").read_bytes().splitlines()

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
rows = st.dictionaries(st.text(max_size=8).filter(lambda name: name != "rowId"), values, max_size=6)
row_ids = st.integers(1, MAX_ROW_ID)


def nested(depth: int, opening: bytes, closing: bytes) -> bytes:
    """A row whose one column is so deep that the row as a whole has `depth` levels."""
    return b'{"rowId":"1","x":' + opening * (depth - 1) + b"1" + closing * (depth - 1) + b"}"


@pytest.mark.parametrize(("line", "row_id", "columns"), [*zip(DOCUMENTED, [1, 2, 4, 7], [98, 77, 24, 24], strict=True)])
def test_the_documented_rows_are_read(line: bytes, row_id: int, columns: int) -> None:
    """The four rows of the API's own page, the first two of which are no valid JSON (H1)."""
    row = parse_line(line)
    assert isinstance(row, Row)
    assert (row.row_id, len(row.columns), row.repaired) == (row_id, columns, row_id < 3)
    if row.repaired:
        notes = json.loads(row.columns["notes"])
        assert [note["note"] for note in notes] == ["Test Note 1", "Test Note 2"]
        assert row.columns["leadScore"] == ("100" if row_id == 1 else "300")


@given(columns=rows, row_id=row_ids, as_text=st.booleans())
@settings(max_examples=50)
def test_whatever_is_one_object_with_a_row_id_is_a_row(columns: dict[str, Any], row_id: int, as_text: bool) -> None:
    """Columns come as they are, known or not, their id as text or as a number (H8, H9)."""
    columns = {"rowId": str(row_id) if as_text else row_id, **columns}
    assert parse_line(msgspec.json.encode(columns)) == Row(row_id, columns)


@pytest.mark.parametrize("digits", ["1.10", "0.020000", "0.0000", "-51.507400", "100000000000000000000.5", "1e-7"])
def test_numbers_keep_their_digits(digits: str) -> None:
    """A number with a point is written again as it came, whatever a float would make of it."""
    row = parse_line(f'{{"rowId":"1","txv":{digits}}}'.encode())
    assert isinstance(row, Row)
    assert row.columns["txv"] == Decimal(digits)
    assert encode(row.columns["txv"]).decode().lower() == digits


@pytest.mark.parametrize("text", ["Invalid limit", "", '{"rowId":"1"}', "zażółć \u2028"])
def test_a_bare_string_is_a_message(text: str) -> None:
    """Errors and information come as JSON strings, maybe with status 200: never as rows (H2)."""
    assert parse_line(json.dumps(text).encode()) == Message(text)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"}",
        b"1",
        b"null",
        b"true",
        b"[]",
        b'[{"rowId":"1"}]',
        b'{"rowId":"1"',
        b'{"rowId":"1"} {"rowId":"2"}',
        b"<html>",
        b"rowId,triggerDatetime",
        b"\xef\xbb\xbf{}",
        b"[" * 100_000,
        b'{"rowId":"1","a":' * 50_000,
    ],
    ids=lambda line: repr(line[:40]),
)
def test_what_is_no_row_is_rejected_and_never_quoted(line: bytes) -> None:
    """Broken, foreign or hostile lines are put aside with a reason that shows nothing of them."""
    rejected = parse_line(line)
    assert isinstance(rejected, Rejected)
    assert not any(word in rejected.reason for word in ("html", "triggerDatetime", "ud800"))


@pytest.mark.parametrize("row_id", [None, "", 0, -1, "+1", " 1", "01", "1.0", "1e3", "٣", "x", True, [1], 2**63])
def test_a_row_without_a_proper_id_is_rejected(row_id: Any) -> None:
    """A rowId is a whole number from 1 to 2^63-1 in plain digits (H33); anything else is nobody's row."""
    for value in (row_id, str(row_id)) if type(row_id) is int else (row_id,):
        assert read_row_id(value) is None
        assert isinstance(parse_line(json.dumps({"rowId": value}).encode()), Rejected)
    assert isinstance(parse_line(b'{"act":"call"}'), Rejected)


@pytest.mark.parametrize("line", [b'{"rowId":"5","rowId":"7"}', b'{"act":"x","rowId":"5","rowId":"7"}'])
def test_a_row_with_two_ids_is_nobodys(line: bytes) -> None:
    """Which of two rowIds is meant cannot be told."""
    assert isinstance(parse_line(line), Rejected)


def test_a_row_may_tell_of_row_ids_in_its_values() -> None:
    """Only the row's own key counts, not text or objects inside of it."""
    for line in (b'{"act":"\\"rowId\\"","rowId":"7"}', b'{"x":{"rowId":"5"},"y":[{"rowId":"6"}],"rowId":"7"}'):
        row = parse_line(line)
        assert isinstance(row, Row)
        assert row.row_id == 7


def test_a_row_may_say_its_id_twice() -> None:
    """There is no doubt which row it is."""
    assert parse_line(b'{"rowId":"5","rowId":"5"}') == Row(5, {"rowId": "5"})


def test_of_a_key_that_stands_twice_the_last_counts() -> None:
    """As most JSON readers do; the rowId is the exception."""
    assert parse_line(b'{"rowId":"1","act":"land","act":"call"}') == Row(1, {"rowId": "1", "act": "call"})


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"x":', b"}")], ids=["lists", "objects"])
def test_nesting_has_a_limit(opening: bytes, closing: bytes) -> None:
    """A row may have objects and lists inside, but not so deep that writing it again could fail."""
    assert isinstance(parse_line(nested(MAX_DEPTH, opening, closing)), Row)
    assert parse_line(nested(MAX_DEPTH + 1, opening, closing)) == Rejected("the row is nested too deeply", 1)
    wide = b'{"rowId":"1","x":[' + b",".join([b"[]"] * 100) + b"]}"
    assert isinstance(parse_line(wide), Row)


def test_a_line_has_a_greatest_length() -> None:
    """The longest line is read; one byte more is too long, whatever it holds."""
    line = b'{"rowId":"9","x":"' + b"x" * (MAX_LINE_BYTES - 20) + b'"}'
    assert len(line) == MAX_LINE_BYTES
    assert isinstance(parse_line(line), Row)
    assert parse_line(line + b" ") == Rejected("the line is too long", 9)


@given(row_id=row_ids, rest=st.binary(max_size=20))
@settings(max_examples=50)
def test_a_rows_id_can_be_read_off_its_beginning(row_id: int, rest: bytes) -> None:
    """Without reading the rest, be it broken; and only where the line begins with it."""
    for line in (b'{"rowId":"%d",' % row_id, b'  { "rowId" : %d ,' % row_id):
        assert peek_row_id(line + rest) == row_id
    assert peek_row_id(b'{"a":1,"rowId":"%d"}' % row_id) is None
    assert peek_row_id(b'{"rowId":"%d0000000000000000000",' % row_id) is None
    assert peek_row_id(b'{"rowId":"0",') is None


@given(line=st.binary(max_size=60))
@settings(max_examples=100)
def test_no_line_can_make_the_parser_fail(line: bytes) -> None:
    """Whatever comes is a row, a message or a rejected line."""
    assert isinstance(parse_line(line), Row | Message | Rejected)
