"""Dispatch alone: lanes that were filled beforehand, one worker that empties them."""

from itertools import islice

from relay.domain.matching import Matcher
from relay.domain.model import Source
from relay.store.pages import first_prefix
from tests.bench.bench import Bench
from tests.bench.flows import Flow, Watch, fresh_source
from tests.bench.ground import ROUTE, Ground, ground
from tests.bench.judging import commits
from tests.bench.workers import worker

PART = "dispatch"
TEXT = "one worker empties lanes that were filled before it started"
DELIVERIES = 30_000
ENDPOINTS = (1, 10, 100, 10_000)
GOALS = {1: "≥ 15,000/s, 0.5"}


async def run(bench: Bench) -> None:
    """Measure for each number of endpoints."""
    bench.report.begin(PART, TEXT)
    for count in bench.among(ENDPOINTS):
        async with ground(bench.own_folder(f"d{count}")) as store:
            await store.subscribe(count, lambda number: f"{bench.sink.url}/{number}")
            rows = max(2, bench.size(DELIVERIES) // count)
            results = await bench.beside_baseline(lambda store=store, rows=rows: _dispatch(bench, store, rows))
        flows = [flow for flow, _ in results]
        bench.add(
            PART,
            f"{count:,} endpoint{'s'[: count > 1]}",
            [flow.per_s for flow in flows],
            "/s",
            baselines=[baseline for _, baseline in results],
            goal=GOALS.get(count, ""),
            note=describe(flows),
        )


def describe(flows: list[Flow]) -> str:
    """The costs of the middle run, in words."""
    flow = sorted(flows, key=lambda flow: flow.per_s)[len(flows) // 2]
    cpu = " + ".join(f"{name} {used:.0f}" for name, used in flow.cpu_us.items())
    return (
        f"{sum(flow.cpu_us.values()):.0f} µs of CPU each ({cpu}), "
        f"{flow.round_trips:.3f} round trips, {flow.commands:.2f} commands"
    )


async def _dispatch(bench: Bench, store: Ground, rows: int) -> Flow:
    async with fresh_source(store, "http://127.0.0.1:9", paused=True) as source:
        await fill(bench, store, source, rows)
        total = await store.outstanding(source)
        async with worker(store, bench.own_folder("w"), profile=bench.profile) as process:
            watch = Watch(store, source, {"worker": process, "sink": bench.sink.child})
            first, left = await watch.begun(below=total)
            last = await watch.ended()
            return watch.flow(first, last, left)


async def fill(bench: Bench, store: Ground, source: Source, rows: int) -> None:
    """Commit rows as a poller would, with every endpoint of the ground as it is."""
    match = Matcher([store.application], store.endpoints).match
    waiting = iter(commits(bench.rows.lines(rows), match, source=source.uid))
    token = await store.stores.routes.take(source.uid)
    assert token is not None
    while page := list(islice(waiting, 500)):
        while page:
            prefix = first_prefix(page)
            await store.stores.pages.commit(
                source.uid,
                ROUTE,
                prefix,
                space="t",
                cursor=prefix[-1].row_id,
                token=token,
                version=await store.version(),
                now_ms=1_700_000_000_000,
            )
            page = page[len(prefix) :]
