"""End to end: an upstream, a server, one worker and a sink, each a process of its own."""

from functools import partial

from tests.bench.bench import Bench
from tests.bench.flows import Flow, Watch, add_flows, fresh_source
from tests.bench.ground import Ground, ground
from tests.bench.upstream import Upstream, upstream
from tests.bench.workers import worker

PART = "end-to-end"
TEXT = "upstream, embedded server, one worker, sink"
DELIVERIES = 24_000
ENDPOINTS = (1, 10, 10_000)
GOALS = {1: "≥ 0.5 of client", 10: "≥ 0.8 of client"}


async def run(bench: Bench) -> None:
    """Measure for each number of endpoints, with 10,000 few rows for all of them, and one endpoint over TLS."""
    bench.report.begin(PART, TEXT)
    for count in bench.among(ENDPOINTS):
        await _measure(bench, count)
    if 1 in bench.among(ENDPOINTS) and bench.sink.tls_port is not None:
        await _measure(bench, 1, tls=True)


async def _measure(bench: Bench, count: int, *, tls: bool = False) -> None:
    url = bench.sink.tls_url if tls else bench.sink.url
    folder = bench.own_folder(f"e{count}{'t' * tls}")
    rows = bench.rows.lines(max(1, bench.size(DELIVERIES) // count))
    async with ground(folder, bench.trust()) as store, upstream(folder, rows) as feed:
        await store.subscribe(count, lambda number: f"{url}/{number}")
        results = await bench.beside_baselines(partial(_flow, bench, store, feed, len(rows)), tls=tls)
    text = f"{count:,} endpoint{'s'[: count > 1]}{', over TLS' * tls}"
    add_flows(bench, PART, text, results, goal="" if tls else GOALS.get(count, ""))


async def _flow(bench: Bench, store: Ground, feed: Upstream, rows: int) -> Flow:
    async with (
        worker(store, bench.own_folder("w"), profile=bench.profile) as process,
        fresh_source(store, feed.url, paused=False) as source,
    ):
        watch = Watch(store, source, {"worker": process, "upstream": feed.child, "sink": bench.sink.child})
        first, _ = await watch.begun()
        last = await watch.ended(feed.last_row_id)
        return watch.flow(first, last, rows * len(store.endpoints))
