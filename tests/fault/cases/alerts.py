"""Alerts: each fires in its fault, and all are silent when nothing is wrong. A real Prometheus asks real workers."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from time import monotonic

import httpx
from msgspec.structs import replace
from redis.exceptions import RedisError

from relay.domain.model import Endpoint, Source
from relay.store.reconciliations import Range
from tests.bench.processes import Child
from tests.fault.case import Finding, case
from tests.fault.prometheus import ALERTS, Prometheus, prometheus
from tests.fault.recorder import Habit, always, failing_rows
from tests.fault.server import Server, own_server
from tests.fault.serving import Exchange
from tests.fault.stage import SOURCE, Stage, now_ms, stage, until

FACTOR = 0.01
"""A minute of the rules is 0.6 s, a quarter of an hour 9 s."""
MEMORY_MB = 64
CLEAN_S = 30.0
FIRES_WITHIN_S = 60.0
"""A route counts as late after 10 s, whatever its interval, and the backlog is counted each 5 s."""
PAGE_TAKES_S = 0.2
FULL_SHARE = 0.88
BLOCK = 256 * 1024
BIG_BYTES = 25_000
"""Of a row: 150 of them are more than the budget of an endpoint."""
SETTINGS = {
    "RELAY_RETRY_SCHEDULE": "0.5,0.5",
    "RELAY_OVERLAP_SECONDS": "1", "RELAY_OVERLAP_INTERVAL_SECONDS": "0.5", "RELAY_GAP_DEADLINE_SECONDS": "1",
    "RELAY_CHANGE_SCHEDULE": "0", "RELAY_OVERLAP_ROWS": "1",
    "RELAY_BACKLOG_STOP_DELIVERIES": "2000", "RELAY_BACKLOG_RESUME_DELIVERIES": "1000",
    "RELAY_ENDPOINT_BACKLOG_BYTES": "3000000",
}  # fmt: skip


class Field:
    """Where the faults happen."""

    def __init__(self, on: Stage, server: Server, watch: Prometheus) -> None:
        self.on = on
        self.server = server
        self.watch = watch

    async def workers(self, count: int) -> None:
        """Start so many, and have Prometheus ask those that run now."""
        for _ in range(count):
            await self.on.worker()
        self.scrape()

    def scrape(self) -> None:
        """Have Prometheus ask the workers that run."""
        self.watch.scrape(self.on.ports[worker.name] for worker in self.on.workers)

    async def endpoint(self, name: str, habit: Habit | None = None, **fields: object) -> Endpoint:
        """An endpoint that gets the rows addressed to it."""
        return await self.on.endpoint(name, habit, **fields)

    async def change(self, endpoint: Endpoint, **fields: object) -> None:
        """Change an endpoint."""
        endpoints = self.on.stores.endpoints
        await endpoints.change(endpoint.app_id, endpoint.id, lambda each: replace(each, **fields))

    async def write_source(self, **fields: object) -> None:
        """Write the source again: the relay polls it at once."""

        def written(source: Source) -> Source:
            return replace(source, times_written=source.times_written + 1, **fields)

        await self.on.stores.sources.change(SOURCE, written)

    async def flying(self, worker: Child) -> float:
        """How many callbacks a worker has in flight, as it says."""
        async with httpx.AsyncClient() as client:
            text = (await client.get(f"http://127.0.0.1:{self.on.ports[worker.name]}/metrics")).text
        return float(re.findall(r"^relay_callbacks_in_flight (.+)$", text, re.MULTILINE)[0])


Fault = Callable[[Field], AsyncIterator[None]]


@case("alerts", goal="G40", seconds=300)
async def alerts(seed: int) -> AsyncIterator[Finding]:
    """Prometheus with the chart's rules, a hundred times as fast: a run without faults, then a fault for each alert."""
    async with field(seed) as at:
        await clean(at)
        yield Finding("alerts in a run without faults", len(at.watch.fired), "==", 0, "", ", ".join(at.watch.fired))
        left = set(re.findall(r"alert: (\w+)", ALERTS.read_text()))
        for names, fault in FAULTS.items():
            at.watch.forget()
            began = monotonic()
            async with asynccontextmanager(fault)(at):
                for name in names:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(FIRES_WITHIN_S):
                            await fires(at.watch, name)
                    took = at.watch.fired.get(name, float("inf")) - began
                    yield Finding(f"until {name} fires", took, "<=", FIRES_WITHIN_S, "s")
            left -= set(names)
        yield Finding("alerts that nothing was tried for", len(left), "==", 0, "", ", ".join(left))


async def fires(watch: Prometheus, name: str) -> None:
    """Wait until an alert has fired."""
    while name not in watch.fired:
        await asyncio.sleep(0.1)


@asynccontextmanager
async def field(seed: int) -> AsyncIterator[Field]:
    """A stage on a server of its own, with a checkpoint, two workers and Prometheus."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(own_server("--maxmemory", f"{MEMORY_MB}mb"))
        place = {"RELAY_REDIS_URL": server.url, "RELAY_CHECKPOINT_URL": f"file://{server.folder}/checkpoint"}
        on = await stack.enter_async_context(stage(seed, poll_s=0.2, settings={**SETTINGS, **place}))
        watch = await stack.enter_async_context(prometheus(on.folder, factor=FACTOR))
        at = Field(on, server, watch)
        await at.workers(2)
        await until(lambda: watch.has_scraped("worker"), within_s=60, what="Prometheus to ask the workers")
        # It asked nobody before.
        await until(lambda: not watch.firing, within_s=60, what="alerts to end")
        watch.forget()
        yield at


async def clean(at: Field) -> None:
    """Rows come and are delivered, one of the workers is replaced in good order, and a receiver fails now and then."""
    await at.endpoint("well", failing_rows(lambda row: row % 50 == 0, status=500))
    rows = asyncio.create_task(at.on.offer_at(50, CLEAN_S, lambda _: "well"))
    await asyncio.sleep(CLEAN_S / 3)
    leaving = at.on.workers[0]
    await at.workers(1)
    await leaving.stop()
    at.on.workers.remove(leaving)
    at.scrape()
    await rows
    await at.on.drained()


async def old_checkpoint(at: Field) -> AsyncIterator[None]:
    """The folder of the checkpoint cannot be written any more."""
    folder = at.server.folder / "checkpoint"
    folder.rename(at.server.folder / "kept")
    folder.write_text("no folder")
    yield
    folder.unlink()
    (at.server.folder / "kept").rename(folder)


async def gone_endpoint(at: Field) -> AsyncIterator[None]:
    """A receiver answers 410."""
    endpoint = await at.endpoint("gone", always(410))
    at.on.upstream.offer("gone")
    yield
    at.on.recorder.set("gone", always())
    await at.change(endpoint, disabled=False, disabled_reason=None)


async def dead_deliveries(at: Field) -> AsyncIterator[None]:
    """A receiver refuses its events until their retries are used up."""
    await at.endpoint("refuses", always(404))
    at.on.upstream.offer("refuses")
    yield


async def many_dead_deliveries(at: Field) -> AsyncIterator[None]:
    """A receiver refuses every third of its events for good."""
    await at.endpoint("picky", failing_rows(lambda row: 9 * (row % 3 == 0), status=404))
    rows = asyncio.create_task(at.on.offer_at(50, FIRES_WITHIN_S, lambda _: "picky"))
    yield
    await ended(rows)
    at.on.recorder.set("picky", always())


async def many_late_deliveries(at: Field) -> AsyncIterator[None]:
    """A receiver works, and takes far longer for its events than they take to come."""
    endpoint = await at.endpoint("late", always(after_s=0.2), max_in_flight=4)
    rows = asyncio.create_task(at.on.offer_at(50, FIRES_WITHIN_S, lambda _: "late"))
    yield
    await ended(rows)
    at.on.recorder.set("late", always())
    await at.change(endpoint, max_in_flight=64)


async def ended(task: "asyncio.Task[int]") -> None:
    """End a task."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def failing_endpoint(at: Field) -> AsyncIterator[None]:
    """A receiver is down."""
    await at.endpoint("down", always(503))
    for _ in range(20):
        at.on.upstream.offer("down")
    yield
    at.on.recorder.set("down", always())


async def slow_endpoint(at: Field) -> AsyncIterator[None]:
    """A receiver works, and takes seconds for each of its callbacks."""
    endpoint = await at.endpoint("slow", always(after_s=2.0), max_in_flight=1)
    for _ in range(30):
        at.on.upstream.offer("slow")
    yield
    at.on.recorder.set("slow", always())
    await at.change(endpoint, max_in_flight=64)


async def killed_worker(at: Field) -> AsyncIterator[None]:
    """One of two workers is killed with callbacks in flight."""
    await at.endpoint("waits", always(after_s=5.0), max_in_flight=2)
    for _ in range(8):
        at.on.upstream.offer("waits")
    await until(lambda: at.on.recorder.flying["waits"], within_s=60, what="a callback")
    flying = [await at.flying(worker) for worker in at.on.workers]
    await at.on.kill(at.on.workers[flying.index(max(flying))])
    yield
    at.on.recorder.set("waits", always())
    await at.workers(1)


async def no_worker(at: Field) -> AsyncIterator[None]:
    """All workers end, in good order."""
    await at.on.stop_workers()
    yield
    await at.workers(2)


async def frozen_redis(at: Field) -> AsyncIterator[None]:
    """Redis does not answer."""
    at.server.freeze()
    try:
        yield
    finally:
        at.server.thaw()


async def broken_lines(at: Field) -> AsyncIterator[None]:
    """The upstream shows lines that are no rows."""
    row = at.on.upstream.offer("nobody")
    at.on.upstream._lines[-1] = b'{"rowId":"%d","igrp":"1",,,broken\n' % row
    at.on.upstream.offer("nobody")
    yield


async def failing_upstream(at: Field) -> AsyncIterator[None]:
    """The upstream answers 500."""
    at.on.upstream.amiss = lambda exchange: answered(exchange, 500)
    yield
    at.on.upstream.amiss = None
    await at.write_source()


async def slow_upstream(at: Field) -> AsyncIterator[None]:
    """All pages of the upstream are full, and it takes its time for each."""
    upstream = at.on.upstream
    loop = asyncio.get_running_loop()

    def later(exchange: Exchange) -> bool:
        loop.call_later(PAGE_TAKES_S, upstream.show, exchange)
        return True

    for _ in range(1_500):
        upstream.offer("nobody")
    upstream.amiss = later
    await at.write_source(batch_size=10)
    yield
    upstream.amiss = None
    await at.write_source(batch_size=1000)


async def refused_credentials(at: Field) -> AsyncIterator[None]:
    """The upstream answers 401."""
    at.on.upstream.amiss = lambda exchange: answered(exchange, 401)
    yield
    at.on.upstream.amiss = None
    await at.write_source()


def answered(exchange: Exchange, status: int) -> bool:
    """Answer with an error."""
    exchange.answer(status)
    return True


async def missing_rows(at: Field) -> AsyncIterator[None]:
    """A row appears behind the cursor after all readings have passed, and a reconciliation finds it."""
    upstream = at.on.upstream
    upstream.offer("well", after_s=6.0)
    for _ in range(2):
        upstream.offer("well")
    await at.on.taken_in()
    await asyncio.sleep(8.0)
    await at.on.stores.reconciliations.ask(SOURCE, Range(), now_ms=now_ms())
    yield


async def dropped_backlog(at: Field) -> AsyncIterator[None]:
    """More waits for a paused endpoint than its budget allows."""
    endpoint = await at.endpoint("paused", paused=True)
    for _ in range(200):
        at.on.upstream.change(at.on.upstream.offer("paused"), c_big="x" * BIG_BYTES)
    yield
    await at.change(endpoint, paused=False)


async def full_backlog(at: Field) -> AsyncIterator[None]:
    """More deliveries wait than the relay keeps."""
    endpoint = await at.endpoint("many", paused=True)
    for _ in range(2_500):
        at.on.upstream.offer("many")
    yield
    await at.change(endpoint, paused=False)


async def full_redis(at: Field) -> AsyncIterator[None]:
    """Somebody else takes most of the memory, also what the relay frees."""
    taking = asyncio.create_task(take_memory(at.server))
    yield
    taking.cancel()
    await asyncio.gather(taking, return_exceptions=True)
    await at.server.ask("DEL", "others")


async def take_memory(server: Server) -> None:
    """Keep a server nearly full, until cancelled."""
    while True:
        with suppress(RedisError):
            info = await server.info("memory")
            counted = int(info["used_memory"]) - int(info["mem_not_counted_for_evict"])
            # In blocks: a command that is on its way counts as well.
            for _ in range((int(FULL_SHARE * int(info["maxmemory"])) - counted) // BLOCK):
                await server.ask("RPUSH", "others", "x" * BLOCK)
        await asyncio.sleep(0.1)


FAULTS: dict[tuple[str, ...], Fault] = {
    ("RelayFreshnessBudgetBurnsFast", "RelayFreshnessBudgetBurnsSlowly"): many_late_deliveries,
    ("RelaySuccessBudgetBurnsFast", "RelaySuccessBudgetBurnsSlowly"): many_dead_deliveries,
    ("RelayEndpointDisabled",): gone_endpoint,
    ("RelayDeliveriesDead",): dead_deliveries,
    ("RelayEndpointFailing",): failing_endpoint,
    ("RelayDeliveriesLate",): slow_endpoint,
    ("RelayWorkerDied",): killed_worker,
    ("RelayWorkerAbsent",): no_worker,
    ("RelayRedisUnreachable",): frozen_redis,
    ("RelayLinesQuarantined",): broken_lines,
    ("RelayReconciliationDiffers",): missing_rows,
    ("RelayRouteStalled",): failing_upstream,
    ("RelayRouteLagging",): slow_upstream,
    ("RelayRouteStopped",): refused_credentials,
    ("RelayBacklogDropped",): dropped_backlog,
    ("RelayBacklogFull",): full_backlog,
    ("RelayRedisMemoryHigh", "RelayRedisFull"): full_redis,
    ("RelayCheckpointOld",): old_checkpoint,
}
"""The alerts that each fault must cause."""
