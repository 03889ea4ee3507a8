"""Redis comes back empty: everything is restored from the checkpoint, by the workers themselves or when asked to."""

import asyncio
import sys

import httpx
from msgspec.structs import replace

from relay.cli.demo.ports import free_port
from tests.bench.processes import ChildFailed, child
from tests.fault.api import api
from tests.fault.cases.emptied import checkpoint_of, checkpointed, emptying, lose, now_ms, polled
from tests.fault.recorder import always
from tests.fault.stage import SOURCE, WORKER, Stage, until
from tests.patience import PATIENCE_S

ROWS = 1000


async def test_an_emptied_store_is_restored() -> None:
    """Under load, while deliveries wait and others are retried: nothing is missing, and every event keeps its id."""
    findings = [finding async for finding in emptying(5, rows=ROWS)]
    assert [(finding.what, finding.value) for finding in findings if not (finding.holds or finding.is_time)] == []
    assert {"lost", "until nothing is missing"} <= {finding.what for finding in findings}


async def test_by_hand_it_is_restored_when_asked() -> None:
    """Until then, workers and the API say why they wait, and nobody changes anything."""
    async with checkpointed(6, {"RELAY_RESTORE": "manual"}) as (server, on), api(on) as client:
        await on.endpoint("crm", always(500), retry_schedule=(2.0,) * 50)
        on.upstream.offer("crm")
        await on.worker()
        await on.taken_in()
        await on.stores.sources.change(SOURCE, lambda source: replace(source, start_row_id=None))
        await checkpoint_of(on, newer_than_ms=await now_ms(on))
        on.recorder.set("crm", always())
        await lose(server)
        on.upstream.offer("crm")
        await until(lambda: says(on, "run `relay restore`"), what="the worker to say what to do")
        refused = await client.post("/api/v1/app", json={"name": "other"})
        assert (refused.status_code, (await client.get("/health/ready")).status_code) == (503, 503)
        assert [arrival for arrival in on.recorder.of("crm") if arrival.accepted] == []
        said = (await restore(on)).splitlines()
        assert said[-5].startswith("Restored from the checkpoint of ")
        assert said[-4:] == [
            "  1 x application", "  1 x endpoint", "  1 x source",
            f"  faults/all is polled from behind rowId {on.upstream.offered[0].row - 1}",
        ]  # fmt: skip
        await until(lambda: polled(on), within_s=120, what="polling to resume")
        await on.drained()
        assert on.verdict().lost == []
        assert (await client.get("/health/ready")).status_code == 200
        assert "Nothing was changed" in await restore(on)


async def test_a_checkpoint_of_another_key_ends_a_worker() -> None:
    """With a message that says what to do, and an exit code that is not 0."""
    async with checkpointed(7) as (_, on):
        await on.worker()
        await checkpoint_of(on)
        key = {"RELAY_ENCRYPTION_KEY": "A" * 43 + "=", "RELAY_REDIS_URL": "", "RELAY_DATA_DIR": f"{on.folder}/other"}
        env = {**on.environment, **key, "RELAY_WORKER_PORT": str(free_port())}
        async with child("other", sys.executable, *WORKER, folder=on.folder, env=env) as other, asyncio.timeout(60):
            assert await other.process.wait() == 1
        said = other.log.read_text()
        assert "is sealed with a key that is not in RELAY_ENCRYPTION_KEY" in said
        assert "Add the old key behind the new one" in said


async def says(on: Stage, text: str) -> bool:
    """Whether the worker's health check says something."""
    port = on.ports[on.workers[0].name]
    async with httpx.AsyncClient(timeout=PATIENCE_S) as client:
        return text in (await client.get(f"http://127.0.0.1:{port}/health/ready")).text


async def restore(on: Stage) -> str:
    """Run the command; gives what it printed. Raises ChildFailed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "relay.cli.main", "restore",
        env=on.environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(60):
        output, _ = await process.communicate()
    if process.returncode:
        raise ChildFailed(output.decode())
    return output.decode()
