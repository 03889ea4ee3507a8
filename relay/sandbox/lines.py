"""Rows as lines of NDJSON: encoded once, served as they stand, and read again only where somebody must look inside."""

import re
from typing import Any

import msgspec

from relay.sandbox.columns import Row

_PAIR = re.compile(rb'"(\w+)"\s*:\s*(?:"([^"\\]*)"|(-?\d+(?:\.\d+)?))')


class Entry(msgspec.Struct, frozen=True, rename="camel"):
    """The columns of a row that say where it belongs."""

    row_id: str | int
    act: str = ""
    goal: str | int = "0"
    txc: str = ""
    goal_currency: str = ""
    call_charge: str | None = None

    @property
    def number(self) -> int:
        """Give the rowId as a number, for text would put 9 behind 10."""
        return int(self.row_id)


_entries = msgspec.json.Decoder(Entry)


def encode(row: Row, *, escaped: bool = True) -> bytes:
    """Write a row as a line, with its line-break.

    Not `escaped`: the text of `notes` stands between its quotes as it is, which is no JSON (hazard H1).
    """
    line = msgspec.json.encode(row) + b"\n"
    text = str(row.get("notes", ""))
    if escaped or '"' not in text:
        return line
    return line.replace(msgspec.json.encode(text), b'"%b"' % text.encode(), 1)


def entry(line: bytes) -> Entry:
    """Read where a line belongs, also from one that is no JSON. Raises ValueError for one without a rowId."""
    try:
        try:
            found = _entries.decode(line)
        except msgspec.MsgspecError:
            found = msgspec.convert(_pairs(line), Entry)
    except msgspec.MsgspecError:
        raise ValueError(f"a row needs a rowId: {line[:80]!r}") from None
    if not str(found.row_id).isdecimal():
        raise ValueError(f"a rowId must be a whole number: {line[:80]!r}")
    return found


def decode(line: bytes) -> Row:
    """Read a line as a row. One that is no JSON gives those of its columns that can be told apart."""
    try:
        row = json_object(line)
    except msgspec.MsgspecError:
        return _pairs(line)
    return row


def json_object(line: bytes) -> dict[str, Any]:
    """Read a line strictly. Raises msgspec.DecodeError or msgspec.ValidationError for what is no JSON object."""
    return msgspec.json.decode(line, type=dict[str, Any])


def _pairs(line: bytes) -> Row:
    return {
        name.decode(): text.decode(errors="replace")
        if not number
        else int(number)
        if number.isdigit()
        else float(number)
        for name, text, number in _PAIR.findall(line)
    }
