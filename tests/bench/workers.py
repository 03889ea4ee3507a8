"""The real worker, in a process of its own; under a sampling profiler if that is asked for."""

import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from relay.cli.demo.ports import free_port
from tests.bench.ground import Ground
from tests.bench.processes import Child, child, listens
from tests.bench.profiling import profiled

WORKER = ("-m", "relay.cli.main", "worker")


@asynccontextmanager
async def worker(
    ground: Ground, folder: Path, *, profile: Path | None = None, settings: Mapping[str, str] | None = None
) -> AsyncIterator[Child]:
    """Run one worker over a ground for as long as the block lasts, which begins when its health server listens.

    `settings` are further variables of its environment. With `profile` it is sampled from that moment on, see
    tests.bench.profiling.
    """
    port = free_port()
    environment = {**ground.environment, "RELAY_WORKER_PORT": str(port), **(settings or {})}
    async with child("worker", sys.executable, *WORKER, folder=folder, env=environment, ready=listens(port)) as running:
        if profile is None:
            yield running
            return
        async with profiled(running.pid, folder, profile):
            yield running
