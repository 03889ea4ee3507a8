"""The upstream: the project's sandbox in a process of its own, serving lines that were made beforehand."""

import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from relay.cli.demo.ports import free_port
from relay.sandbox import journeys, lines
from tests.bench.processes import Child, child, listens

SEED = 1
IGRP = 1
API_KEY = "00000000-0000-4000-8000-000000000001"


@dataclass(frozen=True, slots=True)
class Upstream:
    """A running sandbox."""

    port: int
    child: Child
    last_row_id: int

    @property
    def url(self) -> str:
        """The base URL for a source."""
        return f"http://127.0.0.1:{self.port}"


class Rows:
    """Rows of the sandbox's own making, as lines of NDJSON of 2 kB each; made once, however often they are used."""

    def __init__(self) -> None:
        self._made: list[bytes] = []
        # Rows of today: pages of old ones are history, and are not read again.
        self._more = journeys.rows(SEED, igrp=IGRP, start=datetime.now(UTC).replace(tzinfo=None))

    def lines(self, count: int) -> list[bytes]:
        """The first `count` lines, each with its line-break."""
        self._made += (lines.encode(row) for row in islice(self._more, max(0, count - len(self._made))))
        return self._made[:count]


@asynccontextmanager
async def upstream(folder: Path, rows: Sequence[bytes], *, rate: float = 0) -> AsyncIterator[Upstream]:
    """Serve lines: all at once, or `rate` rows a second from the start on."""
    port, file = free_port(), folder / "rows.ndjson"
    file.write_bytes(b"".join(rows))
    command = [
        sys.executable, "-m", "relay.cli.main", "sandbox", "--port", str(port), "--igrp", str(IGRP),
        "--api-key", API_KEY, "--file", str(file), "--rate", str(rate), "--no-record",
    ]  # fmt: skip
    async with child("upstream", *command, folder=folder, ready=listens(port)) as running:
        yield Upstream(port, running, lines.entry(rows[-1]).number)
