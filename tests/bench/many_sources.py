"""What many quiet sources cost: each is polled every minute, and its answer is empty."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise

import msgspec

from relay.domain.model import SourceUid
from tests.bench.bench import Bench
from tests.bench.figures import Figure
from tests.bench.ground import Ground, ground
from tests.bench.measuring import ServerCounts, cpu_s, percentile, rss_bytes
from tests.bench.workers import worker

PART = "many-sources"
TEXT = "a worker with a thousand sources that have nothing new, each polled every 60 s"
SOURCES = 1_000
POLL_S = 60.0
SETTLE_S = 75.0
"""All are polled at once at first, and spread by the jitter of their intervals."""
MEASURED_S = 120.0
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 0\r\n\r\n"


@dataclass(slots=True)
class Quiet:
    """An upstream without a new row, and when it was asked by which source."""

    url: str = ""
    asked: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                if b"rowId-le-value" not in head:
                    self.asked[head.split(b"/igrps/", 1)[-1].split(b"/", 1)[0].decode()].append(time.monotonic())
                writer.write(ANSWER)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def quiet() -> AsyncIterator[Quiet]:
    """Run the upstream in this process, which has nothing else to do."""
    upstream = Quiet()
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0)
    upstream.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield upstream


async def run(bench: Bench) -> None:
    """Measure one worker."""
    bench.report.begin(PART, TEXT)
    seconds = bench.size(int(MEASURED_S)) if bench.quick else MEASURED_S
    async with ground(bench.own_folder("m")) as store, quiet() as upstream:
        await store.subscribe(1, lambda _: bench.sink.url)
        await _sources(store, upstream.url)
        async with worker(store, bench.own_folder("mw"), profile=bench.profile) as process:
            await asyncio.sleep(SETTLE_S)
            began, cpu = time.monotonic(), cpu_s(process.pid)
            server, before = cpu_s(store.server_pid), await ServerCounts.read(store.stores.redis)
            await asyncio.sleep(seconds)
            passed, after = time.monotonic() - began, await ServerCounts.read(store.stores.redis)
            used, of_server = cpu_s(process.pid) - cpu, cpu_s(store.server_pid) - server
            memory = rss_bytes(process.pid) / 2**20
    for what, value, unit, goal in (
        ("worker: CPU", 100 * used / passed, "% of a core", "≤ 5"),
        ("server: CPU", 100 * of_server / passed, "% of a core", ""),
        ("worker: memory", memory, "MiB", ""),
        ("Redis commands", (after.commands - before.commands) / passed, "/s", ""),
    ):
        bench.report.add(Figure(PART, what, [value], unit, goal=goal))
    _report_times(bench, upstream, began, passed)


def _report_times(bench: Bench, upstream: Quiet, began: float, passed: float) -> None:
    times = {name: [at for at in each if began <= at < began + passed] for name, each in upstream.asked.items()}
    polls = sum(map(len, times.values()))
    gaps = [later - earlier for each in upstream.asked.values() for earlier, later in pairwise(each) if later >= began]
    bench.report.add(Figure(PART, "polls", [polls / passed], "/s", note=f"of {len(times)} sources"))
    bench.report.add(Figure(PART, "between two polls of a source, p99", [percentile(gaps, 0.99)], "s", goal="≤ 66"))
    bench.report.add(Figure(PART, "between two polls of a source, max", [max(gaps)], "s", goal="≤ 70"))


async def _sources(store: Ground, url: str) -> None:
    first = await store.source(url)
    for number in range(SOURCES - 1):
        source = msgspec.structs.replace(
            first, uid=SourceUid(f"quiet{number}"), igrp=2 + number, poll_interval_s=POLL_S
        )
        await store.stores.sources.put(source.uid, lambda _, made=source: made)
    await store.stores.sources.put(first.uid, lambda _: msgspec.structs.replace(first, poll_interval_s=POLL_S))
