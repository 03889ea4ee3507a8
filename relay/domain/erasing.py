"""Erasing a person: which events and answers contain a phone number or the id of a visitor, and how they lose it.

Every text, number and name of a row or payload is looked at, however deep, and not only the known columns.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from msgspec.structs import replace

from relay.domain import envelope, json_text
from relay.domain.model import Attempt, StoredEvent
from relay.domain.spellings import Kind, Lengths, found_in, found_in_json, lengths_of
from relay.errors import Fault, Invalid

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
WRITTEN_MOST = 64
"""Characters of a phone number as it is asked for."""
_NAME = re.compile(rf"[A-Za-z0-9].{{{VISITOR_LEAST - 2},{VISITOR_MOST - 2}}}[A-Za-z0-9]")


class Identity(NamedTuple):
    """Whom to erase."""

    kind: Kind
    spellings: frozenset[str]
    """Of a phone number, its digits with and without the codes in front of them; of a visitor, the id."""

    @property
    def lengths(self) -> Lengths:
        """How long the spellings are."""
        return lengths_of(self.kind, self.spellings)

    def is_in_text(self, text: str) -> bool:
        """Whether a text contains the identity, as it is or with the escapes of URLs.

        >>> phone("+442079460958").is_in_text("https://example.com/?from=%2B44%2020%207946%200958")
        True
        """
        return any(found_in(text, self.lengths, self._known))

    def is_in_json(self, content: bytes) -> bool:
        """Whether a text, number or name of JSON contains the identity; or a text, if it is no JSON."""
        return any(found_in_json(content, self.lengths, self._known))

    def _known(self, _: Kind, spelling: str) -> bool | None:
        return spelling in self.spellings or None


def phone(number: str) -> Identity:
    """A phone number in its international form, `+44…` or `0044…`. Raises Invalid.

    It is found with `+44`, `0044`, `44` or nothing in front, each also with the national 0, and with blanks, brackets,
    points, hyphens and slashes between its digits. Digits right before or behind it make it another number.

    >>> found = phone("+44 20 7946 0958")
    >>> [found.is_in_text(text) for text in ("02079460958", "0044 (0)20-7946-0958", "1-2079460958", "+1 207 946 0958")]
    [True, True, True, False]
    """
    if len(number) > WRITTEN_MOST:
        raise Invalid(Fault(("body", "phone"), f"must have {WRITTEN_MOST} characters at most"))
    digits = number.translate(_NONE_BETWEEN)
    digits = digits.removeprefix("+") if digits.startswith("+") else digits.removeprefix("00")
    is_international = number.strip().startswith(("+", "00"))
    is_number = digits.isascii() and digits.isdecimal() and digits[0] != "0" and len(digits) <= DIGITS_MOST
    if not is_international or not is_number:
        raise Invalid(Fault(("body", "phone"), "must be an international number of digits, such as +441632960001"))
    found = _COUNTRY.match(digits)
    code = found[0] if found else ""
    national = digits[len(code) :].lstrip("0")
    if len(national) < DIGITS_LEAST:
        raise Invalid(Fault(("body", "phone"), f"must have {DIGITS_LEAST} digits or more behind the country's code"))
    prefixes = (f"{codes}{zero}" for codes in ("", code, f"00{code}") for zero in ("", "0"))
    return Identity("phone", frozenset(prefix + national for prefix in prefixes))


def visitor(name: str) -> Identity:
    """The id of a visitor (column `vid`), with upper and lower case as they are. Raises Invalid.

    >>> visitor("a1b2c3d4").is_in_text("/?vid=a1b2c3d4&x=1"), visitor("a1b2c3d4").is_in_text("a1b2c3d45")
    (True, False)
    """
    if len(name) > VISITOR_MOST or not _NAME.fullmatch(name):
        size = f"must have {VISITOR_LEAST} to {VISITOR_MOST} characters"
        raise Invalid(Fault(("body", "visitor"), f"{size}, and begin and end with a letter or digit"))
    return Identity("visitor", frozenset((name,)))


class Sought(NamedTuple):
    """What is looked for in what is kept."""

    identity: Identity
    until_ms: int
    """Events of later rows and posts are new data, and stay."""
    dry_run: bool = False
    """Only count."""


def is_by(event: StoredEvent, at_ms: int) -> bool:
    """Whether what an event reports had happened by a time: its row, or that it was posted.

    A row without a time that can be read is taken for an old one.
    """
    if event.post is not None:
        return event.stored_at_ms <= at_ms
    happened = _happened_ms(event)
    return happened is None or happened <= at_ms


def _happened_ms(event: StoredEvent) -> int | None:
    """The own time of a row, which the events of its changes have, too."""
    try:
        trigger: Mapping[str, Any] = envelope.decode(event.body)["trigger"]
        happened = datetime.fromisoformat(trigger["triggerDatetime"])
        return None if happened.tzinfo is None else round(happened.timestamp() * 1000)
    except (*json_text.BROKEN, KeyError, TypeError):
        return None


def is_in_event(identity: Identity, event: StoredEvent) -> bool:
    """Whether an event contains an identity: its row and what that was before, or what was posted with its names."""
    if event.post is None:
        # What is left of an expunged row is its rowId, and the like.
        return not envelope.is_expunged(event) and identity.is_in_json(b"{" + event.body)
    return identity.is_in_json(event.body) or any(map(identity.is_in_text, _names(event)))


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


def blanked(value: Any, identity: Identity) -> Any:
    """A JSON value without the texts, numbers and names that contain the identity."""
    if isinstance(value, dict):
        return {_without(name, identity): blanked(each, identity) for name, each in value.items()}
    if isinstance(value, list):
        return [blanked(each, identity) for each in value]
    if isinstance(value, str):
        return _without(value, identity)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return 0 if is_number and identity.is_in_text(str(value)) else value


def _names(event: StoredEvent) -> Iterator[str]:
    if event.post is not None:
        yield from filter(None, (event.post.event_id, *(event.post.channels or ()), *(event.post.tags or ())))


def _without(text: str, identity: Identity) -> str:
    return _blank(text) if identity.is_in_text(text) else text


def _blank(text: str) -> str:
    """As many bytes, so that what is counted in bytes stays right."""
    return "*" * len(text.encode())
