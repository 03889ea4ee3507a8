"""A reference: the entry of one delivery in a lane: `a{number}:{type}:{tag}:{attempt}:{crashes}:{by_hand}`.

The leading letter is the version of the form: `a`, or `u` where the endpoint's filter has not been asked yet. The last
three are left out where they say nothing. Attempt `1` is a first attempt that was held until its time, `0` one that was
not. Numbers can be given twice, when a server loses its last second or a source is created again, so the tag says which
event is meant.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from relay.domain.envelope import type_name
from relay.domain.model import MessageId, StoredEvent

CHECKED, UNCHECKED = "a", "u"
_FORM = re.compile(rb"([au])(\d{1,16}):(\d{1,3}):([a-zA-Z0-9]{5})(?::(\d{1,6}))?(?::(\d{1,6}))?(?::([01]))?")


class Reference(NamedTuple):
    """One delivery as a lane holds it."""

    number: int
    """The event's number in its source."""
    type_code: int
    tag: str
    """The beginning of the event's id: see `tag_of`."""
    attempt: int = 1
    """Which try the next one is."""
    crashes: int = 0
    """How many workers died with it in flight."""
    by_hand: int = 0
    """1: somebody asked for the next try."""
    unchecked: int = 0
    """1: the endpoint was unfit when the event came, so its filter has to be asked before it is sent."""
    held: int = 0
    """1: it was held until the event was old enough, and was not tried yet."""

    def text(self) -> str:
        """The form that is stored: as short as it can be, for there are millions."""
        text = f"{UNCHECKED if self.unchecked else CHECKED}{self.number}:{self.type_code}:{self.tag}"
        if self.by_hand:
            return f"{text}:{self.attempt}:{self.crashes}:{self.by_hand}"
        if self.crashes:
            return f"{text}:{self.attempt if self.attempt > 1 or self.held else 0}:{self.crashes}"
        if self.attempt > 1 or self.held:
            return f"{text}:{self.attempt}"
        return text


def resent(number: int, event: StoredEvent, event_types: Sequence[str] | None) -> Reference:
    """A delivery by hand, of an event as the first of its types that an endpoint subscribed to (None: all types)."""
    codes = [code for code in event.types if event_types is None or type_name(event, code) in event_types]
    return Reference(number, (codes or event.types)[0], tag_of(event.id), by_hand=1)


def number_of(stored: bytes) -> int | None:
    """The event's number in whatever stands in a lane, also if the rest can't be read; None: there is none."""
    found = re.match(rb"[a-z](\d{1,16})(?!\d)", stored)
    return None if found is None else int(found[1])


def tag_of(message: MessageId) -> str:
    """29 bits that distinguish events of one number."""
    return message[4:9]


def parse_reference(text: bytes) -> Reference:
    """Read what `text()` wrote. Raises ValueError on anything else, also on the form of another release."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise ValueError("no reference of a form that this release knows")
    form, number, code, tag, *counts = found.groups()
    attempt, crashes, by_hand = (int(count or 0) for count in counts)
    held = int(attempt == 1 and not by_hand)
    return Reference(int(number), int(code), tag.decode(), attempt or 1, crashes, by_hand, int(form == b"u"), held)
