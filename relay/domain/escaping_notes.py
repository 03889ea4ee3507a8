"""The one fault of the upstream's JSON that is known and can be undone: `notes` whose quotes are not escaped (H1)."""

import json
import re
from collections.abc import Callable
from itertools import islice

from relay.domain.json_text import BROKEN, decode

_NOTES = re.compile(r'"notes"\s{0,16}:\s{0,16}"(?=\[)')
_END = re.compile(r'\](?="\s{0,16}[,}])')
_DATED_END = re.compile(r'"createDatetime"\s{0,16}:\s{0,16}"[^"]{0,64}"\s{0,16}\}\s{0,16}\](?="\s{0,16}[,}])')
_MAX_ENDS = 64
"""How many ends are tried: each try reads the whole line."""
_MAX_READ = 4 << 20
"""How many characters are read in all, so that a long line has fewer ends."""
_INNER = json.JSONDecoder(strict=False)

Fix = Callable[[str], str | None]
"""Repairs JSON around the notes; None: it can't."""


def escape_notes(line: bytes, *, fix: Fix = str) -> bytes | None:
    r"""Escape the text of `notes`; None if that does not make the line one row, beyond doubt.

    The text is a JSON list. Where its own quotes are escaped inside, its end is exact; where an operator's quotes
    stand bare, the end is the place that makes the whole line valid, if there is just one such place. `fix` gets
    the text before and behind the notes.

    >>> escape_notes(b'{"rowId":"1","notes":"[{"note": "hi"}]","rec":"0"}')
    b'{"rowId":"1","notes":"[{\\"note\\": \\"hi\\"}]","rec":"0"}'
    """
    try:
        text = line.decode()
    except UnicodeDecodeError:
        return None
    opening = _NOTES.search(text)
    if opening is None:
        return None
    begin = opening.end()
    before = fix(text[: begin - 1])
    if before is None:
        return None
    for ends in (_exact_ends(text, begin), _ends(_DATED_END, text, begin), _ends(_END, text, begin)):
        if ends is None:
            return None
        repaired = [row for end in ends if _is_object(row := _escape(text, begin, end, before=before, fix=fix))]
        if repaired:
            return repaired[0] if len(repaired) == 1 else None
    return None


def _exact_ends(text: str, begin: int) -> list[int]:
    try:
        return [_INNER.raw_decode(text, begin)[1]]
    except (ValueError, RecursionError):
        return []


def _ends(pattern: re.Pattern[str], text: str, begin: int) -> list[int] | None:
    """Where the text may end; None: in too many places to try."""
    most = min(_MAX_ENDS, max(2, _MAX_READ // len(text)))
    ends = [found.end() for found in islice(pattern.finditer(text, begin), most + 1)]
    return ends if len(ends) <= most else None


def _escape(text: str, begin: int, end: int, *, before: str, fix: Fix) -> bytes | None:
    behind = fix(text[end + 1 :])
    return None if behind is None else f"{before}{json.dumps(text[begin:end], ensure_ascii=False)}{behind}".encode()


def _is_object(line: bytes | None) -> bool:
    try:
        return line is not None and type(decode(line)) is dict
    except BROKEN:
        return False
