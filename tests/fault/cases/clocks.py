"""Clocks that are wrong: of the server, which is set while workers run, and of the machines that workers run on."""

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

from tests.fault.case import Finding, Skipped, case
from tests.fault.cases.outages import OVERLAP, under_load
from tests.fault.checker import delays_s
from tests.fault.ending import ended
from tests.fault.server import own_server
from tests.fault.stage import Stage, stage

LIBRARIES = ("libfaketime.so.1", "libfaketime.1.dylib")
FOLDERS = ("/usr/lib", "/usr/local/lib", "/opt/homebrew/lib")
HOUR_S = 3600
QUIET_WITHIN_S = 40.0
SLOWEST_S, UNPOLLED_S = 10.0, 15.0
RUNS_S = 6.0


def faketime(**settings: str) -> dict[str, str]:
    """The environment of a process whose clock is wrong. Raises Skipped where libfaketime is not installed."""
    for folder in map(Path, FOLDERS):
        for name in LIBRARIES:
            for found in folder.rglob(name):
                return {"LD_PRELOAD": str(found), "FAKETIME_DONT_FAKE_MONOTONIC": "1", **settings}
    raise Skipped("libfaketime is not installed (Debian's package faketime)")


@case("server-clock-set", goal="G2", seconds=60)
async def server_clock_set(seed: int) -> AsyncIterator[Finding]:
    """Under load the server's clock is set back by an hour, put ahead by two, and set right."""
    async with own_server() as server, stage(seed, settings={**OVERLAP, "RELAY_REDIS_URL": server.url}) as on:
        by = server.folder / "clock"
        by.write_text("+0")
        await server.kill()
        await server.start(faketime(FAKETIME_TIMESTAMP_FILE=str(by), FAKETIME_NO_CACHE="1"))
        async with under_load(on):
            for hours in (-1, 1, 0):
                await asyncio.sleep(RUNS_S)
                # Put in its place whole: one that is read half written would be another time.
                by.with_suffix(".new").write_text(f"{hours * HOUR_S:+}")
                by.with_suffix(".new").replace(by)
            await asyncio.sleep(RUNS_S)
        for finding in [*await ended(on, limit_s=QUIET_WITHIN_S, duplicates=0), *_waits(on)]:
            yield finding


@case("worker-clock-wrong", goal="G2", seconds=40)
async def worker_clock_wrong(seed: int) -> AsyncIterator[Finding]:
    """One worker's machine is an hour ahead, the other one's an hour behind."""
    wrong = [faketime(FAKETIME=f"{hours * HOUR_S:+}") for hours in (1, -1)]
    async with stage(seed, settings=OVERLAP) as on:
        async with under_load(on, workers=wrong):
            await asyncio.sleep(3 * RUNS_S)
        for finding in [*await ended(on, limit_s=QUIET_WITHIN_S, duplicates=0), *_waits(on)]:
            yield finding


def _waits(on: Stage) -> list[Finding]:
    """Rows come all the time, and none of the endpoints without an order waits for a receiver for long."""
    polled = sorted(on.shown.values())
    unordered = [arrival for arrival in on.recorder.arrivals if arrival.path not in ("e00", "e01")]
    return [
        Finding("the longest without a poll", max(b - a for a, b in pairwise(polled)), "<=", UNPOLLED_S, "s"),
        Finding("the longest from a row to its callback", max(delays_s(on.shown, unordered)), "<=", SLOWEST_S, "s"),
    ]
