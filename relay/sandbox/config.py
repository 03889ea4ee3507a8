"""What the sandbox can be told at its start."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from relay.sandbox.hazards import Hazard, Name
from relay.sandbox.journeys import FIRST_ROW_ID, START


@dataclass(frozen=True, kw_only=True)
class SandboxConfig:
    """By default a thousand rows that are all there from the start, and no hazard but those that every row shows."""

    seed: int = 1
    rows: int | None = 1000
    """How many trigger rows are made; None: without end. Not counted: the charges of calls."""
    rate: float | None = None
    """Rows a second; None: all at once."""
    file: Path | None = None
    """NDJSON whose lines are served as they stand, at the same rate, instead of made rows."""
    igrp: int = 1
    api_key: str = "00000000-0000-4000-8000-000000000001"
    username: str = "sandbox"
    password: str = "sandbox"  # noqa: S105 - a stand-in protects nothing, and says so
    hazards: Mapping[Name, Hazard] = field(default_factory=dict)
    first_row_id: int = FIRST_ROW_ID
    start: datetime = START
    """When the made time begins, in UTC without an offset."""
    pace: float = 1.0
    """How many seconds of the made time pass in a second of the rows' times."""
    limit_cap: int = 10_000
    """Asking for more rows at once is an error, not cut down (hazard H7)."""
    default_limit: int = 1000
    error_status: int = 400
    """The status of validation errors, which is not known: it may be 200 (hazard H2)."""
    record_shown: bool = True
    """Remember what was shown, for `GET /sandbox/shown`."""

    def __post_init__(self) -> None:
        """Raise ValueError for what would never end."""
        if self.rate is None and self.rows is None and self.file is None:
            raise ValueError("rows without end need a rate")
