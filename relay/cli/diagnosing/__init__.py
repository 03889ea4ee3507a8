"""What `relay doctor` looks at, each with what it found and what to do."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    area: str
    """Such as `Redis` or `source main`."""
    state: Literal["well", "warning", "failed"]
    text: str
    do: str = ""
    """What to do. Empty: nothing."""
