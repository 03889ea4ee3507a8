"""From a body to its lines."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.domain.framing import has_bom, other_encoding, split_lines
from relay.domain.parsing import MAX_LINE_BYTES, Message, Row, parse_line

BOM = b"\xef\xbb\xbf"
ROWS = [b'{"rowId":"%d","t":"x%d"}' % (n, n) for n in range(1, 5)]


@pytest.mark.parametrize("body", [b"", b"\n", b"\r\n", b"\n\n \n"])
def test_a_body_without_lines_is_whole_and_empty(body: bytes) -> None:
    """An empty answer is no cut one (H3)."""
    assert split_lines(body) == ([], False)


@pytest.mark.parametrize("separator", [b"\n", b"\r\n", b" \n", b"\n\n"])
def test_lines_come_without_their_breaks_and_blanks(separator: bytes) -> None:
    """However lines are separated, they come as they are, in order."""
    assert split_lines(separator.join(ROWS) + separator) == (ROWS, False)


@given(cut=st.integers(1, len(b"\n".join(ROWS))))
@settings(max_examples=100)
def test_a_cut_body_gives_its_whole_lines_and_says_that_it_was_cut(cut: int) -> None:
    """Half a row is never taken for one, wherever the answer breaks off (H4)."""
    body = b"\n".join(ROWS)[:cut]
    lines, truncated = split_lines(body)
    assert lines == ROWS[: len(lines)]
    assert len(b"\n".join(lines)) in (len(body), body.rfind(b"\n"), 0)
    assert truncated is not body.endswith(b"\n")


def test_a_last_line_that_is_whole_by_itself_is_kept() -> None:
    """An upstream that never ends its last line must not hide its newest row for ever; nor its message."""
    assert split_lines(b"\n".join(ROWS)) == (ROWS, True)
    assert split_lines(b'"Invalid limit"') == ([b'"Invalid limit"'], True)


@pytest.mark.parametrize("text", ["two\nlines", "three\nmore\nlines", 'with\n"quotes"', "blank\n\nline", "\n"])
def test_a_row_that_a_line_break_cut_in_two_is_put_together(text: str) -> None:
    """A note with a bare line break splits a row; the pieces are one row again (H1)."""
    notes = f'[{{"note": "{text}", "createDatetime": "2023-01-01 09:00:00"}}]'
    broken = f'{{"rowId":"7","notes":"{notes}","rec":"0"}}'.encode()
    lines, truncated = split_lines(b"\n".join([ROWS[0], broken, ROWS[1], b""]))
    assert (lines[0], lines[2], len(lines), truncated) == (ROWS[0], ROWS[1], 3, False)
    row = parse_line(lines[1])
    assert isinstance(row, Row)
    assert row.row_id == 7
    assert row.columns["rec"] == "0"


def test_a_message_is_never_a_piece_of_a_row() -> None:
    """An error in the middle of a row stands by itself, and what follows it too."""
    body = b'{"rowId":"7","no\n"Query timed out"\nrest of it\n' + ROWS[0] + b"\n"
    lines, _ = split_lines(body)
    assert lines == [b'{"rowId":"7","no', b'"Query timed out"', b"rest of it", ROWS[0]]
    assert parse_line(lines[1]) == Message("Query timed out")


def test_a_broken_line_leaves_the_row_before_it_alone() -> None:
    """A row that is whole has no rest."""
    assert split_lines(ROWS[0] + b"\nrubbish\n" + ROWS[1] + b"\n") == ([ROWS[0], b"rubbish", ROWS[1]], False)


def test_pieces_are_not_put_together_without_end() -> None:
    """However many pieces come, a line has its greatest length."""
    piece = b"x" * (MAX_LINE_BYTES // 4)
    lines, _ = split_lines(b"\n".join([b'{"rowId":"7","t":"', *[piece] * 10, b""]))
    assert len(lines) > 1
    assert max(map(len, lines)) <= MAX_LINE_BYTES


@given(texts=st.lists(st.text(max_size=10), max_size=5))
@settings(max_examples=50)
def test_no_row_is_lost_between_others(texts: list[str]) -> None:
    """Every valid row comes out as it went in, whatever stands in its columns."""
    rows = [json.dumps({"rowId": str(n + 1), "t": text}).encode() for n, text in enumerate(texts)]
    assert split_lines(b"".join(row + b"\n" for row in rows)) == (rows, False)


ENCODINGS = ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("text", ['{"rowId":"1"}\n', '"Too many rows"\n', "\n", '[{"rowId":"1"}]', "é"], ids=repr)
def test_another_encoding_is_told_by_its_name(encoding: str, text: str) -> None:
    """With a byte order mark whatever follows, without one by its first letters, as RFC 4627 has it."""
    body = text.encode(encoding)
    expected = encoding[:6].upper()
    assert other_encoding(body) == (expected if len(encoding) == 6 or len(text) > 2 else None)


@pytest.mark.parametrize(
    "body",
    [b"", b"\n", b"{", BOM, BOM + ROWS[0], b"\0" + ROWS[0], b"\0\0\0" + ROWS[0], b"\xff" + ROWS[0], ROWS[0] + b"\0\n"],
    ids=repr,
)
def test_utf_8_is_no_other_encoding(body: bytes) -> None:
    """Also with NULs or a bad byte in it, which cost a line at most."""
    assert other_encoding(body) is None


def test_a_bom_at_the_start_of_a_body_is_noticed() -> None:
    """It is dropped, and the body's first row says so."""
    assert has_bom(BOM + ROWS[0])
    assert has_bom(b"\n " + BOM + ROWS[0])
    assert not has_bom(ROWS[0] + b"\n" + BOM + ROWS[1])
    assert not has_bom(b"")
