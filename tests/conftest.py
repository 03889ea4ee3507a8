"""Fixtures that every test may use: a real server, and a Redis client on an empty database."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from relay.store.connection import use_own_connections
from relay.store.embedded import embedded_server


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """One real server for each test process: RELAY_TEST_REDIS_URL, or an embedded Valkey in a short-lived folder."""
    if url := os.environ.get("RELAY_TEST_REDIS_URL"):
        yield url
        return
    folder = Path(tempfile.mkdtemp(prefix="relay-"))
    loop = asyncio.new_event_loop()
    server = embedded_server(folder)
    try:
        yield loop.run_until_complete(server.__aenter__())
    finally:
        loop.run_until_complete(server.__aexit__(None, None, None))
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    """A client on an emptied database."""
    client = Redis.from_url(redis_url, protocol=3)
    # Commands packed in C: tests look at everything that is stored after each step.
    use_own_connections(client.connection_pool)
    await client.flushdb()
    yield client
    await client.aclose()


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """An empty folder whose path is short enough for a socket in it; pytest's own are not."""
    folder = Path(tempfile.mkdtemp(prefix="relay-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
