"""The connection keeps what asyncio promises: whoever cancels a task that waits for Redis is heard."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from relay.errors import StoreFull, StoreRefused, StoreUnavailable
from relay.store import keys
from relay.store.connection import connect
from relay.store.scripts import run_all, script
from tests.fault.stage import until
from tests.patience import PATIENCE_S

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
            done, _ = await asyncio.wait([task], timeout=PATIENCE_S)
            assert done, f"cancelled after {steps} steps of the loop, it went on"
            assert task.cancelled()
    finally:
        await client.aclose()


@pytest.fixture
async def client(redis: Redis, redis_url: str) -> AsyncIterator[Redis]:
    client = connect(redis_url)
    yield client
    await client.aclose()


async def test_a_connection_that_was_closed_is_opened_again(redis: Redis, client: Redis) -> None:
    """A write failed, or another task closed it: uvloop raises a RuntimeError for what asyncio ignores."""
    connection = await client.connection_pool.get_connection()
    try:
        connection._writer.close()
        await connection.send_command("GET", keys.CLOCK)
        assert await connection.read_response() is None
    finally:
        await client.connection_pool.release(connection)


async def test_a_server_that_is_busy_is_unavailable(redis: Redis, client: Redis) -> None:
    """Somebody's script keeps the server busy for longer than it waits with its answers: it can be asked again."""
    ((_, before),) = (await redis.config_get("busy-reply-threshold")).items()
    await redis.config_set("busy-reply-threshold", 1)
    busy = asyncio.create_task(redis.eval("while true do end", 0))  # type: ignore[arg-type]
    try:
        await until(lambda: _is_busy(client), what="the script to run")
        with pytest.raises(StoreUnavailable) as plain:
            await client.get(keys.CLOCK)
        with pytest.raises(StoreUnavailable) as together:
            async with client.pipeline(transaction=False) as pipe:
                await pipe.get(keys.CLOCK).get(keys.CLOCK).execute()
        assert [type(each.value) for each in (plain, together)] == [StoreUnavailable] * 2
    finally:
        await redis.script_kill()
        with pytest.raises(ResponseError, match="killed"):
            await busy
        await redis.config_set("busy-reply-threshold", before)
    assert await client.get("nothing") is None


async def _is_busy(client: Redis) -> bool:
    try:
        await client.get("nothing")
    except StoreUnavailable:
        return True
    return False


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
