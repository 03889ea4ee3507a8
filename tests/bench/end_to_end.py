"""End to end: an upstream, a server, one worker and a sink, each a process of its own."""

from contextlib import AsyncExitStack
from functools import partial

from tests.bench.bench import Bench
from tests.bench.flows import Flow, Watch, add_flows, fresh_source
from tests.bench.ground import Ground, ground
from tests.bench.upstream import Upstream, upstream
from tests.bench.workers import worker

PART = "end-to-end"
TEXT = "upstream, embedded server, one worker or two, sink"
DELIVERIES = 24_000
ENDPOINTS = (1, 10, 10_000)
LONGER = 5
GOALS = {1: "≥ 0.5 of client", 10: "≥ 0.8 of client"}


async def run(bench: Bench) -> None:
    """Measure for each number of endpoints, with 10,000 few rows for all of them; over TLS; and with two workers."""
    bench.report.begin(PART, TEXT)
    for count in bench.among(ENDPOINTS):
        await _measure(bench, count)
    if 1 in bench.among(ENDPOINTS) and bench.sink.tls_port is not None:
        await _measure(bench, 1, tls=True)
    for count in bench.among(ENDPOINTS[:2]):
        await _measure(bench, count, workers=2)


async def _measure(bench: Bench, count: int, *, tls: bool = False, workers: int = 1) -> None:
    url = bench.sink.tls_url if tls else bench.sink.url
    folder = bench.own_folder(f"e{count}{'t' * tls}{'w' * (workers - 1)}")
    # Workers share their work by what they measure each second.
    rows = bench.rows.lines(max(1, bench.size(DELIVERIES * (1 if workers == 1 else LONGER)) // count))
    async with ground(folder, bench.trust()) as store, upstream(folder, rows) as feed:
        await store.subscribe(count, lambda number: f"{url}/{number}")
        results = await bench.beside_baselines(partial(_flow, bench, store, feed, len(rows), workers), tls=tls)
    text = f"{count:,} endpoint{'s'[: count > 1]}{', over TLS' * tls}{', two workers' * (workers - 1)}"
    add_flows(bench, PART, text, results, goal="" if tls or workers > 1 else GOALS.get(count, ""))


async def _flow(bench: Bench, store: Ground, feed: Upstream, rows: int, workers: int) -> Flow:
    async with AsyncExitStack() as stack:
        children = {"upstream": feed.child, "sink": bench.sink.child}
        for number in range(workers):
            name = f"worker{'' if workers == 1 else f' {number + 1}'}"
            running = worker(store, bench.own_folder("w"), profile=None if number else bench.profile)
            children[name] = await stack.enter_async_context(running)
        source = await stack.enter_async_context(fresh_source(store, feed.url, paused=False))
        watch = Watch(store, source, children)
        first, _ = await watch.begun()
        last = await watch.ended(feed.last_row_id)
        return watch.flow(first, last, rows * len(store.endpoints))
