"""A reference: what stands in a lane for one delivery: `number:type:try:crashes:by_hand`, the last three if need be."""

from typing import NamedTuple


class Reference(NamedTuple):
    """One delivery as a lane holds it."""

    number: int
    """The event's number in its source."""
    type_code: int
    attempt: int = 1
    """Which try the next one is."""
    crashes: int = 0
    """How many workers died with it in flight."""
    by_hand: int = 0
    """1: somebody asked for the next try."""

    def text(self) -> str:
        """The form that is stored: as short as it can be, for there are millions."""
        if self.by_hand:
            return f"{self.number}:{self.type_code}:{self.attempt}:{self.crashes}:{self.by_hand}"
        if self.crashes:
            return f"{self.number}:{self.type_code}:{self.attempt}:{self.crashes}"
        if self.attempt > 1:
            return f"{self.number}:{self.type_code}:{self.attempt}"
        return f"{self.number}:{self.type_code}"


def parse_reference(text: bytes) -> Reference:
    """Read what `text()` wrote. Raises ValueError on anything else."""
    try:
        return Reference(*map(int, text.split(b":")))
    except TypeError:
        raise ValueError("a reference has two to five numbers") from None
