"""What waiting costs: memory for each event that waits, and a worker that has nothing to do."""

import asyncio
import time

from relay.domain.model import EndpointId, MessageId, StoredEvent
from relay.store.events import pack_event
from relay.store.pages import RowCommit
from tests.bench.bench import Bench
from tests.bench.figures import Figure
from tests.bench.filling import fill
from tests.bench.flows import fresh_source
from tests.bench.ground import Ground, ground
from tests.bench.judging import NOW_MS
from tests.bench.measuring import ServerCounts, cpu_s, rss_bytes, used_memory
from tests.bench.workers import worker

PART = "resources"
TEXT = "what an event that waits takes up, and a worker with one source and one endpoint that has nothing to do"
EVENTS = 40_000
BODY = b'"timestamp":"2018-01-16T13:20:11.000Z","data":{' + b"x" * 464 + b"}}"
"""512 bytes."""
IDLE_S = 10.0


async def run(bench: Bench) -> None:
    """Measure both."""
    bench.report.begin(PART, TEXT)
    async with ground(bench.own_folder("r")) as store:
        each = await _waiting(store, bench.size(EVENTS))
        bench.report.add(
            Figure(
                PART,
                "a waiting event of 512 bytes",
                [each],
                "bytes",
                goal="≤ 1,024",
                note="all in: body, lane, index, row",
            )
        )
    async with ground(bench.own_folder("i")) as store:
        await store.subscribe(1, lambda _: bench.sink.url)
        async with (
            fresh_source(store, "http://127.0.0.1:9", paused=True),
            worker(store, bench.own_folder("w")) as process,
        ):
            await asyncio.sleep(2)
            began, cpu, before = time.monotonic(), cpu_s(process.pid), await ServerCounts.read(store.stores.redis)
            await asyncio.sleep(IDLE_S)
            after = await ServerCounts.read(store.stores.redis)
            seconds = time.monotonic() - began
            used = 100 * (cpu_s(process.pid) - cpu) / seconds
            bench.report.add(Figure(PART, "idle worker: CPU", [used], "% of a core", goal="≤ 2"))
            memory = rss_bytes(process.pid) / 2**20
            bench.report.add(Figure(PART, "idle worker: memory", [memory], "MiB", goal="≤ 120"))
            commands = (after.commands - before.commands) / seconds
            bench.report.add(Figure(PART, "idle worker: Redis commands", [commands], "/s", goal="≤ 30"))


async def _waiting(store: Ground, count: int) -> float:
    async with fresh_source(store, "http://127.0.0.1:9", paused=True) as source:
        empty = await used_memory(store.stores.redis)
        await fill(store, source, [_row(number) for number in range(1, count + 1)])
        return (await used_memory(store.stores.redis) - empty) / count


def _row(number: int) -> RowCommit:
    message = MessageId(f"msg_{number * 2654435761 % 2**64:016x}{number:036d}")
    event = StoredEvent(message, str(number), NOW_MS, 1, b"\x04", BODY)
    return RowCommit(number, b"s" * 27, message, number, pack_event(event), [(EndpointId("ep_1"), 4)])
