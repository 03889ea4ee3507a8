"""Repair: a line that is nearly JSON made into JSON, where there is no doubt what it says.

Visitors and operators can write into a row's texts, so one bad byte must not cost an event. Only the inside of
texts and numbers is repaired, never the structure: a line that is no JSON object afterwards is put aside. A line that
is valid is never touched, because only lines that could not be decoded come here.
"""

import re
from typing import Any

from relay.domain.escaping_notes import escape_notes
from relay.domain.json_text import BROKEN, decode

BOM = "\ufeff"
REPLACEMENT = "\ufffd"
"""Stands for what was no character, as in most decoders."""

_CESU = re.compile(rb"\xed[\xa0-\xaf][\x80-\xbf]\xed[\xb0-\xbf][\x80-\xbf]")
"""A character beyond U+FFFF as two surrogates of three bytes each: how CESU-8 (Java, MySQL) writes it."""
_NUMBER = r"-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,30})?"
_PLAIN = rf'[\s\[\]{{}},:]++|"[^"\\\x00-\x1f]*+"|(?:true|false|null|{_NUMBER})(?=[\s\[\]{{}},:]|\Z)'
_PART = re.compile(rf'(?:{_PLAIN})++|"(?P<text>(?:[^"\\]++|\\.)*+)(?P<end>"?)|(?P<word>[^\s"\[\]{{}},:]++)', re.DOTALL)
"""What JSON consists of. Nothing is tried twice: a text without an end reaches to the end of the line."""
_PAIR = r"u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_GOOD = rf'[^\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u(?![dD][89a-fA-F])[0-9a-fA-F]{{4}}|{_PAIR})'
_INSIDE = re.compile(rf"(?:{_GOOD})++|(?P<control>[\x00-\x1f])|\\(?P<lone>u[0-9a-fA-F]{{4}})|\\(?P<bad>)", re.DOTALL)
"""The parts of a text: good characters, a raw control character, half of a surrogate pair, a backslash for itself."""
_CONTROLS = {"\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}
_NO_NUMBER = re.compile(r"[+-]?(?:nan|inf(?:inity)?)", re.IGNORECASE)
_DIGITS = re.compile(r"[+-]?\.?[0-9][0-9.eE+-]*+")
"""What begins like a number. JSON knows no leading zeros, plus signs or bare points, and the relay no 5,000 digits."""


def repair(line: bytes) -> tuple[bytes, Any] | None:
    r"""A line that could not be decoded, as JSON, and what it says; None if it can't be repaired without doubt.

    >>> repair(b'{"rowId":"1","c_x":"a\tb\xff","c_y":NaN}')
    (b'{"rowId":"1","c_x":"a\\tb\xef\xbf\xbd","c_y":null}', {'rowId': '1', 'c_x': 'a\tb�', 'c_y': None})
    """
    text = _text(line)
    if (repaired := _fixed(text)) is not None and (read := _read(repaired)) is not None:
        return read
    escaped = escape_notes(text.encode(), fix=_fixed)
    return None if escaped is None else _read(escaped.decode())


def _text(line: bytes) -> str:
    """The line as text, with replacement characters for bytes that are no UTF-8, and without what surrounds a row."""
    line = _CESU.sub(lambda pair: pair[0].decode("utf-8", "surrogatepass").encode("utf-16", "surrogatepass")
                     .decode("utf-16").encode(), line)  # fmt: skip
    return line.decode("utf-8", "replace").strip(BOM + "\0 \t\r\n")


def _read(text: str) -> tuple[bytes, Any] | None:
    try:
        value = decode(text)
    except BROKEN:
        return None
    return (text.encode(), value) if type(value) in (dict, str) else None


def _fixed(text: str) -> str | None:
    """JSON, or a piece of it that begins and ends outside of a text; None if a text in it has no end."""
    parts = []
    for part in _PART.finditer(text):
        if part["word"] is not None:
            parts.append(_word(part["word"]))
        elif part["text"] is None:
            parts.append(part[0])
        elif part["end"]:
            parts.append(f'"{_INSIDE.sub(_inside, part["text"])}"')
        else:
            return None
    return "".join(parts)


def _inside(found: re.Match[str]) -> str:
    if found["control"] is not None:
        return _CONTROLS.get(found["control"]) or f"\\u{ord(found['control']):04x}"
    if found["lone"] is not None:
        return REPLACEMENT
    return "\\\\" if found["bad"] is not None else found[0]


def _word(word: str) -> str:
    """A bare word: null for what is not a number, and text for digits that are no number of JSON's, or of ours."""
    try:
        decode(word)
    except BROKEN:
        if _NO_NUMBER.fullmatch(word):
            return "null"
        return f'"{word}"' if _DIGITS.fullmatch(word) else word
    return word
