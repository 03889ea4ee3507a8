"""The lines of a page: which rows they are, which of them must be read whole, and in which parts they are taken in."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from relay.domain.parsing import Message, Row, parse_line, peek_row_id

PART_BYTES = 1 << 20
"""Of a page, judged and committed at once."""
PART_ROWS = 2_000
"""However small the rows are: what is made of each takes a kilobyte and more."""


@dataclass(slots=True)
class Line:
    """One line of a page, without what it says: as objects, a page can take thirty times its size."""

    raw: bytes
    row_id: int | None
    is_row: bool = False
    """It was read whole, and is a row."""
    reason: str = ""
    had_bom: bool = False
    """A byte order mark was dropped before it: its row counts as repaired."""


def read_lines(lines: Sequence[bytes], *, had_bom: bool = False) -> list[Line]:
    """Find each line's rowId, reading only those whole that do not begin with it. `had_bom` is the page's."""
    found: list[Line] = []
    for raw in lines:
        line = Line(raw, peek_row_id(raw), had_bom=had_bom and not found)
        if line.row_id is None:
            read(line)
        found.append(line)
    return found


def in_parts(lines: Sequence[tuple[int, Line]]) -> Iterator[list[tuple[int, Line]]]:
    """The rows of a page in parts, each small enough to be read whole: as objects they take many times the memory."""
    part: list[tuple[int, Line]] = []
    size = 0
    for each in lines:
        if part and (size + len(each[1].raw) > PART_BYTES or len(part) >= PART_ROWS):
            yield part
            part, size = [], 0
        part.append(each)
        size += len(each[1].raw)
    if part:
        yield part


def first_readable(lines: Sequence[Line]) -> dict[int, Line]:
    """The line of each rowId: the first (H16), unless that can't be read and another one may be."""
    first: dict[int, Line] = {}
    for line in lines:
        if line.row_id is None:
            continue
        kept = first.setdefault(line.row_id, line)
        if kept is not line and kept.raw != line.raw and (kept.reason or (not kept.is_row and read(kept) is None)):
            first[line.row_id] = line
    return first


def read(line: Line) -> Row | None:
    """Read a line whole; None: it is no row, and the line says why."""
    parsed = parse_line(line.raw)
    if isinstance(parsed, Row):
        line.is_row, line.row_id = True, parsed.row_id
        return msgspec.structs.replace(parsed, repaired=True) if line.had_bom else parsed
    line.reason = "a bare message between rows" if isinstance(parsed, Message) else parsed.reason
    line.row_id = None if isinstance(parsed, Message) else parsed.row_id
    return None
