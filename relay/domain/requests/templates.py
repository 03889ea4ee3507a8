"""URLs with placeholders, such as `https://crm.example/Task/{key}`. A placeholder stands in the path or the query."""

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

PLACEHOLDER = re.compile(r"\{([A-Za-z][A-Za-z0-9_]{0,63})\}")
OWN = ("key", "captured", "lookup")
"""Placeholders that need no expression: the key of the row, what was captured, and the result of the lookup."""
LONGEST_VALUE = 512
MAX_URL_CHARS = 2048
_REST = re.compile(r"\A[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")
_DOTS = re.compile(r"(?:\.|%2e){1,2}", re.IGNORECASE)


class Unfilled(Exception):  # noqa: N818 - named for what happened, like relay.errors
    """A placeholder has no value that a URL can hold. The message names it, and not the value."""


def names_in(url: str) -> list[str]:
    """The names of a URL's placeholders, in order.

    >>> names_in("https://crm.example/{a}?b={c}")
    ['a', 'c']
    """
    return PLACEHOLDER.findall(url)


def faults_in(url: str, known: Mapping[str, Any], *, own: tuple[str, ...]) -> Iterator[str]:
    """What is wrong with the placeholders of a URL. `own` are those that need no expression here."""
    start = _REST.match(url)
    if start and PLACEHOLDER.search(start[0]):
        yield "must have its placeholders in the path or the query, because the host is fixed"
    for name in dict.fromkeys(names_in(url)):
        if name not in known and name not in own:
            yield f"has the placeholder `{{{name}}}`: give its expression in `urlParameters`, or use {_listed(own)}"


def fill(url: str, values: Mapping[str, Any]) -> str:
    """The URL with the values in the places of the placeholders, percent-encoded. Raises Unfilled.

    A name without a value stays as it is: URLs of earlier releases can have braces of their own.

    >>> fill("https://crm.example/Task/{key}?n={n}", {"key": "1-2", "n": "a/b"})
    'https://crm.example/Task/1-2?n=a%2Fb'
    """
    filled = PLACEHOLDER.sub(lambda found: _text(found[1], values) if found[1] in values else found[0], url)
    if len(filled) > MAX_URL_CHARS:
        raise Unfilled(
            f"the URL has {len(filled)} characters with its placeholders filled, and may have {MAX_URL_CHARS}"
        )
    return filled


def _text(name: str, values: Mapping[str, Any]) -> str:
    value = values[name]
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise Unfilled(f"the placeholder `{{{name}}}` needs a text or an integer, and has {_kind(value)}")
    text = str(value)
    if not text or len(text) > LONGEST_VALUE:
        raise Unfilled(f"the placeholder `{{{name}}}` needs 1 to {LONGEST_VALUE} characters, and has {len(text)}")
    if _DOTS.fullmatch(text):
        raise Unfilled(f"the placeholder `{{{name}}}` has `{text}`, which would change the path")
    try:
        return quote(text, safe="")
    except UnicodeEncodeError:
        raise Unfilled(f"the placeholder `{{{name}}}` has a character that is none") from None


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case float():
            return "a decimal number"
    return "a list" if isinstance(value, list) else "an object"


def _listed(names: tuple[str, ...]) -> str:
    return " or ".join(f"`{{{name}}}`" for name in names)
