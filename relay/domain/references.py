"""A reference: what stands in a lane for one delivery. `number:type:try:crashes`, the last two left out at first."""

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

    def text(self) -> str:
        """The form that is stored: as short as it can be, for there are millions."""
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
        raise ValueError("a reference has two to four numbers") from None
