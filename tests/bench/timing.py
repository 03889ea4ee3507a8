"""How long rows take from the answer that shows them to the first byte of their callbacks, at a steady rate."""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx

from relay.cli.demo.ports import free_port
from relay.sandbox import lines
from tests.bench.bench import Bench
from tests.bench.flows import Watch, fresh_source
from tests.bench.ground import Ground
from tests.bench.processes import Child, child, listens
from tests.bench.upstream import Upstream
from tests.bench.workers import worker

WARM_UP_S = 3.0
"""Rows that are shown in the first seconds do not count: the worker finds a backlog then."""
LATE_S = 2.0
"""What has not come so long after the last row was stored has not come."""


@dataclass(frozen=True, slots=True)
class Callbacks:
    """What a receiver noted: by path, the ns when each row's callback came first."""

    arrived_ns: dict[str, dict[int, int]]
    shown_ns: dict[int, int]

    def delays_ms(self, wanted: Sequence[tuple[str, int]]) -> list[float]:
        """The delays of those of some (path, rowId) that came."""
        came = ((self.arrived_ns.get(path, {}).get(row), self.shown_ns[row]) for path, row in wanted)
        return [(arrived - shown) / 1e6 for arrived, shown in came if arrived is not None]

    def steady(self) -> list[int]:
        """The rows that were shown after the warm-up, in order."""
        first = min(self.shown_ns.values()) + WARM_UP_S * 1e9
        return [row for row, shown in self.shown_ns.items() if shown >= first]


@asynccontextmanager
async def stopwatch(bench: Bench) -> AsyncIterator[tuple[str, Child]]:
    """Run a receiver that notes arrivals; gives its base URL."""
    port = free_port()
    command = (sys.executable, "-m", "tests.bench.stopwatch", str(port))
    async with child("stopwatch", *command, folder=bench.own_folder("s"), ready=listens(port)) as running:
        yield f"http://127.0.0.1:{port}", running


@asynccontextmanager
async def steady_upstream(bench: Bench, rows: Sequence[bytes], rate: float) -> AsyncIterator[Upstream]:
    """Serve rows at a rate, from this moment on, by the sandbox that notes when it showed them."""
    port, file = free_port(), bench.own_folder("s") / "rows.ndjson"
    file.write_bytes(b"".join(rows))
    command = (sys.executable, "-m", "tests.bench.showing", str(port), str(file), str(rate))
    async with child("showing", *command, folder=bench.own_folder("s"), ready=listens(port)) as running:
        yield Upstream(port, running, lines.entry(rows[-1]).number)


async def time_callbacks(bench: Bench, store: Ground, url: str, rows: Sequence[bytes], *, rate: float) -> Callbacks:
    """Let one worker poll and deliver rows that come at a rate; `url` is the stopwatch's."""
    async with (
        worker(store, bench.own_folder("w"), profile=bench.profile) as process,
        steady_upstream(bench, rows, rate) as feed,
        fresh_source(store, feed.url, paused=False) as source,
    ):
        await Watch(store, source, {"worker": process, "upstream": feed.child}).stored(feed.last_row_id)
        await asyncio.sleep(LATE_S)
        async with httpx.AsyncClient(trust_env=False) as client:
            shown = (await client.get(f"{feed.url}/first-shown")).content
            arrivals = (await client.get(f"{url}/arrivals")).content
    return _callbacks(shown, arrivals)


def _callbacks(shown: bytes, arrivals: bytes) -> Callbacks:
    shown_ns = {int(row): int(ns) for row, ns in (line.split() for line in shown.splitlines())}
    began_ns = min(shown_ns.values())
    arrived: dict[str, dict[int, int]] = {}
    for path, row, ns in (line.split() for line in arrivals.splitlines()):
        if int(ns) >= began_ns:  # What came before is of another run.
            arrived.setdefault(path.decode(), {}).setdefault(int(row), int(ns))
    return Callbacks(arrived, shown_ns)
