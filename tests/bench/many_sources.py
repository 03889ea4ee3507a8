"""What many quiet sources cost: each is polled every minute, and its answer is empty."""

import asyncio
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise

import msgspec

from relay.domain.model import Source, SourceUid
from tests.bench.bench import Bench
from tests.bench.figures import Figure
from tests.bench.ground import Ground, ground
from tests.bench.measuring import ServerCounts, cpu_s, percentile, rss_bytes
from tests.bench.processes import child
from tests.bench.workers import worker

PART = "many-sources"
TEXT = "a worker with a thousand sources that have nothing new, each polled every 60 s"
SOURCES = 1_000
POLL_S = 60.0
SETTLE_S = 75.0
"""All are polled at once at first, and spread by the jitter of their intervals."""
MEASURED_S = 120.0
BARE_SETTLE_S = 3.0
LOOK_S = 20.0
"""How often the times at which sources are due are read: each holds for longer."""
ENDING_S = 5.0
"""Polls that were due less than this before the worker ended do not count."""
EARLY_S = 0.005
"""The clock of the worker follows the server's, to within this."""
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
                    self.asked[head.split(b"/igrps/", 1)[-1].split(b"/", 1)[0].decode()].append(time.time())
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
    """Measure the baseline, and then one worker."""
    bench.report.begin(PART, TEXT)
    seconds = bench.size(int(MEASURED_S)) if bench.quick else MEASURED_S
    async with ground(bench.own_folder("m")) as store, quiet() as upstream:
        bare = await _bare(bench, upstream.url, seconds / 2)
        await store.subscribe(1, lambda _: bench.sink.url)
        sources = await _sources(store, upstream.url)
        upstream.asked.clear()
        async with worker(store, bench.own_folder("mw"), profile=bench.profile) as process:
            await asyncio.sleep(SETTLE_S)
            began, cpu = time.time(), cpu_s(process.pid)
            server, before = cpu_s(store.server_pid), await ServerCounts.read(store.stores.redis)
            due = await _due_times(store, sources, seconds)
            passed, after = time.time() - began, await ServerCounts.read(store.stores.redis)
            used, of_server = cpu_s(process.pid) - cpu, cpu_s(store.server_pid) - server
            memory, ended = rss_bytes(process.pid) / 2**20, time.time()
    share = 100 * used / passed
    bench.report.add(Figure(PART, "bare loop of httpx: CPU", [bare], "% of a core"))
    bench.report.add(
        Figure(PART, "worker: CPU", [share], "% of a core", goal="≤ 5", ratio=share / bare, baseline="the bare loop")
    )
    for what, value, unit in (
        ("server: CPU", 100 * of_server / passed, "% of a core"),
        ("worker: memory", memory, "MiB"),
        ("Redis commands", (after.commands - before.commands) / passed, "/s"),
        ("round trips", (after.answers - before.answers) / passed, "/s"),
    ):
        bench.report.add(Figure(PART, what, [value], unit))
    _report_times(bench, upstream, began, passed)
    _report_lateness(bench, upstream, due, ended)


async def _bare(bench: Bench, url: str, seconds: float) -> float:
    """The share of a core, in percent, of a loop that asks for as many sources as often."""
    command = (sys.executable, "-m", "tests.bench.bare_poller", url, str(SOURCES), str(POLL_S))
    async with child("bare", *command, folder=bench.own_folder("mb")) as process:
        await asyncio.sleep(BARE_SETTLE_S)
        began, cpu = time.time(), cpu_s(process.pid)
        await asyncio.sleep(seconds)
        process.check()
        return 100 * (cpu_s(process.pid) - cpu) / (time.time() - began)


async def _due_times(store: Ground, sources: list[Source], seconds: float) -> dict[int, set[int]]:
    """While so many seconds pass: the times in ms at which the store said that sources were due, by IGRP."""
    due: dict[int, set[int]] = defaultdict(set)
    ends = time.time() + seconds
    while (left := ends - time.time()) > 0:
        states = await store.stores.routes.states_of(sources)
        for source in sources:
            due[source.igrp].add(states[source.uid][0].next_poll_at_ms)
        await asyncio.sleep(min(LOOK_S, left))
    return due


def _report_times(bench: Bench, upstream: Quiet, began: float, passed: float) -> None:
    times = {name: [at for at in each if began <= at < began + passed] for name, each in upstream.asked.items()}
    polls = sum(map(len, times.values()))
    gaps = [later - earlier for each in upstream.asked.values() for earlier, later in pairwise(each) if later >= began]
    bench.report.add(Figure(PART, "polls", [polls / passed], "/s", note=f"of {len(times)} sources"))
    bench.report.add(Figure(PART, "between two polls, p99", [percentile(gaps, 0.99)], "s", goal="≤ 67"))
    bench.report.add(Figure(PART, "between two polls, max", [max(gaps)], "s", goal="≤ 70"))


def _report_lateness(bench: Bench, upstream: Quiet, due: dict[int, set[int]], ended: float) -> None:
    # One that was never asked is late by all the time since then.
    late = [
        max(0.0, next((at for at in upstream.asked[str(igrp)] if at >= at_ms / 1000 - EARLY_S), ended) - at_ms / 1000)
        for igrp, times in due.items()
        for at_ms in times
        if at_ms / 1000 < ended - ENDING_S
    ]
    for share, goal in ((0.5, ""), (0.99, "≤ 1")):
        figure = Figure(PART, f"late by, p{100 * share:g}", [percentile(late, share)], "s", goal=goal)
        bench.report.add(figure)


async def _sources(store: Ground, url: str) -> list[Source]:
    first = await store.source(url)
    made = [msgspec.structs.replace(first, poll_interval_s=POLL_S)]
    for number in range(SOURCES - 1):
        source = msgspec.structs.replace(
            first, uid=SourceUid(f"quiet{number}"), igrp=2 + number, poll_interval_s=POLL_S
        )
        made.append(source)
    for source in made:
        await store.stores.sources.put(source.uid, lambda _, each=source: each)
    return made
