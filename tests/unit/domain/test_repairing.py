"""One bad byte does not cost an event: what is repaired, what is not, and that valid rows are never touched."""

import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from relay.domain.framing import split_lines
from relay.domain.json_text import BROKEN, decode, encode
from relay.domain.parsing import Message, Rejected, Row, parse_line
from relay.domain.repairing import repair

BOM = b"\xef\xbb\xbf"


def line(value: bytes, *, before: bytes = b"", after: bytes = b"") -> bytes:
    """A row whose one doubtful value stands between two good ones."""
    return before + b'{"rowId":"7","act":"call","c_x":' + value + b',"callDuration":"61"}' + after


REPAIRED: list[tuple[str, bytes, Any]] = [
    ("lone surrogate", rb'"a\ud800b"', "a\ufffdb"),
    ("lone low surrogate", rb'"a\uDC00b"', "a\ufffdb"),
    ("surrogates in the wrong order", rb'"\ude00\ud83d"', "\ufffd\ufffd"),
    ("two high surrogates, then a pair", rb'"\ud83d\ud83d\ude00"', "\ufffd😀"),
    ("high surrogate at the end", rb'"x\ud83d"', "x\ufffd"),
    ("high surrogate before an escape", rb'"\ud83d\n"', "\ufffd\n"),
    ("latin-1", b'"caf\xe9"', "caf\ufffd"),
    ("latin-1 before the quote", b'"\xe9"', "\ufffd"),
    ("truncated UTF-8", b'"\xe2\x82"', "\ufffd"),
    ("overlong", b'"\xc0\xaf"', "\ufffd\ufffd"),
    ("encoded surrogate", b'"\xed\xa0\x80"', "\ufffd\ufffd\ufffd"),
    ("beyond Unicode", b'"\xf5\x80\x80\x80"', "\ufffd" * 4),
    ("CESU-8", b'"\xed\xa0\xbd\xed\xb8\x80"', "😀"),
    ("CESU-8 beside latin-1", b'"\xed\xa0\xbd\xed\xb8\x80\xff"', "😀\ufffd"),
    ("raw tab", b'"a\tb"', "a\tb"),
    ("raw carriage return", b'"a\rb"', "a\rb"),
    ("raw escape", b'"\x1b[31m"', "\x1b[31m"),
    ("NUL", b'"a\x00b"', "a\x00b"),
    ("bad escape", rb'"C:\x41\q"', r"C:\x41\q"),
    ("bad escape of a quote", rb'"it\'s"', r"it\'s"),
    ("bad escape of a letter beyond ASCII", '"\\é"'.encode(), "\\é"),
    ("short unicode escape", rb'"\u12"', r"\u12"),
    ("unicode escape of no digits", rb'"\uzzzz"', r"\uzzzz"),
    ("backslash and a raw tab", b'"\\\tx"', "\\\tx"),
    ("in a list and a key", b'[{"k\t":"\xff"}]', [{"k\t": "\ufffd"}]),
    ("NaN", b"NaN", None),
    ("-NaN", b"-NaN", None),
    ("Infinity", b"Infinity", None),
    ("-Infinity", b"-Infinity", None),
    ("inf", b"[inf,-INF]", [None, None]),
    ("NaN beside a text that says so", b'{"NaN":NaN,"a":"NaN\t,NaN"}', {"NaN": None, "a": "NaN\t,NaN"}),
    ("leading zeros", b"007", "007"),
    ("plus sign", b"+441632960001", "+441632960001"),
    ("bare points", b"[.5,5.]", [".5", "5."]),
    ("5,000 digits", b"1" * 5000, "1" * 5000),
    ("absurd exponent", b"1e99999999999999999999", "1e99999999999999999999"),
]


@pytest.mark.parametrize(("value", "says"), [each[1:] for each in REPAIRED], ids=[each[0] for each in REPAIRED])
def test_what_can_be_repaired_without_doubt_is_a_row_that_says_so(value: bytes, says: Any) -> None:
    """Replacement characters, escaped control characters, null for NaN: all else of the row stays as it came."""
    row = parse_line(line(value))
    expected = {"rowId": "7", "act": "call", "c_x": says, "callDuration": "61"}
    assert row == Row(7, expected, repaired=True)
    assert json.loads(encode(expected)) == json.loads(json.dumps(expected))


@pytest.mark.parametrize("before", [BOM, BOM * 2, b"\0", b" \t" + BOM], ids=repr)
def test_what_stands_before_a_row_is_dropped(before: bytes) -> None:
    """A BOM or NULs around a line are nothing of the row."""
    expected = {"rowId": "7", "act": "call", "c_x": 1, "callDuration": "61"}
    for whole in (line(b"1", before=before), line(b"1", after=before), line(b"1", before=before, after=b"\0\0")):
        assert parse_line(whole) == Row(7, expected, repaired=True)


@pytest.mark.parametrize(
    "broken",
    [
        line(b"'single'"),
        line(b"undefined"),
        line(b'"unterminated'),
        line(b'"ends in a backslash\\"'),
        line(b'"a" "b"'),
        line(b"1 2"),
        line(b"1,,2"),
        line(b"\xff"),
        line(b"True"),
        line(b"0x1F"),
        line(b"12abc"),
        line(b"1")[:-1],
        line(b"1") + b"}",
        line("1".join(("\u00a0", "")).encode()),
        b'{"rowId":"7","a":"\xff"}{"rowId":"8"}',
        b'{"rowId":7\xff}',
        line(b"1").decode().encode("utf-16"),
        line(b"1").decode().encode("utf-16-le"),
        b"\xff" * 100,
        b'{"rowId":"7",' + b'"\\' * 5000,
        b'{"rowId":"7","a":' + b"[" * 10_000,
        b'{"rowId":"7","a":' + b"[" * 10_000 + b"\xff" + b"]" * 10_000 + b"}",
        b'{"rowId":"7","a":' + b'{"a":' * 10_000 + b"NaN" + b"}" * 10_000 + b"}",
    ],
    ids=lambda broken: f"{len(broken)} bytes {broken[:60]!r} {broken[-20:]!r}",
)
def test_a_row_whose_structure_is_in_doubt_is_set_aside(broken: bytes) -> None:
    """Single quotes, missing quotes, two values where one belongs: no guess is made."""
    assert isinstance(parse_line(broken), Rejected)


def test_nesting_of_ten_thousand_levels_says_what_is_wrong() -> None:
    """Valid or not, it is too deep."""
    deep = b'{"rowId":"7","a":' + b"[" * 10_000 + b"]" * 10_000 + b"}"
    assert parse_line(deep) == Rejected("the row is nested too deeply", 7)


def test_a_message_with_a_bad_byte_is_a_message() -> None:
    """The upstream's error must not become a row that is set aside (H2)."""
    assert parse_line(b'"limit trop \xe9lev\xe9"') == Message("limit trop \ufffdlev\ufffd")


def test_one_line_may_have_every_fault_at_once() -> None:
    """Also beside notes whose quotes are not escaped (H1)."""
    whole = (
        BOM
        + b'{"rowId":"7","c_a":"\t\xff\\q\\ud800","c_n":NaN,"notes":"[{"note": "say "hi"\t\xe9 NaN", "createDatetime":'
        b' "2023-01-01 09:00:00"}]","c_b":[007,"\x01"],"leadScore":Infinity}\0'
    )
    row = parse_line(whole)
    assert isinstance(row, Row)
    assert row.repaired
    assert row.columns == {
        "rowId": "7",
        "c_a": "\t\ufffd\\q\ufffd",
        "c_n": None,
        "notes": '[{"note": "say "hi"\t\ufffd NaN", "createDatetime": "2023-01-01 09:00:00"}]',
        "c_b": ["007", "\x01"],
        "leadScore": None,
    }


def test_a_bom_costs_no_neighbour_its_row() -> None:
    """At the start of a body, of any line, before a message, or alone: each line stays a line of its own."""
    rows = [b'{"rowId":"%d"}' % n for n in range(1, 5)]
    body = (
        BOM
        + rows[0]
        + b"\n"
        + BOM
        + rows[1]
        + b"\r\n"
        + b'{"rowId":"9","cut":"\n'
        + BOM
        + rows[2]
        + b"\n"
        + rows[3]
        + b"\n"
    )
    lines, truncated = split_lines(body)
    assert ([each for each in lines if b"cut" not in each], truncated) == (rows, False)
    assert split_lines(BOM + b"\n") == ([], False)
    assert split_lines(BOM) == ([], False)
    assert split_lines(BOM + b'"Too many rows"\n') == ([b'"Too many rows"'], False)
    assert split_lines(BOM + rows[0]) == ([rows[0]], True)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(
    columns=st.dictionaries(st.text(), values, max_size=4), ascii_only=st.booleans(), indent=st.sampled_from([None, 1])
)
@settings(max_examples=200)
def test_a_valid_row_is_never_repaired(columns: dict[str, Any], ascii_only: bool, indent: int | None) -> None:
    """Whatever is JSON is read as it stands, and comes out of a repair just as it was."""
    text = json.dumps({"rowId": "7"} | columns, ensure_ascii=ascii_only, indent=indent).encode()
    row = parse_line(text)
    if isinstance(row, Row):
        assert not row.repaired
    read = repair(text)
    assert read is not None
    assert (read[0], read[1]) == (text.strip(), decode(text))


@given(
    good=st.dictionaries(st.text(min_size=1), st.text(), max_size=3),
    bad=st.binary(max_size=6),
    at=st.integers(min_value=0),
)
@example(good={"a": "\\"}, bad=b"\xff", at=20)
@settings(max_examples=300)
def test_a_repaired_row_can_be_written_and_read_again(good: dict[str, str], bad: bytes, at: int) -> None:
    """Whatever bytes get into a line: it is set aside, or what comes out of it is valid JSON with the same rowId."""
    whole = msgspec.json.encode({"rowId": "7"} | good)
    at = 12 + at % (len(whole) - 11)
    row = parse_line(whole[:at] + bad + whole[at:])
    assert isinstance(row, Row | Rejected)
    if isinstance(row, Row):
        written = encode(row.columns)
        assert written.decode("utf-8", "strict")
        again = json.loads(written, parse_constant=lambda _: math.nan)
        assert again == json.loads(encode(decode(written)))
        assert row.row_id == 7


@given(text=st.text(), bad=st.lists(st.binary(min_size=1, max_size=2), max_size=3))
@settings(max_examples=200)
def test_bytes_in_a_text_that_break_nothing_else_are_always_repaired(text: str, bad: list[bytes]) -> None:
    """Unless they are quotes or backslashes, which can end a text: then the row may be set aside, and never more."""
    inner = json.dumps(text, ensure_ascii=False)[1:-1].encode() + b"".join(bad)
    if not any(mark in part for part in bad for mark in (b'"', b"\\", b"\n")):
        row = parse_line(line(b'"' + inner + b'"'))
        assert isinstance(row, Row)
        assert row.columns["callDuration"] == "61"
        assert row.columns["c_x"].startswith(text)


def test_broken_tells_what_decoding_can_raise() -> None:
    """Nothing else than these comes out of any bytes."""
    for text in (b"1" * 5000, b"1e99999999999999999999", b'"\xff"', rb'"\ud800"', b"NaN", b"[" * 100_000):
        with pytest.raises(BROKEN):
            decode(text)
