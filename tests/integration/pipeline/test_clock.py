"""The clock of a process: it follows the Redis server's, and says when this machine's is off."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis

from relay.pipeline import clock as module
from relay.pipeline.clock import Clock, keep_time
from relay.store.operations import Operations
from relay.store.server import Server
from tests.patience import PATIENCE_S

HOUR_NS = 3_600 * 10**9
NEAR_MS = 60_000
"""Where the alternative is an hour."""


@asynccontextmanager
async def kept(clock: Clock, redis: Redis, **options: object) -> AsyncIterator[None]:
    """The clock follows the server's meanwhile."""
    task = asyncio.create_task(keep_time(clock, Server(redis), Operations(redis), **options))  # type: ignore[arg-type]
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(holds: object) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(PATIENCE_S):
        while not await holds():  # type: ignore[operator]
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("hours", [-1, 0, 1])
async def test_a_machine_whose_clock_is_wrong_goes_by_the_servers(
    redis: Redis, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """Whatever this machine believes: what it writes down as due is right for all others."""
    right = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: right() + hours * HOUR_NS)
    clock = Clock()
    await clock.read(Server(redis))
    assert abs(clock.now_ms() - right() // 1_000_000) < NEAR_MS
    assert clock.is_off() == bool(hours)
    assert (clock.trouble() or "").startswith("the clock of this machine differs by") == bool(hours)


async def test_a_clock_that_is_off_is_told_once_and_when_it_is_right_again(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "READ_EVERY_S", 0.01)
    right, ahead = time.time_ns, HOUR_NS
    monkeypatch.setattr(time, "time_ns", lambda: right() + ahead)
    operations = Operations(redis)

    async def told(number: int) -> bool:
        return len(await operations.page(limit=9)) >= number

    async with kept(Clock(), redis):
        await until(lambda: told(1))
        await asyncio.sleep(0.1)
        ahead = 0
        await until(lambda: told(2))
    found = [(each.kind, each.data["skewSeconds"]) for each in await operations.page(limit=9)]
    assert found == [("clock.right", 0), ("clock.off", 3600)]


async def test_a_servers_clock_that_was_set_back_is_followed(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever wrote down times by it hears of that, once."""
    monkeypatch.setattr(module, "READ_EVERY_S", 0.01)
    clock, heard, server = Clock(), asyncio.Event(), Server(redis)

    async def set_back() -> None:
        assert not heard.is_set()
        heard.set()

    await clock.read(server)
    async with kept(clock, redis, set_back=set_back):
        await asyncio.sleep(0.05)
    assert not heard.is_set()
    # What the process believes is put ahead, as if the server's clock had gone back.
    clock._offset_ns += HOUR_NS
    async with kept(clock, redis, set_back=set_back), asyncio.timeout(PATIENCE_S):
        await heard.wait()
        await asyncio.sleep(0.05)
    assert abs(clock.now_ms() - time.time_ns() // 1_000_000) < NEAR_MS
    assert not clock.is_off()


async def test_without_the_server_a_clock_goes_on(redis: Redis) -> None:
    """By this machine's as long as the server was never asked."""
    clock = Clock()
    began_ms, now_ms = time.time_ns() // 1_000_000, clock.now_ms()
    assert began_ms - 1 <= now_ms <= time.time_ns() // 1_000_000 + 1
    assert not clock.is_off()
    await clock.read(Server(redis))
    before, began_ms = clock.now_ms(), time.monotonic_ns() // 1_000_000
    await asyncio.sleep(0.01)
    assert 10 <= clock.now_ms() - before <= time.monotonic_ns() // 1_000_000 - began_ms + 1
