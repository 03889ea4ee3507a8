"""The most memory that a real worker takes while its upstream sends as much as it can.

The proportional set size (PSS) counts a page that processes share once. The sum of VmHWM would count the code and the
libraries once for each judging process.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from relay.domain.model import Source
from relay.store import keys
from tests.bench.bench import Bench
from tests.bench.figures import Figure
from tests.bench.ground import ROUTE, Ground, ground
from tests.bench.hostile import hostile_upstream
from tests.bench.measuring import children, pss_bytes
from tests.bench.processes import Child
from tests.bench.workers import worker

PART = "memory"
TEXT = "the most memory (PSS) that one worker and its judging processes take, by what its sources send"
SECONDS = 10.0
LOOK_AGAIN_S = 0.05
MOST_MB = 200


@dataclass(frozen=True, slots=True)
class Case:
    """Sources of one kind."""

    what: str
    path: str
    sources: int = 2
    batch: int = 1000
    most_mb: int = MOST_MB


CASES = (
    Case("10,000 rows of 2.2 kB a page", "/documented", batch=10_000, most_mb=160),
    Case("a limit that is ignored, without end", "/documented/endless"),
    Case("the same, gzip in many members", "/documented/endless/gzip"),
    Case("tiny rows without end", "/small/endless"),
    Case("10,000 rows of 5 kB a page", "/large", batch=10_000),
    Case("rows of 1 MB", "/long"),
    Case("rows of 1 MB: 66,000 columns", "/columns"),
    Case("rows of 1 MB: 330,000 lists", "/lists"),
    Case("rows of 1 MB: 250,000 decimals", "/decimals"),
    Case("rows of 1 MB: 125,000 objects", "/objects"),
    Case("rows of 1 MB that need repair", "/repaired"),
    Case("100 sources that ignore the limit", "/documented/endless", sources=100),
    Case("100 sources with rows of 1 MB", "/long", sources=100),
    Case("100 sources with 66,000 columns", "/columns", sources=100),
)


async def run(bench: Bench) -> None:
    """Measure each case with a store and a worker of its own."""
    bench.report.begin(PART, TEXT)
    for number, case in enumerate(CASES):
        folder = bench.own_folder(f"m{number}")
        async with ground(folder) as store:
            await store.subscribe(1, lambda _: bench.sink.url)
            async with flooded(store, folder, [(case.path, case.batch)] * case.sources) as (process, sources):
                peak = await peak_of(process)
                rows = sum([await taken_in(store, source) for source in sources])
        note = f"{case.sources} sources, {rows:,} rows in {SECONDS:g} s"
        bench.report.add(Figure(PART, case.what, [peak / 1e6], "MB", goal=f"< {case.most_mb}", note=note))


@asynccontextmanager
async def flooded(
    store: Ground, folder: Path, paths: Sequence[tuple[str, int]]
) -> AsyncIterator[tuple[Child, list[Source]]]:
    """A worker whose sources have these paths (see tests.bench.hostile) and batch sizes, while the block lasts."""
    async with hostile_upstream(folder) as url, worker(store, folder) as process:
        yield process, [await store.source(url + path, batch=batch) for path, batch in paths]


async def peak_of(process: Child) -> int:
    """The most bytes that a worker with its judging processes takes at once, within SECONDS."""
    peak, end = 0, time.monotonic() + SECONDS
    while time.monotonic() < end:
        await asyncio.sleep(LOOK_AGAIN_S)
        process.check()
        peak = max(peak, sum(map(pss_bytes, [process.pid, *children(process.pid)])))
    return peak


async def taken_in(store: Ground, source: Source) -> int:
    """How many rows a source has given so far: its rowIds are counted from 1, without a gap."""
    cursor = await store.stores.redis.hget(keys.route(source.uid, ROUTE), "cursor")  # type: ignore[misc]
    return int(cursor or 0)
