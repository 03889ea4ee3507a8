"""The lines of a page: which rows they are, and in which parts ingest takes them."""

import asyncio
from collections.abc import Iterator, Sequence

import msgspec

from relay.domain.parsing import Message, Row, parse_line, peek_row_id

PART_BYTES = 1 << 19
PART_ROWS = 250
"""Ingest reads, judges and commits so much of a page at once: a few milliseconds of work each."""
LINES_BETWEEN_PAUSES = 500
BYTES_BETWEEN_PAUSES = 1 << 16
"""After so many lines, or so many bytes of lines that were decoded, other tasks of the process get their turn."""


class Line(msgspec.Struct):
    """One line of a page, without what it says: as objects, a page can take thirty times its size."""

    raw: bytes
    row_id: int | None
    is_row: bool = False
    """Whether the line was decoded, and is a row."""
    reason: str = ""
    """Why it is set aside."""
    had_bom: bool = False
    """A byte order mark was dropped before it: its row counts as repaired."""


async def read_lines(lines: Sequence[bytes], *, had_bom: bool = False) -> list[Line]:
    """Find the rowId of each line. Only lines that do not begin with it are decoded. `had_bom` is the page's.

    Other tasks of the process get their turn in between.
    """
    found: list[Line] = []
    decoded = 0
    for at, raw in enumerate(lines):
        if not at % LINES_BETWEEN_PAUSES or decoded > BYTES_BETWEEN_PAUSES:
            decoded = 0
            await asyncio.sleep(0)
        line = Line(raw, peek_row_id(raw), had_bom=had_bom and not found)
        if line.row_id is None:
            read(line)
            decoded += len(raw)
        found.append(line)
    return found


def in_parts(lines: Sequence[tuple[int, Line]]) -> Iterator[list[tuple[int, Line]]]:
    """The rows of a page in parts, each small enough to be decoded whole: as objects they take ten times the memory."""
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


async def first_readable(lines: Sequence[Line]) -> dict[int, Line]:
    """The line of each rowId: the first (H16), unless that can't be read and another one may be."""
    first: dict[int, Line] = {}
    decoded = 0
    for line in lines:
        if line.row_id is None:
            continue
        kept = first.setdefault(line.row_id, line)
        if kept is line or kept.raw == line.raw:
            continue
        if decoded > BYTES_BETWEEN_PAUSES:
            decoded = 0
            await asyncio.sleep(0)
        decoded += 0 if kept.is_row else len(kept.raw)
        if kept.reason or not (kept.is_row or read(kept)):
            first[line.row_id] = line
    return first


def read(line: Line) -> bool:
    """Decode a line; False: it is not a row, and the line says why."""
    parsed = parse_line(line.raw)
    if isinstance(parsed, Row):
        line.is_row, line.row_id = True, parsed.row_id
        return True
    line.reason = "a bare message between rows" if isinstance(parsed, Message) else parsed.reason
    line.row_id = None if isinstance(parsed, Message) else parsed.row_id
    return False
