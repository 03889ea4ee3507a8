"""A server that comes back with nothing: everything is restored from the checkpoint, and nothing is missing."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from time import monotonic

from msgspec.structs import replace

from relay.config import load
from relay.domain.checkpoint import Head
from relay.errors import StoreUnavailable
from relay.outbound.objects import Objects
from relay.pipeline.checkpoints import Checkpoints
from relay.store.vault import Vault
from tests.fault.case import Finding, case
from tests.fault.ending import compared
from tests.fault.recorder import always
from tests.fault.server import Server, own_server
from tests.fault.stage import SOURCE, Stage, TooLate, stage, until
from tests.patience import PATIENCE_S

ENDPOINTS = 10
DOWN = ("e00", "e01")
"""A fifth of all deliveries waits for its next try when the server is lost."""
ROWS = 50_000
WORKERS = 2
WITHIN_S = 30.0
"""Goal G6: until nothing is missing at the receivers."""
ANSWERS_AFTER_S = 0.05


@case("emptied-redis", goal="G6", seconds=120)
async def emptied_redis(seed: int) -> AsyncIterator[Finding]:
    """The server is killed and comes back empty while 50,000 deliveries wait, a fifth of them for a retry."""
    async for finding in emptying(seed, rows=ROWS):
        yield finding


async def emptying(seed: int, *, rows: int) -> AsyncIterator[Finding]:
    """Offer rows, lose the server when a part of them was delivered, and let the workers do the rest."""
    async with checkpointed(seed) as (server, on):
        await subscribed(on)
        for number in range(rows):
            on.upstream.offer(f"e{number % ENDPOINTS:02}")
        for _ in range(WORKERS):
            await on.worker()
        await on.taken_in(within_s=120)
        # A route without a cursor would begin behind the newest row from now on.
        await on.stores.sources.change(SOURCE, lambda source: replace(source, start_row_id=None))
        began = monotonic()
        await checkpoint_of(on, newer_than_ms=await now_ms(on))
        yield Finding("until a checkpoint is newer than a moment", monotonic() - began, "<=", 10, "s")
        waiting = await on.outstanding()
        delivered = {(a.path, a.row) for a in on.recorder.arrivals if a.accepted}
        yield Finding("deliveries that wait when the server is lost", waiting, ">=", rows / 5, "", f"of {rows}")
        for name in on.endpoints:
            on.recorder.set(name, always())
        came_back = await lose(server)
        on.upstream.offer("e02")
        resumed = await until(lambda: polled(on), within_s=120, what="polling to resume")
        yield Finding("until polling is resumed", resumed, "<=", WITHIN_S, "s")
        with suppress(TooLate):
            await until(lambda: not on.verdict().lost, within_s=3 * WITHIN_S, what="all events", every_s=0.5)
        yield Finding("until nothing is missing", monotonic() - came_back, "<=", WITHIN_S, "s")
        await on.drained(within_s=120)
        for finding in compared(on, duplicates=len(delivered) + waiting):
            yield finding
        broken = [worker for worker in on.workers if worker.process.returncode is not None]
        yield Finding("workers that ended by themselves", len(broken), "==", 0)


@case("two-relays", goal="G6", seconds=30)
async def two_relays(seed: int) -> AsyncIterator[Finding]:
    """A worker is started with another, empty server while the checkpoint is written: it ends, and changes nothing."""
    async with checkpointed(seed) as (_, on):
        await on.endpoint("e00", always())
        working = await on.worker()
        before = await checkpoint_of(on)
        began = monotonic()
        other = await on.worker(env={"RELAY_REDIS_URL": "", "RELAY_DATA_DIR": f"{on.folder}/other"})
        async with asyncio.timeout(60):
            code = await other.process.wait()
        said = "two relays disagree" in other.log.read_text()
        yield Finding("until it ends", monotonic() - began, "<=", WITHIN_S, "s")
        yield Finding("its exit code", code, "==", 1, "", "and it says why" if said else "and it does not say why")
        after = await checkpoint_of(on, newer_than_ms=await now_ms(on))
        yield Finding("checkpoints of another epoch", int(after.epoch.id != before.epoch.id), "==", 0)
        yield Finding("workers that ended beside it", int(working.process.returncode is not None), "==", 0)


@asynccontextmanager
async def checkpointed(seed: int, settings: Mapping[str, str] | None = None) -> AsyncIterator[tuple[Server, Stage]]:
    """A stage on a server of its own, with checkpoints in a folder beside it."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(own_server())
        place = {
            "RELAY_REDIS_URL": server.url,
            "RELAY_CHECKPOINT_URL": f"file://{server.folder}/checkpoint",
            # What is polled again is what was not delivered, and not the reach of the overlap.
            "RELAY_OVERLAP_ROWS": "1",
        }
        on = await stack.enter_async_context(stage(seed, settings={**place, **(settings or {})}))
        yield server, on


async def subscribed(on: Stage) -> None:
    """Make the endpoints: some are down, the others take their time."""
    for number in range(ENDPOINTS):
        name = f"e{number:02}"
        habit = always(500) if name in DOWN else always(after_s=ANSWERS_AFTER_S)
        await on.endpoint(name, habit, max_in_flight=8, retry_schedule=(5.0,) * 100)


async def lose(server: Server) -> float:
    """Kill the server, remove its files, and start it again; gives when it answered, of time.monotonic()."""
    await server.kill()
    shutil.rmtree(server.folder / "appendonlydir")
    await server.start()
    return monotonic()


async def polled(on: Stage) -> bool:
    """Whether the newest row that the upstream has is taken in."""
    with suppress(StoreUnavailable):
        return await on.is_taken_in()
    return False


async def now_ms(on: Stage) -> int:
    """The clock of the server."""
    seconds, micros = await on.stores.redis.time()
    return int(seconds) * 1000 + int(micros) // 1000


async def checkpoint_of(on: Stage, *, newer_than_ms: int = 0, within_s: float = PATIENCE_S) -> Head:
    """Wait for a checkpoint that was taken after a time."""
    settings = load(on.environment)
    assert settings.checkpoint_url is not None
    checkpoints = Checkpoints(Objects(settings.checkpoint_url), Vault(settings.encryption_key))
    found: list[Head] = []

    async def is_there() -> bool:
        newest = (await checkpoints.heads()).newest
        if newest is None or newest.at_ms < newer_than_ms:
            return False
        found.append(newest)
        return True

    await until(is_there, within_s=within_s, what="a checkpoint")
    return found[0]
