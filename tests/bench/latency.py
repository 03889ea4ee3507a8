"""Latency: from the answer that shows a row to the first byte of its callback, at half of what one worker can do."""

from tests.bench.bench import Bench
from tests.bench.figures import Figure
from tests.bench.flows import Watch, fresh_source
from tests.bench.ground import Ground, ground
from tests.bench.measuring import percentile
from tests.bench.timing import stopwatch, time_callbacks
from tests.bench.upstream import upstream
from tests.bench.workers import worker

PART = "latency"
TEXT = "one endpoint at half load: from the answer that shows a row to the first byte of its callback"
FULL_ROWS = 16_000
SECONDS = 24
"""Longer than a poll slice, so that the change from one to the next is in it."""


async def run(bench: Bench) -> None:
    """Measure the full load, then the delays at half of it."""
    bench.report.begin(PART, TEXT)
    async with stopwatch(bench) as (url, _), ground(bench.own_folder("l")) as store:
        await store.subscribe(1, lambda _: f"{url}/hook")
        rate = await _full_load(bench, store) / 2
        rows = bench.rows.lines(round(rate * bench.seconds(SECONDS)))
        callbacks = await time_callbacks(bench, store, url, rows, rate=rate)
    wanted = [("/hook", row) for row in callbacks.steady()]
    delays = callbacks.delays_ms(wanted)
    note = f"{rate:,.0f} rows/s; {len(delays):,} of {len(wanted):,} callbacks came"
    for share, goal in ((0.5, "≤ 20"), (0.99, "≤ 150")):
        bench.report.add(Figure(PART, f"p{share * 100:g}", [percentile(delays, share)], "ms", goal=goal, note=note))


async def _full_load(bench: Bench, store: Ground) -> float:
    folder, rows = bench.own_folder("lf"), bench.rows.lines(bench.size(FULL_ROWS))
    async with (
        upstream(folder, rows) as feed,
        worker(store, bench.own_folder("w")) as process,
        fresh_source(store, feed.url, paused=False) as source,
    ):
        watch = Watch(store, source, {"worker": process})
        first, _ = await watch.begun()
        return watch.flow(first, await watch.ended(feed.last_row_id), len(rows)).per_s
