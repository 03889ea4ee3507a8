"""Fixtures that every test may use: a real server, and a Redis client on an empty database."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings
from redis.asyncio import Redis

from relay.store.embedded import embedded_server
from tests.fakes.eyes import eyes
from tests.fault.server import own_server
from tests.fault.topologies import cluster, watched

# A generated example may take any time: the machine may be slow. The suite tries the same examples each time, so that
# it fails for a change only. `make fuzz` tries new ones.
PATIENT = settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture], database=None
)
settings.register_profile("relay", PATIENT, derandomize=True)
settings.register_profile("new", PATIENT, print_blob=True)
settings.load_profile("relay")
# As `relay` does. By default, structlog draws each traceback with rich, which takes a second.
*_before, _ = structlog.get_config()["processors"]
structlog.configure(
    [*_before, structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)]
)


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A real server for each test process, see `_store`; or that of RELAY_TEST_REDIS_URL."""
    if url := os.environ.get("RELAY_TEST_REDIS_URL"):
        yield url
        return
    loop = asyncio.new_event_loop()
    server = _store(os.environ.get("RELAY_TEST_TOPOLOGY", "server"))
    try:
        yield loop.run_until_complete(server.__aenter__())
    finally:
        loop.run_until_complete(server.__aexit__(None, None, None))
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


def _store(topology: str) -> AbstractAsyncContextManager[str]:
    """By RELAY_TEST_TOPOLOGY: one embedded Valkey, a master with Sentinels, or a cluster; of RELAY_TEST_PROGRAM."""
    return {"server": _server, "sentinel": _watched, "cluster": _cluster}[topology]()


@asynccontextmanager
async def _server() -> AsyncIterator[str]:
    if os.environ.get("RELAY_TEST_PROGRAM"):
        async with own_server() as server:
            yield server.url
        return
    folder = Path(tempfile.mkdtemp(prefix="relay-"))
    try:
        async with embedded_server(folder) as url:
            yield url
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def _watched() -> AsyncIterator[str]:
    async with watched() as on:
        yield on.url


@asynccontextmanager
async def _cluster() -> AsyncIterator[str]:
    async with cluster() as on:
        yield on.url


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    """A client on an emptied database."""
    client = eyes(redis_url)
    await client.flushdb()
    yield client
    await client.aclose()


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """An empty folder whose path is short enough for a socket in it; pytest's own are not."""
    folder = Path(tempfile.mkdtemp(prefix="relay-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--write`: see `make openapi`. `--examples`: see `make fuzz`."""
    parser.addoption("--write", action="store_true", help="record files anew instead of comparing with them")
    parser.addoption("--examples", type=int, default=2, help="how often schemathesis calls an operation in a phase")
