"""The switches: every hazard of the upstream (infinity-api.md 11) that is not simply part of the rows, on demand.

A hazard strikes with a probability, or for certain the next few times. What counts as a time is a response for those of
responses, and a row that could be struck for those of rows. Each draws from a seed of its own, so that switching one
on does not move the others.
"""

from collections.abc import Mapping
from enum import StrEnum
from random import Random
from typing import Annotated

import msgspec


class Name(StrEnum):
    """What can be switched on; docs/sandbox.md says what each does."""

    # Rows
    LATE = "late"
    RATED = "rated"
    GOAL_GAINED = "goalGained"
    NOTE_ADDED = "noteAdded"
    TRANSCRIBED = "transcribed"
    DELETED = "deleted"
    UNESCAPED_NOTES = "unescapedNotes"
    # Responses that are refusals
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    RATE_LIMITED = "rateLimited"
    SERVER_ERROR = "serverError"
    UNAVAILABLE = "unavailable"
    MESSAGE = "message"
    LIMIT_REFUSED = "limitRefused"
    # Responses that are not what they should be
    UNORDERED = "unordered"
    DUPLICATED = "duplicated"
    REDACTED = "redacted"
    CSV_BY_DEFAULT = "csvByDefault"
    BROKEN_EMPTY_ARRAY = "brokenEmptyArray"
    TRUNCATED = "truncated"
    SLOW = "slow"


class Hazard(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How often a hazard strikes, and how hard."""

    probability: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    next: Annotated[int, msgspec.Meta(ge=0)] = 0
    """So many times for certain, before the probability counts."""
    seconds: Annotated[float, msgspec.Meta(ge=0)] = 2.0
    """How late a row, a change or the end of a body is; for `rateLimited`, what `Retry-After` says."""
    above: Annotated[int, msgspec.Meta(ge=0)] = 1000
    """For `limitRefused`: the highest limit that is not refused."""

    @property
    def off(self) -> bool:
        """Whether it never strikes."""
        return not self.probability and not self.next


Switches = Mapping[Name, Hazard]


class Hazards:
    """Which hazards are switched on now, and the dice that they are thrown with."""

    def __init__(self, switches: Switches, *, seed: int) -> None:
        self._dice = {name: Random(f"{seed} {name}") for name in Name}
        self._on: dict[Name, Hazard] = {}
        self.switch(switches)

    def switch(self, switches: Switches) -> None:
        """Set the hazards that are named, `Hazard()` being off; the others stay as they are."""
        for name, hazard in switches.items():
            if hazard.off:
                self._on.pop(name, None)
            else:
                self._on[name] = hazard

    @property
    def switches(self) -> dict[Name, Hazard]:
        """Give those that are on, with what is left of `next`."""
        return dict(self._on)

    def strikes(self, name: Name) -> Hazard | None:
        """Throw the dice once: the hazard if it strikes, else None."""
        hazard = self._on.get(name)
        if hazard is None:
            return None
        if hazard.next:
            self.switch({name: msgspec.structs.replace(hazard, next=hazard.next - 1)})
            return hazard
        return hazard if self._dice[name].random() < hazard.probability else None

    def dice(self, name: Name) -> Random:
        """Give the dice of a hazard, for the code that chooses what exactly it does."""
        return self._dice[name]


def read_switch(text: str) -> tuple[Name, Hazard]:
    """Read a switch as it is written on the command line. Raises ValueError for what is none.

    >>> read_switch("late,probability=0.1,seconds=5")
    (<Name.LATE: 'late'>, Hazard(probability=0.1, next=0, seconds=5.0, above=1000))
    """
    name, *settings = text.split(",")
    try:
        values = dict(setting.split("=", 1) for setting in settings)
        return Name(name), msgspec.convert(values, Hazard, strict=False)
    except (msgspec.ValidationError, ValueError) as error:
        raise ValueError(f"{text!r} is no hazard such as late,probability=0.1,seconds=5: {error}") from None
