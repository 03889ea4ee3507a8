"""What traces cost: one worker empties lanes with traces off, and with shares of them exported, in turns."""

from collections.abc import Mapping, Sequence
from statistics import median

from relay.domain.matching import Matcher
from relay.domain.model import SourceUid
from relay.store.pages import RowCommit
from tests.bench.bench import Bench
from tests.bench.figures import Figure
from tests.bench.filling import fill
from tests.bench.flows import Flow, Watch, describe, fresh_source, numbers
from tests.bench.ground import Ground, ground
from tests.bench.judging import commits
from tests.bench.workers import worker

PART = "tracing"
TEXT = "one worker with traces, and the ratio to the same worker without them, in the same run"
DELIVERIES = 40_000
ENDPOINTS = 10
SHARES = {"every trace": "1", "one trace in ten": "0.1", "one trace in a hundred": "0.01"}
GOALS = {"one trace in ten": "≥ 0.95"}


async def run(bench: Bench) -> None:
    """Measure without traces, and then with each share of them, as often as there are runs."""
    bench.report.begin(PART, TEXT)
    off: list[Flow] = []
    found: dict[str, list[Flow]] = {text: [] for text in SHARES}
    async with ground(bench.own_folder("traces"), bench.trust()) as store:
        await store.subscribe(ENDPOINTS, lambda number: f"{bench.sink.url}/{number}")
        lines = bench.rows.lines(max(2, bench.size(DELIVERIES) // ENDPOINTS))
        rows = commits(lines, Matcher([store.application], store.endpoints).match, source=SourceUid("bench"))
        for _ in range(bench.runs):
            off.append(await _dispatch(bench, store, rows, {}))
            for text, share in SHARES.items():
                found[text].append(await _dispatch(bench, store, rows, _settings(bench, share)))
    for text, flows in ({"off": off} | found).items():
        pairs = list(zip(flows, off, strict=True))
        ratios = {
            "off": median(flow.per_s / without.per_s for flow, without in pairs),
            "off, by CPU": median(sum(without.cpu_us.values()) / sum(flow.cpu_us.values()) for flow, without in pairs),
        }
        rates, goal = [flow.per_s for flow in flows], GOALS.get(text, "")
        note, more = describe(flows), numbers(flows)
        bench.report.add(Figure(PART, text, rates, "/s", ratios=ratios, goal=goal, note=note, more=more))


def _settings(bench: Bench, share: str) -> Mapping[str, str]:
    # The sink answers 204 to whatever comes, so it takes the place of a collector that costs nothing.
    return {
        "RELAY_TRACING": "otlp",
        "OTEL_EXPORTER_OTLP_ENDPOINT": bench.sink.url,
        "OTEL_TRACES_SAMPLER": "traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": share,
    }


async def _dispatch(bench: Bench, store: Ground, rows: Sequence[RowCommit], settings: Mapping[str, str]) -> Flow:
    async with fresh_source(store, "http://127.0.0.1:9", paused=True) as source:
        await fill(store, source, rows)
        total = await store.outstanding(source)
        async with worker(store, bench.own_folder("w"), profile=bench.profile, settings=settings) as process:
            watch = Watch(store, source, {"worker": process, "sink": bench.sink.child})
            first, left = await watch.begun(below=total)
            last = await watch.ended()
            return watch.flow(first, last, left)
