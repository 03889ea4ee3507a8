"""A receiver that is down and comes back: the breaker, its probes, and what happens to a backlog."""

from collections.abc import AsyncIterator, Sequence
from itertools import pairwise
from time import monotonic

from relay.domain.model import Attempt
from tests.fault.case import Finding, case
from tests.fault.checker import delays_s, p
from tests.fault.recorder import Arrival, Habit, Reply, always
from tests.fault.stage import SOURCE, Stage, stage, until

RATE = 20.0
QUIET_S = 3.0
"""A pause of this length between requests says that the breaker is open: probes are at least 4.5 s apart."""


@case("breaker", goal="G22", seconds=80)
async def breaker(seed: int) -> AsyncIterator[Finding]:
    """A receiver begins to fail hard, and is well again just after a probe, with three workers."""
    async for finding in breaks(seed, probes=3, workers=3):
        yield finding


async def breaks(seed: int, *, probes: int, workers: int) -> AsyncIterator[Finding]:
    """Fail, see it open, heal it as soon as that many probes have come, and see it close."""
    async with stage(seed) as on:
        await on.endpoint("e00", always(), retry_schedule=(1.0,) * 6)
        for _ in range(workers):
            await on.worker()
        await on.offer_at(RATE, 1.0, lambda _: "e00")
        await until(lambda: on.recorder.arrivals, within_s=10, what="the first callback")
        on.recorder.set("e00", always(500, after_s=0.3))
        failed_at = monotonic()
        await on.offer_at(RATE, 2 * QUIET_S, lambda _: "e00")
        burst = before_a_pause(on.recorder.of("e00"), failed_at)
        yield Finding("opens after the failure began", burst[-1].at - failed_at, "<=", 10, "s")
        on.recorder.most_flying.clear()
        opened_at = burst[-1].at + 0.1
        await until(lambda: _since(on, opened_at)[probes - 1 :], within_s=70, what=f"{probes} probes")
        on.recorder.set("e00", always())
        healed_at, healed_ms = monotonic(), _since(on, 0)[-1].wall_ms
        while_open = _since(on, opened_at)
        gaps = [b.at - a.at for a, b in pairwise([burst[-1], *while_open])]
        yield Finding("shortest time between probes", min(gaps), ">=", 4.4, "s", f"{len(while_open)} probes")
        yield Finding("probes at once, over all workers", on.recorder.most_flying["e00"], "<=", 1)
        await until(lambda: _accepted(_since(on, healed_at))[9:], within_s=60, what="it to close")
        closed = _accepted(_since(on, healed_at))[9].at - healed_at
        yield Finding("closes after the receiver is well", closed, "<=", 35, "s", f"healed after {probes} probes")
        await on.drained()
        attempts = await on.stores.attempts.of_endpoint(SOURCE, on.endpoints["e00"].id, limit=10_000)
        first_probe_ms = while_open[0].wall_ms - 1000
        used = tries_used([a for _, a in attempts], after_ms=first_probe_ms, before_ms=healed_ms)
        yield Finding("tries that events used up while it was open", used, "==", 0)
        verdict = on.verdict()
        yield Finding("lost", len(verdict.lost), "==", 0, "", f"of {verdict.expected}")


def before_a_pause(arrivals: Sequence[Arrival], since: float) -> list[Arrival]:
    """The requests from a time on, up to the first long pause between two of them."""
    burst: list[Arrival] = []
    for arrival in arrivals:
        if arrival.at < since:
            continue
        if burst and arrival.at - burst[-1].at > QUIET_S:
            break
        burst.append(arrival)
    return burst


def tries_used(attempts: Sequence[Attempt], *, after_ms: int, before_ms: int) -> int:
    """How many failures of a time made the next try of their event count as one more."""
    by_event: dict[int, list[Attempt]] = {}
    for attempt in sorted(attempts, key=lambda each: each.started_at_ms):
        by_event.setdefault(attempt.seq, []).append(attempt)
    return sum(
        later.number > earlier.number
        for tries in by_event.values()
        for earlier, later in pairwise(tries)
        if after_ms <= earlier.started_at_ms < before_ms
    )


def _since(on: Stage, at: float) -> list[Arrival]:
    return [arrival for arrival in on.recorder.of("e00") if arrival.at > at]


def _accepted(arrivals: Sequence[Arrival]) -> list[Arrival]:
    return [arrival for arrival in arrivals if arrival.accepted]


BACKLOG = 50_000
CAP = 16


def with_room_for(on: Stage, path: str, most: int) -> Habit:
    """Answer after 10 ms; refuse what goes beyond `most` requests at once."""
    return lambda _number, _row: Reply(204, 0.01) if on.recorder.flying[path] < most else Reply(503)


@case("heals-with-a-backlog", goal="G23", seconds=75)
async def heals(seed: int) -> AsyncIterator[Finding]:
    """A receiver that was down and has 50,000 events to catch up with is well again, beside 49 with a trickle."""
    names = [f"e{number:02}" for number in range(1, 50)]
    async with stage(seed, pad_bytes=300) as on:
        await on.endpoint("e00", always(500), max_in_flight=CAP)
        for name in names:
            await on.endpoint(name, always())
        for _ in range(BACKLOG):
            on.upstream.offer("e00")
        await on.worker()
        await on.taken_in(within_s=120)
        before = await trickle(on, names)
        on.recorder.set("e00", with_room_for(on, "e00", CAP))
        healed_at = monotonic()
        on.recorder.most_flying.clear()
        await until(lambda: _accepted(_since(on, healed_at)), within_s=40, what="it to close")
        beside = await trickle(on, names)
        since = _since(on, healed_at)
        failed = len(since) - len(_accepted(since))
        left = BACKLOG - len({a.row for a in on.recorder.of("e00") if a.accepted})
        yield Finding("requests at once", on.recorder.most_flying["e00"], "<=", CAP, "", f"of {len(since)} since")
        yield Finding("errors after it was well", 100 * failed / len(since), "<=", 1, "%")
        note = f"{before:.0f} → {beside:.0f} ms; {left} left"
        yield Finding("p99 of the others while it catches up", beside / before, "<=", 1.2, "times", note)


async def trickle(on: Stage, names: Sequence[str]) -> float:
    """The p99 of 49 endpoints with four events a second each, in ms."""
    first = len(on.upstream.offered)
    await on.offer_at(200, 15, lambda number: names[number % len(names)])
    rows = {each.row for each in on.upstream.offered[first:]}
    await until(
        lambda: (
            rows <= {a.row for a in on.recorder.arrivals[-20_000:]} or rows <= {a.row for a in on.recorder.arrivals}
        ),
        within_s=20,
        what="the trickle",
    )
    shown = {row: at for row, at in on.upstream.shown.items() if row in rows}
    return p(delays_s(shown, on.recorder.arrivals), 0.99) * 1000
