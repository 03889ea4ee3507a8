"""End to end: an upstream, a server, one worker and a sink, each a process of its own."""

from functools import partial

from tests.bench.bench import Bench
from tests.bench.flows import Flow, Watch, describe, fresh_source, numbers
from tests.bench.ground import Ground, ground
from tests.bench.upstream import Upstream, upstream
from tests.bench.workers import worker

PART = "end-to-end"
TEXT = "upstream, embedded server, one worker, sink"
DELIVERIES = 24_000
ENDPOINTS = (1, 10, 10_000)
GOALS = {1: "≥ 10,000/s, 0.3", 10: "≥ 15,000/s, 0.45", 10_000: "≥ 10,000/s"}


async def run(bench: Bench) -> None:
    """Measure for each number of endpoints; with 10,000 it is few rows for all of them."""
    bench.report.begin(PART, TEXT)
    for count in bench.among(ENDPOINTS):
        folder = bench.own_folder(f"e{count}")
        rows = bench.rows.lines(max(1, bench.size(DELIVERIES) // count))
        async with ground(folder) as store, upstream(folder, rows) as feed:
            await store.subscribe(count, lambda number: f"{bench.sink.url}/{number}")
            results = await bench.beside_baseline(partial(_flow, bench, store, feed, len(rows)))
        flows = [flow for flow, _ in results]
        bench.add(
            PART,
            f"{count:,} endpoint{'s'[: count > 1]}",
            [flow.per_s for flow in flows],
            "/s",
            baselines=[baseline for _, baseline in results],
            goal=GOALS.get(count, ""),
            note=describe(flows),
            more=numbers(flows),
        )


async def _flow(bench: Bench, store: Ground, feed: Upstream, rows: int) -> Flow:
    async with (
        worker(store, bench.own_folder("w"), profile=bench.profile) as process,
        fresh_source(store, feed.url, paused=False) as source,
    ):
        watch = Watch(store, source, {"worker": process, "upstream": feed.child, "sink": bench.sink.child})
        first, _ = await watch.begun()
        last = await watch.ended(feed.last_row_id)
        return watch.flow(first, last, rows * len(store.endpoints))
