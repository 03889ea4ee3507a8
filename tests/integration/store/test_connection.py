"""The connection keeps what asyncio promises: whoever cancels a task that waits for Redis is heard."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from relay.errors import StoreFull, StoreRefused, StoreUnavailable
from relay.store import keys
from relay.store.connection import connect
from relay.store.scripts import run_all, script

TEXT = "relay:{text}"


async def _ask_for_ever(client: Redis) -> None:
    while True:
        await client.get("nothing")


async def test_a_cancellation_is_never_swallowed(redis: Redis, redis_url: str) -> None:
    """A task that asks Redis again and again ends when it is cancelled, at whatever step of a command that is."""
    client = connect(redis_url)
    try:
        for steps in range(60):
            task = asyncio.create_task(_ask_for_ever(client))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            done, _ = await asyncio.wait([task], timeout=1)
            assert done, f"cancelled after {steps} steps of the loop, it went on"
            assert task.cancelled()
    finally:
        await client.aclose()


@pytest.fixture
async def client(redis: Redis, redis_url: str) -> AsyncIterator[Redis]:
    client = connect(redis_url)
    yield client
    await client.aclose()


async def test_a_server_that_is_busy_is_unavailable(redis: Redis, client: Redis) -> None:
    """Somebody's script keeps the server busy for longer than it waits with its answers: it can be asked again."""
    ((_, before),) = (await redis.config_get("busy-reply-threshold")).items()
    await redis.config_set("busy-reply-threshold", 1)
    loops = "local t = redis.call('TIME') repeat local n = redis.call('TIME') until n[1] - t[1] > 1"
    busy = asyncio.create_task(redis.eval(loops, 0))  # type: ignore[arg-type]
    try:
        await asyncio.sleep(0.1)
        with pytest.raises(StoreUnavailable) as plain:
            await client.get(keys.CLOCK)
        with pytest.raises(StoreUnavailable) as together:
            async with client.pipeline(transaction=False) as pipe:
                await pipe.get(keys.CLOCK).get(keys.CLOCK).execute()
        assert [type(each.value) for each in (plain, together)] == [StoreUnavailable] * 2
    finally:
        await busy
        await redis.config_set("busy-reply-threshold", before)
    assert await client.get("nothing") is None


async def test_a_refusal_has_a_name(redis: Redis, client: Redis) -> None:
    """A key of another type, or a script that fails, is the relay's own error, and tells nobody's data."""
    await redis.set(TEXT, "x")
    change, key = script("change_condition"), [TEXT]
    args = ["ep_a", "open", "s", 1, 0, 2, 3, "channel"]
    with pytest.raises(StoreRefused, match="WRONGTYPE"):
        await client.lpush(TEXT, "secret")  # type: ignore[misc]
    with pytest.raises(StoreRefused, match="WRONGTYPE"):
        async with client.pipeline(transaction=True) as pipe:
            await pipe.lpush(TEXT, "secret").execute()
    with pytest.raises(StoreRefused, match="WRONGTYPE"):
        await change(client, key, args)
    with pytest.raises(StoreRefused, match="WRONGTYPE"):
        await run_all(client, [(change, key, args)])
    with pytest.raises(StoreRefused) as unknown:
        await client.execute_command("NONSENSE", "secret")
    with pytest.raises(StoreRefused) as together:
        async with client.pipeline(transaction=False) as pipe:
            await pipe.lpush(TEXT, "secret").execute()
    assert "secret" not in f"{unknown.value} {together.value}"


async def test_a_full_server_is_full_in_every_way(redis: Redis, client: Redis) -> None:
    """Also when several scripts run in one round trip."""
    await redis.config_set("maxmemory", 1)
    try:
        with pytest.raises(StoreFull):
            await run_all(client, [(script("commit_page"), ["relay:s:{uk}:fence"], [])])
    finally:
        await redis.config_set("maxmemory", 0)
