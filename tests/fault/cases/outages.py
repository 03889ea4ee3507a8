"""A server that comes back without its last seconds: nothing is lost, for what it forgot is polled again."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Any

from relay.domain.model import Order
from tests.fault.case import Finding, case
from tests.fault.ending import ended
from tests.fault.proxy import proxy
from tests.fault.recorder import sometimes
from tests.fault.server import Server, own_server
from tests.fault.stage import Stage, stage, until

ENDPOINTS = 20
RATE = 500.0
WORKERS = 2
ORDERS: dict[int, Order] = {0: "fifo", 1: "keyed"}
"""Of the first endpoints; the others have none."""
FAILING = 0.02
QUICK_RETRIES = (0.5,) * 20
QUIET_WITHIN_S = 40.0
LEAST_CUT_MB = 0.2
SLACK_S = 1.0
"""What was on its way when a server lost its end can have arrived so much earlier."""
OVERLAP = {"RELAY_OVERLAP_SECONDS": "2", "RELAY_OVERLAP_INTERVAL_SECONDS": "0.5"}
"""Rows are read again all the time, so an event that is made once more has another number than before."""


@case("cut-tail", goal="G4", seconds=60)
async def cut_tail(seed: int) -> AsyncIterator[Finding]:
    """Five times the server is killed under load, and 1.5 s are cut off the end of its file before it starts again."""
    async for finding in cut_tails(seed, times=5, seconds=1.5):
        yield finding


async def cut_tails(seed: int, *, times: int, seconds: float) -> AsyncIterator[Finding]:
    """Kill, cut and start; the workers live on."""
    async with own_server() as server, stage(seed, settings=_settings(server.url, server.folder)) as on:
        async with under_load(on):
            cut = doubtful = 0
            for _ in range(times):
                await asyncio.sleep(on.rng.uniform(3, 5))
                await server.kill()
                since = monotonic() - seconds - SLACK_S
                # Anywhere, as when the power fails: also in the middle of a command.
                cut += server.cut(seconds, further_bytes=on.rng.randrange(500)) if seconds else 0
                await asyncio.sleep(on.rng.uniform(0.1, 1))
                await server.start()
                doubtful += accepted_since(on, since)
            await asyncio.sleep(3)
        yield Finding("cut off the file", cut / 1e6, ">=", LEAST_CUT_MB * times, "MB", f"in {times} times")
        for finding in await ended(on, limit_s=QUIET_WITHIN_S, duplicates=doubtful):
            yield finding


@case("promoted-replica", goal="G5", seconds=60)
async def promoted_replica(seed: int) -> AsyncIterator[Finding]:
    """Three times a replica that is seconds behind is promoted, for the primary was killed under load."""
    async for finding in promoted_replicas(seed, times=3, lag_s=(2.0, 4.0)):
        yield finding


async def promoted_replicas(seed: int, *, times: int, lag_s: tuple[float, float]) -> AsyncIterator[Finding]:
    """The relay's URL leads to whichever is primary, as a service or a proxy that asks Sentinel does."""
    async with AsyncExitStack() as stack:
        primary, replica = [await stack.enter_async_context(own_server()) for _ in range(2)]
        # In the folder of the second, which is short enough for a socket.
        front = await stack.enter_async_context(proxy(primary.socket, replica.socket.with_name("front.sock")))
        link = await stack.enter_async_context(proxy(primary.port))
        url = f"unix://{replica.socket.with_name('front.sock')}"
        on = await stack.enter_async_context(stage(seed, settings=_settings(url, replica.folder)))
        doubtful = 0
        async with under_load(on):
            for _ in range(times):
                await follow(replica, primary, link.port)
                await asyncio.sleep(on.rng.uniform(2, 3))
                since = monotonic() - SLACK_S
                link.hold()
                await asyncio.sleep(on.rng.uniform(*lag_s))
                await primary.kill()
                link.cut()
                # For a moment the relay speaks to one that is a replica still.
                front.lead_to(replica.socket)
                await asyncio.sleep(on.rng.uniform(0.1, 1))
                await replica.ask("REPLICAOF", "NO", "ONE")
                doubtful += accepted_since(on, since)
                await primary.start()
                primary, replica = replica, primary
                link.lead_to(primary.port)
            await asyncio.sleep(3)
        for finding in await ended(on, limit_s=QUIET_WITHIN_S, duplicates=doubtful):
            yield finding


async def follow(replica: Server, primary: Server, port: int) -> None:
    """Make one server the other's replica, by a port that leads there, and wait until it has all that is not new."""

    async def caught_up() -> bool:
        one, other = await primary.info("replication"), await replica.info("replication")
        if other.get("master_link_status") != "up":
            return False
        return int(one["master_repl_offset"]) - int(other["slave_repl_offset"]) < 1_000_000

    await replica.ask("REPLICAOF", "127.0.0.1", port)
    await until(caught_up, within_s=30, what="the replica to catch up")


@asynccontextmanager
async def under_load(on: Stage, *, workers: Sequence[Mapping[str, str]] = ({},) * WORKERS) -> AsyncIterator[None]:
    """Endpoints of all orders, workers, and rows for as long as the block lasts. `workers`: the environment of each."""
    for number in range(ENDPOINTS):
        habit = sometimes(on.rng, FAILING, after_s=0.005)
        fields: dict[str, Any] = {"order": ORDERS.get(number, "unordered"), "order_key": "c_group"}
        await on.endpoint(_to(number), habit, retry_schedule=QUICK_RETRIES, **fields)
    for environment in workers:
        await on.worker(env=environment)
    load = asyncio.create_task(on.offer_at(RATE, 3600, _to))
    try:
        yield
    finally:
        load.cancel()
        with suppress(asyncio.CancelledError):
            await load


def accepted_since(on: Stage, at: float) -> int:
    """How many callbacks were accepted since then: a server that forgot that may send each of them again."""
    return sum(arrival.accepted and arrival.at >= at for arrival in on.recorder.arrivals)


def _settings(url: str, folder: Path) -> dict[str, str]:
    """With checkpoints in a folder: a server that went back in time is compared with them."""
    return {**OVERLAP, "RELAY_REDIS_URL": url, "RELAY_CHECKPOINT_URL": f"file://{folder}/checkpoint"}


def _to(number: int) -> str:
    return f"e{number % ENDPOINTS:02}"
