"""What `relay doctor` looks at, each with what it found and what to do."""

from dataclasses import dataclass
from typing import ClassVar, Literal


@dataclass(frozen=True, kw_only=True)
class Well:
    """One thing that is as it should be."""

    area: str
    """Such as `Redis` or `source main`."""
    text: str
    state: ClassVar[Literal["well"]] = "well"
    do: ClassVar[str] = ""


@dataclass(frozen=True, kw_only=True)
class Wrong:
    """One thing that is not as it should be."""

    area: str
    """Such as `Redis` or `source main`."""
    state: Literal["warning", "failed"]
    text: str
    do: str
    """What to do, never empty."""


Finding = Well | Wrong
"""One thing that was looked at."""
