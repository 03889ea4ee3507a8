"""The one fault of the upstream's JSON that is known and can be undone: `notes` whose quotes are not escaped (H1)."""

import json
import re
from itertools import islice

from relay.domain.json_text import BROKEN, decode

_NOTES = re.compile(r'"notes"\s*:\s*"(?=\[)')
_END = re.compile(r'\](?="\s*[,}])')
_DATED_END = re.compile(r'"createDatetime"\s*:\s*"[^"]*"\s*\}\s*\](?="\s*[,}])')
_MAX_ENDS = 64
"""How many ends are tried: each try reads the whole line."""
_INNER = json.JSONDecoder(strict=False)


def mend(line: bytes) -> bytes | None:
    r"""Escape the text of `notes`; None if that does not make the line one row, beyond doubt.

    The text is a JSON list. Where its own quotes are escaped inside, its end is exact; where an operator's quotes
    stand bare, the end is the place that makes the whole line valid, if there is just one such place.

    >>> mend(b'{"rowId":"1","notes":"[{"note": "hi"}]","rec":"0"}')
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
    for ends in (_exact_ends(text, begin), _ends(_DATED_END, text, begin), _ends(_END, text, begin)):
        mended = [row for end in ends if _is_object(row := _escape(text, begin, end))]
        if mended:
            return mended[0] if len(mended) == 1 else None
    return None


def _exact_ends(text: str, begin: int) -> list[int]:
    try:
        return [_INNER.raw_decode(text, begin)[1]]
    except (ValueError, RecursionError):
        return []


def _ends(pattern: re.Pattern[str], text: str, begin: int) -> list[int]:
    return [found.end() for found in islice(pattern.finditer(text, begin), _MAX_ENDS)]


def _escape(text: str, begin: int, end: int) -> bytes:
    return f"{text[:begin]}{json.dumps(text[begin:end], ensure_ascii=False)[1:-1]}{text[end:]}".encode()


def _is_object(line: bytes) -> bool:
    try:
        return type(decode(line)) is dict
    except BROKEN:
        return False
