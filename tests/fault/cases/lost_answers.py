"""Answers of the server that never come: what was asked for took effect, and nobody knows."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

from tests.fault.case import Finding, case
from tests.fault.checker import out_of_order
from tests.fault.ending import ended
from tests.fault.proxy import proxy
from tests.fault.recorder import failing_rows
from tests.fault.server import own_server
from tests.fault.stage import Stage, stage

RATE = 60.0
SECONDS = 30.0
SHARE = 0.03
KEYS = 10
WORKERS = 2
FAILS_EVERY = 60
QUICK_RETRIES = (0.2,) * 10
QUIET_WITHIN_S = 40.0


@case("lost-answers", goal="G12", seconds=45)
async def lost_answers(seed: int) -> AsyncIterator[Finding]:
    """Three in a hundred answers of the server are lost with their connections; endpoints of all three orders."""
    async for finding in losing(seed, share=SHARE, at_least=80):
        yield finding


async def losing(seed: int, *, share: float, at_least: int) -> AsyncIterator[Finding]:
    """The workers' way to the server is a proxy; every 60th row fails once before they are accepted."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(own_server())
        front = server.socket.with_name("front.sock")
        way = await stack.enter_async_context(proxy(server.socket, front))
        on = await stack.enter_async_context(stage(seed, settings={"RELAY_REDIS_URL": server.url}))
        on.environment["RELAY_REDIS_URL"] = f"unix://{front}"
        await _endpoints(on)
        for _ in range(WORKERS):
            await on.worker()
        way.loses = lambda _: on.rng.random() < share
        await offer(on, SECONDS)
        way.loses = lambda _: False
        yield Finding("answers that were lost", way.lost, ">=", at_least)
        for finding in await ended(on, limit_s=QUIET_WITHIN_S, duplicates=way.lost * KEYS):
            yield finding
        keys = {each.row: each.key for each in on.upstream.offered}
        for name, key_of in (("fifo", dict.fromkeys(keys, "")), ("keyed", keys)):
            wrong = out_of_order(on.recorder.of(name), key_of)
            yield Finding(f"callbacks out of order, {name}", len(wrong), "==", 0, "", f"such as {wrong[:3]}")


async def _endpoints(on: Stage) -> None:
    once: Callable[[int], int] = lambda row: int(row % FAILS_EVERY == 0)  # noqa: E731
    for order in ("unordered", "fifo", "keyed"):
        fields: dict[str, Any] = {"order": order, "order_key": "c_key" if order == "keyed" else None}
        habit = failing_rows(once, 500)
        await on.endpoint(order, habit, everything=True, retry_schedule=QUICK_RETRIES, **fields)


async def offer(on: Stage, seconds: float) -> None:
    """Rows for everybody, with ten keys, at an even rate."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while (passed := loop.time() - began) < seconds:
        while len(on.upstream.offered) < RATE * passed:
            on.upstream.offer("*", key=f"k{len(on.upstream.offered) % KEYS}")
        await asyncio.sleep(0.01)
