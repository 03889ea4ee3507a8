"""Rows alone: parse, classify, name, normalise, encode and match, on one core, with nothing stored."""

import gc

from relay.domain.model import SourceUid
from tests.bench.bench import Bench
from tests.bench.figures import Figure
from tests.bench.judging import judged
from tests.bench.measuring import middle
from tests.bench.subscribing import matcher

PART = "rows"
TEXT = "parse, classify, encode and match alone, on one core; endpoints have filters of their own, ten of them match"
ROWS = 5_000
ENDPOINTS = (1, 10, 10_000)
SOURCE = SourceUid("bench")


async def run(bench: Bench) -> None:
    """Measure for each number of endpoints; the ratio is of the time for a row, to that with ten of them."""
    bench.report.begin(PART, TEXT)
    matchers = {count: matcher(count) for count in ENDPOINTS}
    spent: dict[int, list[dict[str, float]]] = {count: [] for count in ENDPOINTS}
    lines = bench.rows.lines(bench.size(ROWS))
    for each in matchers.values():
        # A matcher sorts its endpoints out at the first row of each combination of types.
        judged(lines, each.match, source=SOURCE)
    # As the worker does: what was there before is not looked through for garbage.
    gc.freeze()
    for _ in range(bench.runs):
        for count, each in matchers.items():
            spent[count].append(judged(lines, each.match, source=SOURCE)[1])
    gc.unfreeze()
    ten = middle([sum(stages.values()) for stages in spent[10]])
    for count, runs in spent.items():
        totals = [sum(stages.values()) for stages in runs]
        split = {name: middle([stages[name] for stages in runs]) for name in runs[0]}
        bench.report.add(
            Figure(
                PART,
                f"{count:,} endpoint{'s'[: count > 1]}",
                [1e6 / total for total in totals],
                "rows/s",
                ratio=middle(totals) / ten,
                baseline="the time with 10 endpoints",
                goal="≤ 3" if count == 10_000 else "",
                note=f"{middle(totals):.0f} µs of CPU: " + ", ".join(f"{name} {us:.1f}" for name, us in split.items()),
                more={"us": {name: round(us, 2) for name, us in split.items()}},
            )
        )
