"""What a transformation costs a delivery of a real worker."""

from collections.abc import Sequence
from contextlib import AsyncExitStack

from relay.domain.matching import Matcher
from relay.domain.model import SourceUid
from relay.domain.requests.model import PLAIN, RequestShape
from relay.store.pages import RowCommit
from tests.bench.bench import Bench
from tests.bench.dispatching import dispatch
from tests.bench.figures import Figure
from tests.bench.flows import Flow, describe
from tests.bench.ground import Ground, ground
from tests.bench.judging import commits
from tests.bench.measuring import percentile

DELIVERIES = 20_000
ENDPOINTS = 10
Filled = tuple[Ground, Sequence[RowCommit]]


async def dispatched(bench: Bench, part: str, expression: str) -> None:
    """One worker empties the lanes of ten endpoints, in turns without and with a transformation."""
    flows: dict[str, list[Flow]] = {"without": [], "with": []}
    async with AsyncExitStack() as stack:
        filled: dict[str, Filled] = {}
        for name, shape in (("without", PLAIN), ("with", RequestShape(transformation=expression))):
            store = await stack.enter_async_context(ground(bench.own_folder("t")))
            filled[name] = store, await _subscribed(bench, store, shape)
        for _ in range(bench.runs):
            for name, (store, rows) in filled.items():
                flows[name].append(await dispatch(bench, store, rows))
    ratios = [a.per_s / b.per_s for a, b in zip(flows["with"], flows["without"], strict=True)]
    for name, some in flows.items():
        ratio = percentile(ratios, 0.5) if name == "with" else None
        what = f"a worker, {name} a transformation"
        paces = [flow.per_s for flow in some]
        bench.report.add(Figure(part, what, paces, "/s", ratio=ratio, baseline="without", note=describe(some)))


async def _subscribed(bench: Bench, store: Ground, shape: RequestShape) -> Sequence[RowCommit]:
    await store.subscribe(ENDPOINTS, lambda number: f"{bench.sink.url}/{number}", shapes=lambda _: shape)
    lines = bench.rows.lines(bench.size(DELIVERIES) // ENDPOINTS)
    return commits(lines, Matcher([store.application], store.endpoints).match, source=SourceUid("bench"))
