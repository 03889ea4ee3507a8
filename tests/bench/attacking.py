"""What a hundred endpoints with hostile expressions cost the others of a real worker."""

from collections.abc import Sequence
from typing import Any

import msgspec

from relay.domain.requests.model import RequestShape
from relay.sandbox import lines
from tests.bench.bench import Bench
from tests.bench.figures import Figure
from tests.bench.ground import Ground, ground
from tests.bench.measuring import percentile
from tests.bench.timing import stopwatch, time_callbacks
from tests.fakes.hostile_expressions import HOSTILE

ENDPOINTS = 50
ATTACKERS = 100
RATE = 500
ATTACKED_EACH = 5
"""Every fifth row is for an endpoint with a hostile expression as well."""
SECONDS = 24
KNOWN_AFTER_S = 12.0
"""A worker that starts evaluates each new expression once, the hostile ones too, before it knows which are which."""
GOOD, BAD = "c_good", "c_bad"


async def attacked(bench: Bench, part: str, expression: str) -> None:
    """The same 50 endpoints at a steady rate, in turns alone and with 100 hostile ones, all of them new."""
    rows = [_for_two(line, n) for n, line in enumerate(bench.rows.lines(RATE * bench.seconds(SECONDS)))]
    calm, attacked = list[float](), list[float]()
    for _ in range(bench.runs):
        calm.append(await _p99_ms(bench, rows, expression, attackers=0))
        attacked.append(await _p99_ms(bench, rows, expression, attackers=ATTACKERS))
    ratio = percentile([a / b for a, b in zip(attacked, calm, strict=True)], 0.5)
    bench.report.add(Figure(part, f"p99 at {RATE}/s, alone", calm, "ms"))
    bench.report.add(
        Figure(part, f"with {ATTACKERS} hostile", attacked, "ms", ratio=ratio, baseline="alone", goal="≤ 1.2")
    )


def _for_two(line: bytes, number: int) -> bytes:
    bad = {} if number % ATTACKED_EACH else {BAD: f"b{number // ATTACKED_EACH % ATTACKERS}"}
    return lines.encode(lines.decode(line) | {GOOD: f"g{number % ENDPOINTS}"} | bad)


async def _p99_ms(bench: Bench, rows: Sequence[bytes], expression: str, *, attackers: int) -> float:
    """From the answer that shows a row to its callback, of those that came; all of them must come."""
    async with stopwatch(bench) as (url, _), ground(bench.own_folder("a")) as store:
        await _subscribe(store, url, expression, attackers)
        callbacks = await time_callbacks(bench, store, url, rows, rate=RATE)
    first_ns = min(callbacks.shown_ns.values()) + KNOWN_AFTER_S * 1e9
    steady = {row for row, shown in callbacks.shown_ns.items() if shown >= first_ns}
    ids = [int(msgspec.json.decode(line)["rowId"]) for line in rows]
    wanted = [(f"/{n % ENDPOINTS}", row) for n, row in enumerate(ids) if row in steady]
    delays = callbacks.delays_ms(wanted)
    if len(delays) < len(wanted):
        bench.report.add(Figure("transforming", "callbacks that came late", [len(wanted) - len(delays)], ""))
    return percentile(delays, 0.99)


async def _subscribe(store: Ground, url: str, expression: str, attackers: int) -> None:
    texts = list(HOSTILE.values())

    def wanted(number: int) -> dict[str, Any]:
        return {GOOD: f"g{number}"} if number < ENDPOINTS else {BAD: f"b{number - ENDPOINTS}"}

    def shape(number: int) -> RequestShape:
        is_good = number < ENDPOINTS
        return RequestShape(transformation=expression if is_good else texts[number % len(texts)])

    await store.subscribe(ENDPOINTS + attackers, lambda number: f"{url}/{number}", filters=wanted, shapes=shape)
