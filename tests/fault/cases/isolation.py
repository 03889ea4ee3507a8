"""One endpoint's trouble is its own: silent ones, and one that has much to catch up with, beside healthy ones."""

import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from statistics import median

import msgspec

from relay.domain.model import Endpoint
from tests.fault.case import Finding, case
from tests.fault.checker import delays_s, p
from tests.fault.recorder import Habit, always, never
from tests.fault.stage import stage, until

ENDPOINTS = 50
RATE = 1000.0
"""Events a second in all: 20 for each endpoint."""
WARM_UP_S, MEASURED_S = 4.0, 8.0
REPEATS = 3


@dataclass(frozen=True, slots=True)
class Healthy:
    """What the healthy endpoints saw in one run."""

    p50_ms: float
    p99_ms: float
    arrived: float
    """The share of their rows that arrived in the time."""


async def beside(seed: int, sick: int, habit: Callable[[], Habit], *, rate: float = RATE) -> Healthy:
    """One run: all endpoints are well, then the first `sick` of them are not; how the others fare from then on."""
    names = [f"e{number:02}" for number in range(ENDPOINTS)]
    async with stage(seed, pad_bytes=1500) as on:
        for name in names:
            await on.endpoint(name, always())
        worker = await on.worker()
        # Windows grow while all is well, so what goes silent then holds as much as an endpoint can.
        await on.offer_at(rate, WARM_UP_S, lambda number: names[number % ENDPOINTS])
        for name in names[:sick]:
            on.recorder.set(name, habit())
        began = time.monotonic()
        await on.offer_at(rate, MEASURED_S, lambda number: names[number % ENDPOINTS])
        ended = time.monotonic()
        await on.kill(worker)  # It would wait for those who never answer.
        healthy = set(names[sick:])
        rows = {each.row for each in on.upstream.offered if each.to in healthy}
        measured = {row: at for row, at in on.upstream.shown.items() if row in rows and began < at < ended - 1}
        arrivals = [a for a in on.recorder.arrivals if a.path in healthy and a.at < ended]
        delays = delays_s(measured, arrivals)
        return Healthy(p(delays, 0.5) * 1000, p(delays, 0.99) * 1000, len(delays) / max(1, len(measured)))


async def compare(seed: int, counts: tuple[int, ...], habit: Callable[[], Habit]) -> dict[int, list[Healthy]]:
    """Runs by the number of sick endpoints, by turns, so that whatever else this machine does meets all alike."""
    runs: dict[int, list[Healthy]] = {sick: [] for sick in counts}
    for _ in range(REPEATS):
        for sick in counts:
            runs[sick].append(await beside(seed, sick, habit))
    return runs


def growth(runs: dict[int, list[Healthy]], sick: int, limit: float) -> Finding:
    """How much the p99 of the healthy grew, as the medians of the runs have it."""
    well, ill = (median(run.p99_ms for run in runs[count]) for count in (0, sick))
    rounds = ", ".join(f"{a.p99_ms:.0f}→{b.p99_ms:.0f}" for a, b in zip(runs[0], runs[sick], strict=True))
    note = f"{well:.1f} → {ill:.1f} ms; rounds {rounds} ms; {RATE:g} events/s"
    return Finding(f"p99 of the healthy beside {sick} of {ENDPOINTS}", ill / well, "<=", limit, "times", note)


def throughput(runs: dict[int, list[Healthy]], sick: int, limit: float) -> Finding:
    """The share of the healthy endpoints' rows that arrived in time."""
    arrived = median(run.arrived for run in runs[sick])
    return Finding(f"throughput of the healthy beside {sick}", 100 * arrived, ">=", limit, "%")


@case("silent-endpoints", goal="G17", seconds=180)
async def silent(seed: int) -> AsyncIterator[Finding]:
    """One, five, ten of fifty endpoints stop answering: the others notice nothing."""
    runs = await compare(seed, (0, 1, 5, 10), never)
    for sick, limit, share in ((1, 1.2, 95), (5, 1.2, 95), (10, 1.5, 90)):
        yield growth(runs, sick, limit)
        yield throughput(runs, sick, share)


@case("backlog", goal="G19", seconds=90)
async def backlog(seed: int) -> AsyncIterator[Finding]:
    """One endpoint has 100,000 events to catch up with, 49 have a trickle."""
    names = [f"e{number:02}" for number in range(1, ENDPOINTS)]
    size = 100_000
    async with stage(seed, pad_bytes=300) as on:
        big = await on.endpoint("e00", always(after_s=0.02), paused=True)
        for name in names:
            await on.endpoint(name, always())
        for _ in range(size):
            on.upstream.offer("e00")
        await on.worker()
        await on.taken_in(within_s=120)
        await on.stores.endpoints.change(on.application.id, big.id, _goes_on)
        await until(lambda: on.recorder.of("e00"), within_s=30, what="the backlog to move")
        began, before = time.monotonic(), len(on.upstream.offered)
        await on.offer_at(100, 15, lambda number: names[number % len(names)])
        passed, drained = time.monotonic() - began, len(on.recorder.of("e00"))
        left = size - drained
        await until(
            lambda: (
                len(delays_s(on.upstream.shown, (a for a in on.recorder.arrivals if a.path != "e00")))
                >= len(on.upstream.offered) - before
            ),
            within_s=10,
            what="the trickle to arrive",
        )
        delays = delays_s(on.upstream.shown, (a for a in on.recorder.arrivals if a.path != "e00"))
        note = f"p50 {p(delays, 0.5) * 1000:.0f} ms; backlog went at {drained / passed:.0f}/s, {left} left at the end"
        yield Finding("p99 of the trickle", p(delays, 0.99) * 1000, "<=", 500, "ms", note)
        yield Finding("backlog left when the trickle ended", left, ">=", 1, "", "else nothing was measured")


def _goes_on(endpoint: Endpoint) -> Endpoint:
    return msgspec.structs.replace(endpoint, paused=False)
