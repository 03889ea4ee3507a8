"""What a text must not show wherever it is written down for people: phone numbers, control characters, its own length.

For the log, and for what is kept of errors. Every text is cut first, so that the patterns below meet bounded input.
"""

import re
from typing import Final

HIDDEN: Final = "••••"
LONGEST: Final = 2000
"""Characters of one text."""
_WORD: Final = 256
"""How much of the last word goes with what is cut off, lest half of a number or of a password remains."""

# What has many digits and is no phone number: UUIDs, times, addresses, our ids, digests.
_KEPT = (
    r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b",
    r"\b(?:19|20)\d\d-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])(?!-?\d)"
    r"(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:\d\d)?(?!\d))?",
    r"(?<![\d.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?::\d{1,5})?(?![\d.])",
    r"\b(?:msg|ep|app|atmpt|key|req)_[0-9A-Za-z]{1,64}",
    r"\b(?=[0-9]{0,127}[a-f])[0-9a-f]{32,128}\b",
)
# Nine digits or more, as people write numbers, whatever characters surround them.
_PHONE = r"\+?\(?\d(?:[ ()/-]{0,2}\d){8,30}|\+?\(?\d{2,4}(?:\)[ .-]?|[ .-])\d{3,4}\.\d{3,4}(?:\.\d{2,4})?"
_USERINFO = re.compile(r"://[^/@\s]{0,2000}\Z")
"""What may be the beginning of a name and password in a URL."""
_NINE = re.compile(r"\d(?:[ ()./-]{0,2}\d){8}")
"""What most texts do not have: then nothing else needs to be looked for."""
_NUMBERS = re.compile(rf"(?P<kept>{'|'.join(_KEPT)})|(?P<phone>{_PHONE})")


def masked_numbers(text: str) -> str:
    """The text with its phone numbers but for their last two digits.

    >>> masked_numbers("tel:+447946000958 at 2026-11-24 03:21:51")
    'tel:••••58 at 2026-11-24 03:21:51'
    """
    if _NINE.search(text) is None:
        return text
    return _NUMBERS.sub(lambda found: found[0] if found["phone"] is None else HIDDEN + _digits(found[0])[-2:], text)


def cut(text: str, most: int = LONGEST) -> str:
    """The text, or its beginning up to the end of a word and how long it is.

    >>> cut("short"), cut("a long text", most=8)
    ('short', 'a long… (11 characters)')
    """
    if len(text) <= most:
        return text
    begin = text[:most]
    last = max(begin.rfind(mark) for mark in " \t\n")
    begin = _USERINFO.sub("", begin[: max(last, most - _WORD, 0)])
    return f"{begin}… ({len(text)} characters)"


def printable(text: str) -> str:
    r"""The text with what can't be printed escaped: control characters, surrogates, what turns the reading direction.

    >>> printable("a\x1b[31m\nb")
    'a\\x1b[31m\\nb'
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def _digits(text: str) -> str:
    return "".join(filter(str.isdigit, text))
