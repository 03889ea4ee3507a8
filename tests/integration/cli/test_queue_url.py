"""The queue of jobs on another server: what is wrong with it is told at the start, under the name of its setting."""

import pytest

from relay.errors import StoreRefused
from relay.starting import check_queue
from tests.fault.server import own_server


async def test_the_server_of_the_queue_is_checked_at_the_start() -> None:
    """One that the relay can't work with is refused; one that is away may come."""
    async with own_server() as server:
        assert await check_queue(server.url)
        await server.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        with pytest.raises(StoreRefused, match=r"RELAY_QUEUE_REDIS_URL: .*maxmemory-policy"):
            await check_queue(server.url)
    assert not await check_queue(server.url)
