"""Rolling restarts of workers under load, beside receivers that are slow, silent, dripping, failing and down."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from random import Random

import msgspec

from relay.domain.model import Endpoint
from tests.fault.case import Finding, case
from tests.fault.checker import delays_s, out_of_order, p
from tests.fault.ending import compared, quiet_s
from tests.fault.hostile_sink import hostile_sink
from tests.fault.recorder import MOST_IN_A_ROW, Habit, Reply, always, never, sometimes
from tests.fault.rolling import Rolling
from tests.fault.stage import Stage, stage

RESTARTS = 100
WORKERS = 2
RATE = 100.0
PAUSE_S = (0.0, 1.0)
ATTEMPT_S = 6.0
ENDS_WITHIN_S = ATTEMPT_S + 5
"""With the default deadline of 20 s for an attempt, this is 25 s."""
WELL = tuple(f"e{number}" for number in range(6))
SETTINGS = {"RELAY_ATTEMPT_TIMEOUT_SECONDS": f"{ATTEMPT_S:g}", "RELAY_LOG_FORMAT": "json"}
RETRIES = (2.0,) * 500
"""More than a run has time for: nothing is given up."""


@case("rolling-restarts", goal="G27", seconds=230)
async def rolling_restarts(seed: int) -> AsyncIterator[Finding]:
    """A hundred times a worker is replaced in good order; receivers are slow, silent, dripping and failing."""
    async with AsyncExitStack() as stack:
        on = await stack.enter_async_context(stage(seed, settings=SETTINGS))
        sink = await stack.enter_async_context(hostile_sink())
        names = await endpoints(on, f"http://127.0.0.1:{sink.port}/header-drip")
        rolling = Rolling(on)
        for _ in range(WORKERS):
            await rolling.start()
        load = asyncio.create_task(on.offer_at(RATE, 3600, lambda number: names[number % len(names)]))
        for _ in range(RESTARTS):
            await asyncio.sleep(on.rng.uniform(*PAUSE_S))
            await rolling.replace()
        load.cancel()
        with suppress(asyncio.CancelledError):
            await load
        await rolling.ended()
        await heal(on)
        yield Finding("until all is quiet after the last restart", await quiet_s(on, within_s=120), "<=", 60, "s")
        for finding in [*rolling.findings(limit_s=ENDS_WITHIN_S), *delivered(on)]:
            yield finding


async def endpoints(on: Stage, drip: str) -> list[str]:
    """Make endpoints of each kind; gives their names. `drip` is where a receiver answers a byte at a time."""
    for name in WELL:
        await on.endpoint(name, always(after_s=0.01))
    await on.endpoint("ordered", always(after_s=0.01), order="fifo")
    await on.endpoint("slow", always(after_s=1.5))
    ill = {
        "failing": sometimes(Random(on.rng.random()), 0.4),
        "tarpit": silent_sometimes(Random(on.rng.random()), 0.4),
        "silent": never(),
        "down": always(500),
    }
    for name, habit in ill.items():
        await on.endpoint(name, habit, retry_schedule=RETRIES)
    await on.endpoint("drip", url=drip, retry_schedule=RETRIES)
    return list(on.endpoints)


async def heal(on: Stage) -> None:
    """Have all receivers work again: what waits for them can arrive."""
    for name in ("failing", "tarpit", "silent", "down"):
        on.recorder.set(name, always())
    drip = on.endpoints["drip"]

    def moves(endpoint: Endpoint) -> Endpoint:
        return msgspec.structs.replace(endpoint, url=on.recorder.url("drip"))

    await on.stores.endpoints.change(on.application.id, drip.id, moves)


def delivered(on: Stage) -> list[Finding]:
    """What arrived, in which order and how late."""
    ordered = {each.row: "fifo" for each in on.offered if each.to == "ordered"}
    swapped = out_of_order(on.recorder.of("ordered"), ordered)
    delays = delays_s(on.shown, (each for each in on.recorder.arrivals if each.path in WELL))
    note = f"p50 {1000 * p(delays, 0.5):.0f} ms, p99 {1000 * p(delays, 0.99):.0f} ms"
    return [
        *compared(on, duplicates=0),
        Finding("out of order", len(swapped), "==", 0, "", f"of {len(ordered)}"),
        Finding("latest first callback of a receiver that is well", max(delays), "<=", 10, "s", note),
    ]


def silent_sometimes(rng: Random, share: float) -> Habit:
    """Leave a share of the requests without an answer, but not many in a row: that would open the breaker."""
    in_a_row = 0

    def habit(_number: int, _row: int) -> Reply | None:
        nonlocal in_a_row
        is_silent = in_a_row < MOST_IN_A_ROW and rng.random() < share
        in_a_row = in_a_row + 1 if is_silent else 0
        return None if is_silent else Reply()

    return habit
