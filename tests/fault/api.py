"""The REST API as a process, and a client that may do everything."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from relay.cli.demo.ports import free_port
from tests.bench.processes import child, listens
from tests.fault.stage import Stage


@asynccontextmanager
async def api(on: Stage) -> AsyncIterator[httpx.AsyncClient]:
    """Run one on a stage for as long as the block lasts."""
    port = free_port()
    env = {**on.environment, "RELAY_PORT": str(port)}
    headers = {"authorization": f"Bearer {on.environment['RELAY_ADMIN_KEY']}"}
    command = (sys.executable, "-m", "relay.cli.main", "serve")
    async with (
        child("api", *command, folder=on.folder, ready=listens(port), env=env),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30) as client,
    ):
        yield client
