"""Isolation: fifty endpoints, some of which never answer; what the healthy ones notice of it."""

from collections.abc import Sequence

import msgspec

from relay.sandbox import lines
from tests.bench.bench import Bench
from tests.bench.figures import Figure
from tests.bench.ground import ground
from tests.bench.measuring import percentile
from tests.bench.timing import Callbacks, stopwatch, time_callbacks

PART = "isolation"
TEXT = "50 endpoints, 1,000 events a second in all; some take callbacks and never answer, so attempts end after 5 s"
ENDPOINTS = 50
SILENT = (0, 1, 5)
ALWAYS_HEALTHY = range(max(SILENT), ENDPOINTS)
RATE = 1_000
SECONDS = 16
SETTINGS = {"RELAY_ATTEMPT_TIMEOUT_SECONDS": "5"}
"""So that in a run of 16 s slots are held and given up, and held again."""
COLUMN = "c_turn"


async def run(bench: Bench) -> None:
    """Measure the same 45 endpoints each time; ratios are to the run in which all answer."""
    bench.report.begin(PART, TEXT)
    rows = [_in_turn(line, n) for n, line in enumerate(bench.rows.lines(RATE * bench.seconds(SECONDS)))]
    calm: tuple[float, float] | None = None
    for silent in SILENT:
        p99, share, came = _judged(await _callbacks(bench, rows, silent), rows)
        calm = calm or (p99, share)
        what = f"{silent} of {ENDPOINTS} silent"
        bench.report.add(
            Figure(
                PART, f"{what}: p99 of the healthy", [p99], "ms", ratio=p99 / calm[0],
                baseline="the run with none", goal="≤ 1.2" if silent else "",
            )
        )  # fmt: skip
        bench.report.add(
            Figure(
                PART, f"{what}: their throughput", [came], "/s", ratio=share / calm[1],
                baseline="the run with none", goal="≥ 0.95" if silent else "", note=f"{share:.1%} of what was due",
            )
        )  # fmt: skip


def _in_turn(line: bytes, number: int) -> bytes:
    return lines.encode(lines.decode(line) | {COLUMN: f"t{number % ENDPOINTS}"})


async def _callbacks(bench: Bench, rows: Sequence[bytes], silent: int) -> Callbacks:
    async with stopwatch(bench) as (url, _), ground(bench.own_folder(f"o{silent}"), SETTINGS) as store:
        await store.subscribe(
            ENDPOINTS,
            lambda number: f"{url}/{'never/' if number < silent else ''}{number}",
            filters=lambda number: {COLUMN: f"t{number}"},
        )
        return await time_callbacks(bench, store, url, rows, rate=RATE)


def _judged(callbacks: Callbacks, rows: Sequence[bytes]) -> tuple[float, float, float]:
    """p99 in ms, the share of what was due that came, and how much that was a second."""
    turns = {int(row["rowId"]): n % ENDPOINTS for n, row in enumerate(map(msgspec.json.decode, rows))}
    wanted = [(f"/{turns[row]}", row) for row in callbacks.steady() if turns[row] in ALWAYS_HEALTHY]
    delays = callbacks.delays_ms(wanted)
    shown = [callbacks.shown_ns[row] for _, row in wanted]
    return percentile(delays, 0.99), len(delays) / len(wanted), len(delays) / (max(shown) - min(shown)) * 1e9
