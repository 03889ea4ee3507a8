"""The commit script alone: rows that are ready to be stored, into so many lanes."""

import time

from relay.domain.model import EndpointId, SourceUid
from tests.bench.bench import Bench
from tests.bench.figures import Figure
from tests.bench.filling import fill
from tests.bench.flows import fresh_source
from tests.bench.ground import Ground, ground
from tests.bench.judging import commits
from tests.bench.measuring import middle

PART = "commit"
TEXT = "the script that stores a page, with rows that are judged already, each for every lane"
ROWS = 5_000
LANES = (1, 10, 100, 10_000)


async def run(bench: Bench) -> None:
    """Measure for each number of lanes; the ratio is of lane entries/s, to those with one lane."""
    bench.report.begin(PART, TEXT)
    paces: dict[int, list[float]] = {}
    async with ground(bench.own_folder("c")) as store:
        for _ in range(bench.runs):
            for count in LANES:
                paces.setdefault(count, []).append(await _pace(bench, store, count))
    for count, values in paces.items():
        entries = middle(values) * count
        bench.report.add(
            Figure(
                PART,
                f"{count:,} lane{'s'[: count > 1]}",
                values,
                "rows/s",
                ratio=entries / middle(paces[1]),
                baseline="the entries of one lane",
                note=f"{entries:,.0f} lane entries/s",
                more={"lane_entries_per_s": round(entries)},
            )
        )


async def _pace(bench: Bench, store: Ground, lanes: int) -> float:
    wanted = [(EndpointId(f"ep_{number}"), 0) for number in range(lanes)]
    lines = bench.rows.lines(max(4, bench.size(ROWS) // lanes))
    rows = commits(lines, lambda *_: wanted, source=SourceUid("bench"))
    async with fresh_source(store, "http://127.0.0.1:9", paused=True) as source:
        began = time.perf_counter()
        await fill(store, source, rows)
        return len(rows) / (time.perf_counter() - began)
