"""Spellings of phone numbers and ids of visitors: which ones a text has.

A spelling of a number is its digits alone. What a text has is compared with known spellings, or with their hashes.
"""

import re
from collections.abc import Callable, Collection, Iterator
from functools import lru_cache
from typing import Any, Literal, NamedTuple, TypeVar
from urllib.parse import unquote

from relay.domain import json_text

T = TypeVar("T")
Kind = Literal["phone", "visitor"]
Known = Callable[[Kind, str], T | None]
"""What is known of a spelling; None: nothing."""

BETWEEN = r"[\s().\-/]{0,4}"
"""What may stand between two digits."""
_DIGITS = re.compile(r"[0-9]++")
_WORD = re.compile(r"[A-Za-z0-9]++")
_FOREIGN = re.compile(rf"\+{BETWEEN}(?:\d{BETWEEN}){{1,3}}\Z", re.ASCII)
"""The code of another country in front of what would be the number without a code."""
_CODE_MOST = 24
"""Characters that such a code can have, with the blanks and signs between its digits."""


class Lengths(NamedTuple):
    """How long the spellings are that are looked for: others need not be compared."""

    numbers: frozenset[int] = frozenset()
    words: frozenset[int] = frozenset()
    """Of the ids of visitors that have only letters and digits."""
    names: frozenset[int] = frozenset()
    """Of other ids of visitors."""


def lengths_of(kind: Kind, spellings: Collection[str]) -> Lengths:
    """The lengths of some spellings of one identity."""
    found = frozenset(map(len, spellings))
    if kind == "phone":
        return Lengths(numbers=found)
    are_words = all(map(_WORD.fullmatch, spellings))
    return Lengths(words=found) if are_words else Lengths(names=found)


def found_in_json(content: bytes, lengths: Lengths, known: Known[T]) -> Iterator[T]:
    """What is known of the spellings in all texts, numbers and names of JSON; of a text, if it is no JSON."""
    # Without escapes, JSON shows its texts as they are, and its marks separate one from the other.
    if b"\\" not in content:
        yield from found_in(content.decode("utf-8", "replace"), lengths, known)
        return
    try:
        value = json_text.decode(content)
    except json_text.BROKEN:
        yield from found_in(content.decode("utf-8", "replace"), lengths, known)
        return
    for text in texts_of(value):
        yield from found_in(text, lengths, known)


def found_in(text: str, lengths: Lengths, known: Known[T]) -> Iterator[T]:
    """What is known of the spellings in a text, as it is and with the escapes of URLs."""
    for each in (text, unquote(text)) if "%" in text else (text,):
        if lengths.numbers:
            yield from _numbers(each, lengths.numbers, known)
        if lengths.words:
            yield from _words(each, lengths.words, known)
        if lengths.names:
            yield from _names(each, lengths.names, known)


def texts_of(value: Any) -> Iterator[str]:
    """All texts, numbers and names of a JSON value."""
    left = [value]
    while left:
        each = left.pop()
        if isinstance(each, dict):
            yield from each
            left += each.values()
        elif isinstance(each, list):
            left += each
        elif each is not None and not isinstance(each, bool):
            yield str(each)


def _numbers(text: str, lengths: Collection[int], known: Known[T]) -> Iterator[T]:
    """Digits with little between them; right before and behind a number, there is no further digit."""
    most = max(lengths)
    for run in _runs(min(lengths)).finditer(text):
        groups = [each.span() for each in _DIGITS.finditer(text, run.start(), run.end())]
        for first, (start, _) in enumerate(groups):
            digits = ""
            for at in range(first, len(groups)):
                begin, end = groups[at]
                digits += text[begin:end]
                if len(digits) > most:
                    break
                what = known("phone", digits) if len(digits) in lengths else None
                if what is not None and not _is_foreign(text, start):
                    yield what


@lru_cache(maxsize=64)
def _runs(least: int) -> re.Pattern[str]:
    """Runs of so many digits, or more, up to their ends."""
    return re.compile(rf"[0-9](?:{BETWEEN}[0-9]){{{least - 1},}}+")


def _is_foreign(text: str, start: int) -> bool:
    return _FOREIGN.search(text, max(0, start - _CODE_MOST), start) is not None


def _words(text: str, lengths: Collection[int], known: Known[T]) -> Iterator[T]:
    for length in lengths:
        for word in _words_of(length).findall(text):
            if (what := known("visitor", word)) is not None:
                yield what


@lru_cache(maxsize=256)
def _words_of(length: int) -> re.Pattern[str]:
    return re.compile(rf"(?<![A-Za-z0-9])[A-Za-z0-9]{{{length}}}(?![A-Za-z0-9])")


def _names(text: str, lengths: Collection[int], known: Known[T]) -> Iterator[T]:
    """Texts that begin and end as words do, whatever stands within them."""
    starts, ends = set[int](), list[int]()
    for word in _WORD.finditer(text):
        starts.add(word.start())
        ends.append(word.end())
    for end in ends:
        for length in lengths:
            if end - length in starts and (what := known("visitor", text[end - length : end])) is not None:
                yield what
