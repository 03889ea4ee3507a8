"""Erasing a person: which events and answers contain a phone number or the id of a visitor, and how they lose it.

Every text, number and name of a row or payload is looked at, however deep, and not only the known columns.
"""

import re
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple
from urllib.parse import unquote

from msgspec.structs import replace

from relay.domain import envelope, json_text
from relay.domain.model import Attempt, StoredEvent
from relay.errors import Fault, Invalid

Kind = Literal["phone", "visitor"]
DIGITS_LEAST = 6
"""Digits that a number must have behind the code of its country: fewer would be found in what is no phone number."""
DIGITS_MOST = 15
"""Digits of a phone number (ITU-T E.164, section 6)."""
VISITOR_LEAST = 6
VISITOR_MOST = 128
_TWO_DIGITS = (
    "20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 60 61 62 63 64 65 66"
    " 81 82 84 86 90 91 92 93 94 95 98"
)
_COUNTRY = re.compile(rf"[17]|{'|'.join(_TWO_DIGITS.split())}|\d{{3}}", re.ASCII)
"""The code of a country: of one digit, of two, or of three (ITU-T E.164, list of assigned codes)."""
_NONE_BETWEEN = str.maketrans("", "", " ().-/")
_BETWEEN = r"[\s().\-/]{0,4}"
"""What may stand between two digits."""
_FOREIGN = re.compile(rf"\+{_BETWEEN}(?:\d{_BETWEEN}){{1,3}}\Z", re.ASCII)
"""The code of another country in front of what would be the number without a code."""

_CODE_MOST = 24
"""Characters that such a code can have, with the blanks and signs between its digits."""
_WRITTEN_MOST = 64
"""Characters of a phone number as it is asked for."""


class Identity(NamedTuple):
    """Whom to erase."""

    kind: Kind
    pattern: re.Pattern[str]
    """Finds the identity in a text."""

    def is_in_text(self, text: str) -> bool:
        """Whether a text contains the identity, as it is or with the escapes of URLs.

        >>> phone("+442079460958").is_in_text("https://example.com/?from=%2B44%2020%207946%200958")
        True
        """
        return self._is_in(text) or ("%" in text and self._is_in(unquote(text)))

    def _is_in(self, text: str) -> bool:
        found = self.pattern.finditer(text)
        return any(
            not (self.kind == "phone" and _FOREIGN.search(text, max(0, each.start() - _CODE_MOST), each.start()))
            for each in found
        )


def phone(number: str) -> Identity:
    """A phone number in its international form, `+44…` or `0044…`. Raises Invalid.

    It is found with `+44`, `0044`, `44` or nothing in front, each also with the national 0, and with blanks, brackets,
    points, hyphens and slashes between its digits. Digits right before or behind it make it another number.

    >>> found = phone("+44 20 7946 0958")
    >>> [found.is_in_text(text) for text in ("02079460958", "0044 (0)20-7946-0958", "1-2079460958", "+1 207 946 0958")]
    [True, True, True, False]
    """
    if len(number) > _WRITTEN_MOST:
        raise Invalid(Fault(("body", "phone"), f"must have {_WRITTEN_MOST} characters at most"))
    digits = number.translate(_NONE_BETWEEN)
    digits = digits.removeprefix("+") if digits.startswith("+") else digits.removeprefix("00")
    is_international = number.strip().startswith(("+", "00"))
    is_number = digits.isascii() and digits.isdecimal() and digits[0] != "0" and len(digits) <= DIGITS_MOST
    if not is_international or not is_number:
        raise Invalid(Fault(("body", "phone"), "must be an international number of digits, such as +442079460958"))
    found = _COUNTRY.match(digits)
    code = found[0] if found else ""
    national = digits[len(code) :].lstrip("0")
    if len(national) < DIGITS_LEAST:
        raise Invalid(Fault(("body", "phone"), f"must have {DIGITS_LEAST} digits or more behind the country's code"))
    prefix = rf"(?:(?:\+|00)?{_BETWEEN}{_spaced(code)}{_BETWEEN})?(?:0{_BETWEEN})?"
    return Identity("phone", re.compile(rf"(?<![0-9]){prefix}{_spaced(national)}(?![0-9])"))


def visitor(name: str) -> Identity:
    """The id of a visitor (column `vid`), with upper and lower case as they are. Raises Invalid.

    >>> visitor("a1b2c3d4").is_in_text("/?vid=a1b2c3d4&x=1"), visitor("a1b2c3d4").is_in_text("a1b2c3d45")
    (True, False)
    """
    if not VISITOR_LEAST <= len(name) <= VISITOR_MOST or name != name.strip():
        raise Invalid(Fault(("body", "visitor"), f"must have {VISITOR_LEAST} to {VISITOR_MOST} characters, no blanks"))
    return Identity("visitor", re.compile(rf"(?<![A-Za-z0-9]){re.escape(name)}(?![A-Za-z0-9])"))


def is_in_event(identity: Identity, event: StoredEvent) -> bool:
    """Whether an event contains an identity: its row and what that was before, or what was posted with its names."""
    if event.post is None:
        return _is_in_json(identity, b"{" + event.body)
    return _is_in_json(identity, event.body) or any(map(identity.is_in_text, _names(event)))


def is_in_attempt(identity: Identity, attempt: Attempt) -> bool:
    """Whether what was recorded of a response contains an identity."""
    texts = (attempt.error, attempt.url, *(value for header in attempt.headers for value in header))
    return any(map(identity.is_in_text, texts)) or identity.is_in_text(attempt.body.decode("utf-8", "replace"))


def erased_event(event: StoredEvent, identity: Identity) -> StoredEvent:
    """An event without its content, and without names that contain the identity. It takes as many bytes as before."""
    without = replace(event, body=envelope.expunged(event))
    if event.post is None:
        return without

    def each(texts: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return None if texts is None else tuple(_without(text, identity) for text in texts)

    own = event.post.event_id
    post = replace(
        event.post,
        event_id=None if own is None else _without(own, identity),
        channels=each(event.post.channels),
        tags=each(event.post.tags),
    )
    return replace(without, post=post)


def erased_attempt(attempt: Attempt, identity: Identity) -> Attempt:
    """An attempt without what the receiver answered. It takes as many bytes as before."""
    return replace(
        attempt,
        headers=tuple((_without(name, identity), _blank(value)) for name, value in attempt.headers),
        body=b" " * len(attempt.body),
        error=_without(attempt.error, identity),
        url=_without(attempt.url, identity),
    )


def _spaced(digits: str) -> str:
    return _BETWEEN.join(digits)


def _names(event: StoredEvent) -> Iterator[str]:
    if event.post is not None:
        yield from filter(None, (event.post.event_id, *(event.post.channels or ()), *(event.post.tags or ())))


def _without(text: str, identity: Identity) -> str:
    return _blank(text) if identity.is_in_text(text) else text


def _blank(text: str) -> str:
    """As many bytes, so that what is counted in bytes stays right."""
    return "*" * len(text.encode())


def _is_in_json(identity: Identity, text: bytes) -> bool:
    try:
        value = json_text.decode(text)
    except json_text.BROKEN:
        return identity.is_in_text(text.decode("utf-8", "replace"))
    return any(map(identity.is_in_text, _texts(value)))


def _texts(value: Any) -> Iterator[str]:
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
