"""The connection keeps what asyncio promises: whoever cancels a task that waits for Redis is heard."""

import asyncio

from redis.asyncio import Redis

from relay.store.connection import connect


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
