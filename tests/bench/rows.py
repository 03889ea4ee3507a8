"""Rows alone: parse, classify, name, normalise, encode and match, on one core, with nothing stored."""

import time

from relay.domain.matching import Matcher
from relay.domain.model import Application, ApplicationId, Endpoint, EndpointId, SourceUid
from tests.bench.bench import Bench
from tests.bench.figures import Figure
from tests.bench.judging import commits

PART = "rows"
TEXT = "parse, classify and match alone, each endpoint with a filter of its own"
ROWS = 8_000
ENDPOINTS = (1, 10, 100, 10_000)
MATCHING = 10
"""Of ten thousand endpoints as many match a row as of ten: the others' filters pin another value."""


async def run(bench: Bench) -> None:
    """Measure for each number of endpoints; the ratio is to the time that ten of them take."""
    bench.report.begin(PART, TEXT)
    lines = bench.rows.lines(bench.size(ROWS))
    paces: dict[int, list[float]] = {}
    for _ in range(bench.runs):
        for count in ENDPOINTS:
            paces.setdefault(count, []).append(_pace(lines, _matcher(count)))
    for count, values in paces.items():
        slower = sorted(ten / each for ten, each in zip(paces[10], values, strict=True))[len(values) // 2]
        bench.report.add(
            Figure(
                PART,
                f"{count:,} endpoint{'s'[: count > 1]}",
                values,
                "rows/s",
                ratio=slower,
                baseline="the time with 10 endpoints",
                goal="≤ 3" if count == 10_000 else "",
                note=f"{1e6 / sorted(values)[len(values) // 2]:.0f} µs a row",
            )
        )


def _matcher(count: int) -> Matcher:
    application = Application(id=ApplicationId("app_1"), name="bench")
    endpoints = [
        Endpoint(
            id=EndpointId(f"ep_{number}"), app_id=application.id, url="https://crm.example", filter=_filter(number)
        )
        for number in range(count)
    ]
    return Matcher([application], endpoints)


def _filter(number: int) -> dict[str, object]:
    if number < MATCHING:
        return {"callDuration": {"$gte": 0}} if number % 2 else {"act": {"$in": ["call", "land", "page"]}}
    return {"dgrpName": f"Brand {number}", "callDuration": {"$gt": number % 60}}


def _pace(lines: list[bytes], matcher: Matcher) -> float:
    # Once before: a matcher sorts its endpoints out at the first row of each combination of types.
    commits(lines, matcher.match, source=SourceUid("bench"))
    began = time.perf_counter()
    commits(lines, matcher.match, source=SourceUid("bench"))
    return len(lines) / (time.perf_counter() - began)
