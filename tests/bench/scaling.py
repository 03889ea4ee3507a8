"""One, two and four workers: what a callback costs as workers are added, and how the work spreads over them."""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

from tests.bench.bench import Baselines, Bench
from tests.bench.figures import Figure
from tests.bench.flows import Flow, Watch, fresh_source
from tests.bench.ground import Ground, ground
from tests.bench.upstream import Upstream, upstream
from tests.bench.workers import worker

PART = "scaling"
TEXT = "1, 2 and 4 workers; 4 sources, 10 endpoints for each row; all processes on this machine"
WORKERS = (1, 2, 4)
SOURCES = 4
ENDPOINTS = 10
DELIVERIES = 80_000
"""Some ten seconds: workers share their work by what they measure each second."""


@dataclass(frozen=True, slots=True)
class Shares:
    """A flow as the sum of its workers."""

    per_s: float
    worker_us: float
    """µs of CPU of all workers, for each callback."""
    redis_us: float
    busiest: float
    """The share (0 to 1) of the workers' CPU that the busiest one used."""

    @classmethod
    def of(cls, flow: Flow) -> "Shares":
        """Sum up the workers of a flow."""
        used = [us for name, us in flow.cpu_us.items() if name.startswith("worker")]
        return cls(flow.per_s, sum(used), flow.cpu_us["redis"], max(used) / sum(used))


async def run(bench: Bench) -> None:
    """Measure for each number of workers, in turns: what else the machine does changes from minute to minute."""
    bench.report.begin(PART, TEXT)
    results: dict[int, list[tuple[Shares, Baselines]]] = {count: [] for count in WORKERS}
    for turn in range(bench.runs):
        for count in WORKERS:
            baselines = await bench.baselines()
            results[count].append((await _flow(bench, f"s{count}t{turn}", count), baselines))
    for count, measured in results.items():
        _report(bench, count, measured)


async def _flow(bench: Bench, name: str, count: int) -> Shares:
    folder = bench.own_folder(name)
    rows = bench.rows.lines(bench.size(DELIVERIES) // SOURCES // ENDPOINTS)
    async with ground(folder, bench.trust()) as store, upstream(folder, rows) as feed:
        await store.subscribe(ENDPOINTS, lambda number: f"{bench.sink.url}/{number}")
        return Shares.of(await _delivered(bench, store, feed, len(rows), count))


async def _delivered(bench: Bench, store: Ground, feed: Upstream, rows: int, count: int) -> Flow:
    """All rows of all sources, from the first event to the last delivery."""
    async with AsyncExitStack() as stack:
        children = {"upstream": feed.child, "sink": bench.sink.child}
        for number in range(1, count + 1):
            children[f"worker {number}"] = await stack.enter_async_context(worker(store, bench.own_folder("w")))
        fresh = partial(fresh_source, store, feed.url, paused=False)
        watches = [Watch(store, await stack.enter_async_context(fresh()), children) for _ in range(SOURCES)]
        first, _ = await watches[0].begun()
        lasts = [await watch.ended(feed.last_row_id) for watch in watches]
        return watches[0].flow(first, lasts[-1], rows * SOURCES * ENDPOINTS)


def _report(bench: Bench, count: int, measured: Sequence[tuple[Shares, Baselines]]) -> None:
    shares = [each for each, _ in measured]
    text = f"{count} worker{'s'[: count > 1]}"
    bench.add(PART, text, [each.per_s for each in shares], "/s", baselines=[baselines for _, baselines in measured])
    figures: Mapping[str, tuple[list[float], str]] = {
        "CPU of the workers, a callback": ([each.worker_us for each in shares], "µs"),
        "CPU of Redis, a callback": ([each.redis_us for each in shares], "µs"),
        "CPU of the busiest worker": ([100 * each.busiest for each in shares], "% of all workers'"),
    }
    for what, (values, unit) in figures.items():
        bench.report.add(Figure(PART, f"{text}: {what}", values, unit))
