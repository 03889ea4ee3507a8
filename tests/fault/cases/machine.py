"""The machine of random steps over the real core and the real exchange, for far longer than the tests run it."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from hypothesis import HealthCheck, Phase, settings
from hypothesis import seed as seeded
from hypothesis.stateful import run_state_machine_as_test

from relay.store.embedded import embedded_server
from tests.fault.case import Finding, case
from tests.integration.pipeline.test_sending_machine import World

RUNS, STEPS = 250, 80


@case("long-machine", goal="G1", seconds=240)
async def long_machine(seed: int) -> AsyncIterator[Finding]:
    """20,000 random steps: lost answers, dead workers, changed endpoints and orders, a store that goes back."""
    folder = Path(tempfile.mkdtemp(prefix="relay-"))
    try:
        async with embedded_server(folder) as url:
            bound = seeded(seed)(type("World", (World,), {"url": url}))
            # The machine has an event loop of its own.
            await asyncio.to_thread(
                run_state_machine_as_test,
                bound,
                settings=settings(
                    max_examples=RUNS,
                    stateful_step_count=STEPS,
                    deadline=None,
                    database=None,
                    suppress_health_check=list(HealthCheck),
                    phases=(Phase.generate,),
                ),
            )
        yield Finding(
            "steps after which the books added up and everything arrived in order", RUNS * STEPS, ">=", 20_000
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
