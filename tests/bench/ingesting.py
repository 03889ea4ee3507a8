"""Ingest: an upstream, a server, and one worker whose endpoints are paused, so that it stores and sends nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from relay.domain.model import Source, SourceUid
from tests.bench.bench import Bench
from tests.bench.figures import Figure
from tests.bench.flows import Flow, Watch, describe, fresh_source, numbers
from tests.bench.ground import Ground, ground
from tests.bench.judging import judged
from tests.bench.measuring import middle
from tests.bench.processes import Child
from tests.bench.subscribing import FILTERS, filter_of, matcher
from tests.bench.upstream import Upstream, upstream
from tests.bench.workers import worker

PART = "ingest"
TEXT = "one route of an upstream into ten lanes, by one worker that sends nothing; the endpoints' filters differ"
ROWS = 20_000


@dataclass(frozen=True, slots=True)
class Case:
    """A way to judge pages."""

    what: str
    processes: int
    goal: str
    settings: Mapping[str, str] = field(default_factory=dict)


NO_READINGS = {
    "RELAY_OVERLAP_SECONDS": "0.01",
    "RELAY_OVERLAP_INTERVAL_SECONDS": "86400",
    "RELAY_GAP_DEADLINE_SECONDS": "0.01",
    "RELAY_CHANGE_SCHEDULE": "0",
}
ALL_READINGS = {
    "RELAY_OVERLAP_INTERVAL_SECONDS": "0.5",
    "RELAY_CHANGE_SCHEDULE": "0.5,1,2,4",
    "RELAY_GAP_DEADLINE_SECONDS": "86400",
    "RELAY_READING_REQUESTS_PER_HOUR": "3600000",
}
"""Rows that came half a second ago are read again already, without a pause between two requests."""
CASES = (
    Case("ten endpoints, judged in place", 0, "≥ 15,000/s"),
    Case("ten endpoints, one judging process", 1, "≥ 25,000/s"),
    Case("judged in place, no readings behind the cursor", 0, "", NO_READINGS),
    Case("judged in place, all readings at once", 0, "", ALL_READINGS),
)


async def run(bench: Bench) -> None:
    """Measure rows/s; the ratio is to what judging alone takes, measured right before."""
    bench.report.begin(PART, TEXT)
    rows = bench.rows.lines(bench.size(ROWS))
    for case in CASES:
        await _measure(bench, case, rows)


async def _measure(bench: Bench, case: Case, rows: Sequence[bytes]) -> None:
    folder, match = bench.own_folder(f"n{CASES.index(case)}"), matcher(len(FILTERS)).match
    settings = {"RELAY_JUDGING_PROCESSES": str(case.processes), **case.settings}
    flows, alone = [], []
    async with ground(folder, settings) as store, upstream(folder, rows) as feed:
        await store.subscribe(len(FILTERS), lambda _: bench.sink.url, filters=filter_of, paused=True)
        for _ in range(bench.runs):
            spent = judged(rows[:2000], match, source=SourceUid("bench"))[1]
            alone.append(1e6 / sum(spent.values()))
            flows.append(await _flow(bench, store, feed, len(rows)))
    bench.report.add(
        Figure(
            PART,
            case.what,
            [flow.per_s for flow in flows],
            "rows/s",
            ratio=middle([flow.per_s / pace for flow, pace in zip(flows, alone, strict=True)]),
            baseline=f"rows alone ({middle(alone):,.0f}/s)",
            goal=case.goal,
            note=describe(flows, "row"),
            more=numbers(flows),
        )
    )


async def _flow(bench: Bench, store: Ground, feed: Upstream, rows: int) -> Flow:
    async with worker(store, bench.own_folder("w"), profile=bench.profile) as process:
        # The first pages start the judging process and fill the caches.
        async with fresh_source(store, feed.url, paused=False) as source:
            await Watch(store, source, {"worker": process}).stored(feed.last_row_id)
        async with fresh_source(store, feed.url, paused=False) as source:
            return await _measured(store, source, feed, process, rows)


async def _measured(store: Ground, source: Source, feed: Upstream, process: Child, rows: int) -> Flow:
    watch = Watch(store, source, {"worker": process, "upstream": feed.child})
    first, _ = await watch.begun()
    return watch.flow(first, await watch.stored(feed.last_row_id), rows)
