"""From a body to lines: which lines are whole, and which are pieces of one (hazards H1, H4)."""

import codecs
from collections.abc import Generator

from relay.domain.json_text import BROKEN, decode
from relay.domain.parsing import MAX_LINE_BYTES

STEP_BYTES = 256 << 10
_BRACE = ord("{")
_BREAK = rb"\n"
_BOM = b"\xef\xbb\xbf"
_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
"""Byte order marks. Those of UTF-32 come first, because one of UTF-16 begins like one of them."""


def split_lines(body: bytes) -> tuple[list[bytes], bool]:
    """The whole lines of a body, without empty ones, and whether it was cut.

    A line break ends a response (infinity-api.md 3), so a body without one at its end was cut (H4), and what stands
    behind the last break is a line only if it is valid by itself: half an object never is. A bare line break inside a
    note cuts a row in two (H1): pieces that begin like neither a row nor a message are put back together.
    """
    steps = split_in_steps(body)
    while True:
        try:
            next(steps)
        except StopIteration as ended:
            found: tuple[list[bytes], bool] = ended.value
            return found


def split_in_steps(body: bytes) -> Generator[None, None, tuple[list[bytes], bool]]:
    """`split_lines` in steps of bounded work: the caller can let other tasks run between two of them."""
    lines: list[bytes] = []
    end = body.rfind(b"\n") + 1
    at = 0
    while at < end:
        after = min(end, (body.find(b"\n", at + STEP_BYTES) + 1) or end)
        lines += [line for piece in body[at:after].split(b"\n") if (line := _trimmed(piece))]
        at = after
        yield
    if any(line[0] != _BRACE for line in lines):
        lines = _rejoin(lines)
    rest = _trimmed(body[end:])
    if rest and (len(rest) > MAX_LINE_BYTES or _kind(rest) in (dict, str)):
        # A row that is too long is set aside by its beginning: else nothing behind it would ever be read.
        lines.append(rest[: MAX_LINE_BYTES + 1])
    return lines, bool(rest)


def has_bom(body: bytes) -> bool:
    """Whether a body begins with a byte order mark of UTF-8, which `split_lines` drops.

    The event of the body's first row is marked as repaired for that. A mark before another line, as of two files in one
    body, is dropped too, without a trace: the line behind it is as it came.
    """
    return body[:64].lstrip()[:3] == _BOM


def other_encoding(body: bytes) -> str | None:
    """UTF-16 or UTF-32, if a body is in one of them: by its byte order mark, or by the NULs of its first two letters.

    The first two letters of JSON are ASCII (RFC 4627 3).
    """
    for mark, name in _MARKS:
        if body.startswith(mark):
            return name
    nuls = bytes(byte != 0 for byte in body[:8])
    if nuls in (b"\0\0\0\1\0\0\0\1", b"\1\0\0\0\1\0\0\0"):
        return "UTF-32"
    return "UTF-16" if nuls[:4] in (b"\0\1\0\1", b"\1\0\1\0") else None


def _trimmed(piece: bytes) -> bytes:
    """A line without what surrounds it; a BOM goes too, lest the line be taken for the rest of another one."""
    piece = piece.strip()
    if piece[:3] == _BOM and (line := piece[3:].lstrip())[:1] in (b"", b"{", b'"'):
        return line
    return piece


def _rejoin(lines: list[bytes]) -> list[bytes]:
    rows: list[list[bytes]] = []
    size = 0
    for line in lines:
        if rows and size + len(line) <= MAX_LINE_BYTES and _continues(rows[-1][-1], line):
            rows[-1].append(line)
            size += len(line) + len(_BREAK)
        else:
            rows.append([line])
            size = len(line)
    return [_BREAK.join(row) for row in rows]


def _continues(before: bytes, line: bytes) -> bool:
    """Whether `line` is the rest of a row that `before` began, or went on with."""
    return line[0] != _BRACE and before[-1:] != b"}" and _kind(before) is not str and _kind(line) is not str


def _kind(line: bytes) -> type | None:
    """What a line is by itself; None if it is not JSON."""
    try:
        return type(decode(line))
    except BROKEN:
        return None
