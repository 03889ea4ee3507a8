"""From bytes to rows: one line of the upstream's NDJSON is a row, a message, or something to be put aside.

A row is an open set of columns (hazard H9), so it becomes a dict. Whatever comes is hostile until checked: the size of
a line, its nesting and its rowId have limits.
"""

import json
import re
from typing import Any

import msgspec

from relay.domain.json_text import BROKEN, decode
from relay.domain.repairing import repair

MAX_LINE_BYTES = 1 << 20
"""A documented row has 2.2 kB; a mebibyte leaves room for long notes and many custom fields."""
MAX_ROW_ID = 2**63 - 1
MAX_DEPTH = 32
_ROW_ID = re.compile(rb'\s*\{\s*"rowId"\s*:\s*(?:"([1-9][0-9]{0,18})"|([1-9][0-9]{0,18}))\s*[,}]')


class Row(msgspec.Struct, frozen=True):
    """A line that is a record. Columns are as they came, but that numbers with a point are Decimals."""

    row_id: int
    columns: dict[str, Any]
    repaired: bool = False
    """True if the line was not JSON and had to be repaired first: see relay.domain.repairing, and hazard H1."""


class Rejected(msgspec.Struct, frozen=True):
    """A line that cannot be used. `reason` never quotes it; `row_id` is what its beginning says, if it does."""

    reason: str
    row_id: int | None


class Message(msgspec.Struct, frozen=True):
    """A line that is a bare string: the upstream's way to report an error (hazard H2). Never a row."""

    text: str


def parse_line(line: bytes) -> Row | Rejected | Message:
    """Read one line, without its line break.

    Strict JSON first, then what can be repaired without doubt (relay.domain.repairing), else the line is Rejected. Of a
    key that stands twice the last value counts, as in most JSON readers; but a line with two different rowIds is
    nobody's row.
    """
    if len(line) > MAX_LINE_BYTES:
        return Rejected("the line is too long", peek_row_id(line))
    repaired = False
    try:
        value = decode(line)
    except RecursionError:
        return Rejected("the row is nested too deeply", peek_row_id(line))
    except BROKEN:
        read = repair(line)
        if read is None:
            return Rejected("the line is not JSON", peek_row_id(line))
        (line, value), repaired = read, True
    if type(value) is dict:
        return _row(line, value, repaired=repaired)
    return Message(value) if type(value) is str else Rejected("the line is not a JSON object", None)


def peek_row_id(line: bytes) -> int | None:
    """The rowId that a line begins with, without reading the rest; None if it begins otherwise."""
    found = _ROW_ID.match(line)
    number = int(found[1] or found[2]) if found else 0
    return number if 0 < number <= MAX_ROW_ID else None


def read_row_id(value: object) -> int | None:
    """A rowId column's number, 1 to 2^63-1, written as text or as a number (H8, H33); None if it is neither."""
    if type(value) is str:
        if len(value) > 19 or not value.isdecimal() or not value.isascii() or value[0] == "0":
            return None
        value = int(value)
    return value if type(value) is int and 0 < value <= MAX_ROW_ID else None


def _row(line: bytes, columns: dict[str, Any], *, repaired: bool) -> Row | Rejected:
    row_id = read_row_id(columns.get("rowId"))
    if row_id is None:
        return Rejected("the row has no rowId from 1 to 2^63-1", None)
    if peek_row_id(line) != row_id and line.count(b'"rowId"') > 1 and _stands_twice(line):
        return Rejected("the row has two different rowIds", None)
    # A line with few brackets is not deep: most rows have none but the first, which two quick searches prove.
    if (b"[" in line or line.find(b"{", 1) > 0) and _brackets(line) > MAX_DEPTH and _depth(columns) > MAX_DEPTH:
        return Rejected("the row is nested too deeply", row_id)
    return Row(row_id, columns, repaired)


def _stands_twice(line: bytes) -> bool:
    """Whether rowId is twice a key of the row itself, and not merely text in one of its values."""
    twice: list[str] = []

    def _note(pairs: list[tuple[str, Any]]) -> None:
        # Objects end from the inside out: the last list is the row's own.
        twice[:] = [key for key, _ in pairs if key == "rowId"]

    try:
        json.loads(line, object_pairs_hook=_note)
    except (ValueError, RecursionError):
        return True
    return len(twice) > 1


def _brackets(line: bytes) -> int:
    return line.count(b"[") + line.count(b"{")


def _depth(value: object) -> int:
    depth, level = 0, [value]
    while level and depth <= MAX_DEPTH:
        depth += 1
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer if isinstance(outer, list) else ())
            if isinstance(inner, dict | list)
        ]
    return depth
