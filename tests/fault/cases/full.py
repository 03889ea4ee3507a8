"""A server whose memory is full: nothing is lost, somebody is told, and all goes on by itself once there is room."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from time import monotonic

from redis.exceptions import RedisError

from relay.cli.demo.ports import free_port
from tests.fault.case import Finding, case
from tests.fault.ending import ended
from tests.fault.recorder import always
from tests.fault.server import Server, own_server
from tests.fault.serving import serving
from tests.fault.stage import Stage, stage

MEMORY = "64mb"
HEALTHY = ("e01", "e02", "e03", "e04")
DOWN = "e00"
DOWN_AT = "127.200.0.1"
ROWS = 16_000
"""80,000 deliveries, and 1.8 times as much as there is room for."""
PAD_BYTES = 6000
WORKERS = 2
STILL_S = 5.0
"""Nothing more arrives for so long: what could be delivered was."""
STILL_WITHIN_S = 40.0
FULL_S = 10.0
QUIET_WITHIN_S = 75.0
BLOCK = 256 * 1024
SAYS = re.compile(r"memory|store_full", re.IGNORECASE)


@case("full-redis", goal="G13", seconds=90)
async def full_redis(seed: int) -> AsyncIterator[Finding]:
    """64 MB, one of five endpoints refuses connections, 80,000 deliveries; then the endpoint is there again."""
    async for finding in filling(seed, memory=MEMORY, by_others=False):
        yield finding


@case("redis-filled-by-others", goal="G13", seconds=100)
async def filled_by_others(seed: int) -> AsyncIterator[Finding]:
    """The same, and somebody else takes the rest of the memory for ten seconds, to the last byte."""
    async for finding in filling(seed, memory=MEMORY, by_others=True):
        yield finding


async def filling(seed: int, *, memory: str, by_others: bool) -> AsyncIterator[Finding]:
    """Fill the server, keep it full for a while, and open the endpoint that is down."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(own_server("--maxmemory", memory))
        settings = {"RELAY_REDIS_URL": server.url}
        on = await stack.enter_async_context(stage(seed, pad_bytes=PAD_BYTES, settings=settings))
        port = free_port()
        await on.endpoint(DOWN, url=f"http://{DOWN_AT}:{port}/{DOWN}", everything=True, retry_schedule=(1.0,) * 50)
        for name in HEALTHY:
            await on.endpoint(name, always(), everything=True)
        for _ in range(ROWS):
            on.upstream.offer("*")
        for _ in range(WORKERS):
            await on.worker()
        await still(on)
        used = [await _used(server)]
        if by_others:
            await _take_the_rest(server)
        await asyncio.sleep(FULL_S)
        used.append(await _used(server))
        await server.ask("DEL", "others")
        delivered = sum(arrival.accepted for arrival in on.recorder.arrivals)
        yield Finding(
            "memory in use while it is down", 100 * max(used), ">=", 60, "%", f"{delivered} delivered by then"
        )
        said = _said(on)
        yield Finding("warnings that speak of memory", len(said), ">=", 1, "", said[0] if said else "")
        await stack.enter_async_context(serving(on.recorder.take, host=DOWN_AT, port=port))
        for finding in await ended(on, limit_s=QUIET_WITHIN_S, duplicates=0):
            yield finding
        yield Finding("memory in use then", 100 * await _used(server), "<=", 100, "%")


async def still(on: Stage) -> None:
    """Wait until nothing more arrives at the receivers."""
    began, seen, since = monotonic(), -1, monotonic()
    while monotonic() - since < STILL_S and monotonic() - began < STILL_WITHIN_S:
        if len(on.recorder.arrivals) != seen:
            seen, since = len(on.recorder.arrivals), monotonic()
        await asyncio.sleep(0.1)


async def _used(server: Server) -> float:
    """The share of the memory that is in use."""
    memory = await server.info("memory")
    return float(memory["used_memory"] / memory["maxmemory"]) if memory["maxmemory"] else 0.0


async def _take_the_rest(server: Server) -> None:
    """Write until the server refuses it."""
    block = BLOCK
    while block >= 1024:
        try:
            await server.ask("RPUSH", "others", "x" * block)
        except RedisError:
            block //= 2


def _said(on: Stage) -> list[str]:
    """The warnings and errors of the workers that speak of memory."""
    found = []
    for worker in on.workers:
        for line in worker.log.read_text().splitlines():
            with suppress(ValueError):
                said = json.loads(line)
                if said.get("level") in {"warning", "error"} and SAYS.search(line):
                    found.append(f"{said.get('event')}: {said.get('error', '')}")
    return found
