"""Rows whose notes are not escaped (hazard H1)."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.domain.escaping_notes import escape_notes
from relay.domain.parsing import Rejected, Row, parse_line

DATE = "2023-01-01 09:00:00"
texts = st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=30)


def line_with(notes: str, *, before: str = '"act":"call",', after: str = ',"leadScore":"100"') -> bytes:
    """A row as the upstream prints it: the text of notes put between quotes as it is."""
    return f'{{"rowId":"5",{before}"notes":"{notes}"{after}}}'.encode()


def notes_of(line: bytes) -> str | None:
    row = parse_line(line)
    if isinstance(row, Rejected):
        return None
    assert isinstance(row, Row)
    assert (row.row_id, row.columns["act"], row.columns["leadScore"]) == (5, "call", "100")
    text: str = row.columns["notes"]
    return text


@given(texts=st.lists(texts | st.sampled_from(['"]', '"}]', '"}]"', '"}]","goal":"1"', '\\"', "[", "{"]), max_size=3))
@settings(max_examples=100)
def test_any_note_survives_where_its_own_quotes_are_escaped(texts: list[str]) -> None:
    """A JSON list put between quotes has an exact end, whatever quotes and brackets its notes hold."""
    notes = json.dumps([{"note": text, "createDatetime": DATE} for text in texts], ensure_ascii=False)
    if json.dumps(notes, ensure_ascii=False) != f'"{notes}"':
        assert notes_of(line_with(notes)) == notes


@pytest.mark.parametrize(
    "text",
    [
        'He said "call me"',
        '"',
        '""',
        "[urgent]",
        'see ["ref"]',
        'a "b", "c": d',
        "] } {",
        'tail"}',
        'back\\slash "x"',
        'tab\there "x"',
        '€ “curly” "plain"',
    ],
)
def test_bare_quotes_in_a_note_survive_where_one_reading_is_possible(text: str) -> None:
    """An operator's quotes that nobody escaped: the note's end is the only place that makes the line valid."""
    notes = f'[{{"note": "{text}", "createDatetime": "{DATE}"}}]'
    assert notes_of(line_with(notes)) == notes


@given(text=texts.filter(lambda text: "createDatetime" not in text))
@settings(max_examples=100)
def test_a_bare_note_is_kept_whole_or_the_line_is_put_aside(text: str) -> None:
    """Never does a note lose a character or spill into other columns."""
    notes = f'[{{"note": "{text}", "createDatetime": "{DATE}"}}]'
    line = line_with(notes)
    try:
        json.loads(line)
    except ValueError:
        assert notes_of(line) in (notes, None)


def test_brackets_in_a_later_column_are_not_the_end_of_notes() -> None:
    """The end is where a dated note ends, though a later column could also make the line valid."""
    notes = f'[{{"note": "a "b" c", "createDatetime": "{DATE}"}}]'
    assert notes_of(line_with(notes, after=',"c_list":"[1]","leadScore":"100"')) == notes


def test_an_exact_end_is_the_end() -> None:
    """Where the list itself is whole, a later column that looks like an end leaves no doubt."""
    assert notes_of(line_with('["a"]', after=',"c_end":"]","leadScore":"100"')) == '["a"]'


def test_notes_of_another_shape_are_mended_too() -> None:
    """What stands in the list is not ours to know."""
    assert notes_of(line_with('["say "hi""]')) == '["say "hi""]'


def test_notes_may_be_the_last_column() -> None:
    """The end of the row ends the notes as well."""
    repaired = escape_notes(b'{"rowId":"5","notes":"[{"note": "x"}]"}')
    assert repaired is not None
    assert json.loads(repaired) == {"rowId": "5", "notes": '[{"note": "x"}]'}


def test_a_line_that_could_be_read_in_two_ways_is_put_aside() -> None:
    """Either of two brackets could end these notes, and no guess is made."""
    assert parse_line(line_with('[a "b" c]', after=',"c_end":"]"')) == Rejected("the line is not JSON", 5)


@pytest.mark.parametrize(
    "line",
    [
        b'{"rowId":"5","notes":"plain "text"","leadScore":"100"}',
        b'{"rowId":"5","note":"[{"note": "x"}]","leadScore":"100"}',
        b'{"rowId":"5","notes":"[{"note": "x"}]","leadScore":}',
        b'{"rowId":"5","notes":"[{"note": "\xff"}]"}',
        b'{"rowId":"5","notes":"[' + b"[" * 5000,
        b'{"rowId":"5","notes":"[' + b']",' * 5000,
    ],
    ids=["no list", "another column", "another fault", "not UTF-8", "deep", "many ends"],
)
def test_other_faults_are_not_mended(line: bytes) -> None:
    """Only the known fault is undone; a line with another is put aside, in bounded time."""
    assert escape_notes(line) is None


@given(value=st.text() | st.lists(st.text(), max_size=2))
@settings(max_examples=50)
def test_valid_rows_are_never_touched(value: Any) -> None:
    """Notes that are escaped, or a list of their own, stay as they are."""
    row = parse_line(json.dumps({"rowId": "5", "notes": value}).encode())
    assert row == Row(5, {"rowId": "5", "notes": value})
