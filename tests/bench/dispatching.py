"""Dispatch alone: lanes that were filled beforehand, one worker that empties them."""

from collections.abc import Sequence
from functools import partial

from relay.domain.matching import Matcher
from relay.domain.model import SourceUid
from relay.domain.requests.model import Batch, RequestShape
from relay.store.pages import RowCommit
from tests.bench.bench import Bench
from tests.bench.filling import fill
from tests.bench.flows import Flow, Watch, add_flows, fresh_source
from tests.bench.ground import Ground, ground
from tests.bench.judging import commits
from tests.bench.workers import worker

PART = "dispatch"
TEXT = "one worker empties lanes that were filled before it started"
DELIVERIES = 20_000
ENDPOINTS = (1, 10, 100, 10_000)
BATCH = Batch(size=50, wait_s=0.2)
GOALS = {1: "≥ 0.9 / 0.4"}


async def run(bench: Bench) -> None:
    """Measure for each number of endpoints, and one endpoint over TLS and with batches."""
    bench.report.begin(PART, TEXT)
    for count in bench.among(ENDPOINTS):
        await _measure(bench, count)
    if 1 in bench.among(ENDPOINTS) and bench.sink.tls_port is not None:
        await _measure(bench, 1, tls=True)
    if 1 in bench.among(ENDPOINTS):
        await _measure(bench, 1, batch=BATCH)


async def _measure(bench: Bench, count: int, *, tls: bool = False, batch: Batch | None = None) -> None:
    url = bench.sink.tls_url if tls else bench.sink.url
    async with ground(bench.own_folder(f"d{count}{'t' * tls}{'b' * bool(batch)}"), bench.trust()) as store:
        await store.subscribe(count, lambda number: f"{url}/{number}", shapes=lambda _: RequestShape(batch=batch))
        lines = bench.rows.lines(max(2, bench.size(DELIVERIES) // count))
        rows = commits(lines, Matcher([store.application], store.endpoints).match, source=SourceUid("bench"))
        results = await bench.beside_baselines(partial(dispatch, bench, store, rows), tls=tls)
    text = f"{count:,} endpoint{'s'[: count > 1]}{', over TLS' * tls}"
    text += f", batches of {batch.size}" if batch else ""
    add_flows(bench, PART, text, results, goal="" if tls or batch else GOALS.get(count, ""))


async def dispatch(bench: Bench, store: Ground, rows: Sequence[RowCommit]) -> Flow:
    """Fill the lanes of a new source, and let a worker empty them."""
    async with fresh_source(store, "http://127.0.0.1:9", paused=True) as source:
        await fill(store, source, rows)
        total = await store.outstanding(source)
        async with worker(store, bench.own_folder("w"), profile=bench.profile) as process:
            watch = Watch(store, source, {"worker": process, "sink": bench.sink.child})
            first, left = await watch.begun(below=total)
            last = await watch.ended()
            return watch.flow(first, last, left)
