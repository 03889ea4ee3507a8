"""Who judges the rows of a page: this process in small steps, or processes of their own for larger parts."""

import asyncio
import math
import os
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from relay.domain.model import StoredEvent
from relay.domain.page_judging import Judgement, Sighting, judge_rows
from relay.domain.telling import Facts
from relay.pipeline.judging_process import Job, encode, read_answer
from relay.processes.pool import Processes, ProcessFailed, Work
from relay.store.event_form import pack_event

WORK = Work("judging", "relay.pipeline.judging_process")
MOST_BY_DEFAULT = 2
CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")
POOLED_BYTES = 1 << 16
"""Smaller parts (30 documented rows, 2 ms) are judged in place: to hand them over would take about as long."""
STEP_BYTES = 1 << 15
STEP_ROWS = 25
"""After so many bytes or rows (1 ms), other tasks of the process get their turn."""


class Judges:
    """Judges rows. Without processes, it does so in place."""

    def __init__(self, processes: int = 0) -> None:
        """`processes`: the most that run at once. They are started at the first page that is large."""
        self._processes = Processes(WORK, processes)

    @property
    def ahead(self) -> int:
        """How many parts of a page can be judged at once, so that no process waits for the next one."""
        return self._processes.most + 1 if self._processes.most else 0

    async def judge(
        self,
        of: Facts,
        sightings: Sequence[Sighting],
        before: Mapping[int, StoredEvent | None],
        columns: Collection[str] | None,
    ) -> Judgement:
        """See relay.domain.page_judging.judge_rows.

        If a process fails, the rows are judged again in place.
        """
        if sum(len(each.raw) for each in sightings) >= POOLED_BYTES:
            with suppress(ProcessFailed):
                job = Job(of, list(sightings), dict(before), None if columns is None else sorted(columns))
                async with self._processes.free() as process:
                    return read_answer(await process.ask(encode(job))).judgement()
        return await judge_in_steps(of, sightings, before, columns)

    @property
    def pids(self) -> list[int]:
        """The ids of the processes that run."""
        return self._processes.pids

    async def aclose(self) -> None:
        """End all processes now. Rows are judged in place from here on."""
        await self._processes.aclose()

    @asynccontextmanager
    async def until(self, ending: asyncio.Event) -> AsyncIterator[None]:
        """Use processes within the block, at the latest until `ending` is set."""

        async def close() -> None:
            await ending.wait()
            await self.aclose()

        closing = asyncio.create_task(close(), name="judging processes")
        try:
            yield
        finally:
            closing.cancel()
            await asyncio.wait([closing])
            await self.aclose()


def default_processes() -> int:
    """How many processes a worker may use: one less than it has cores, and at most 2.

    One core stays for the worker. On a machine with one core, a process would only take turns with the worker. More
    than two would wait: the worker fetches, matches and commits about as fast as two processes judge.
    """
    return max(0, min(MOST_BY_DEFAULT, math.ceil(_cores()) - 1))


def _cores() -> float:
    """The cores that this process may use: those of the machine, of its affinity, or of its container's quota."""
    cores = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    try:
        quota, period = CPU_QUOTA.read_text().split()
        return min(cores, int(quota) / int(period))
    except (OSError, ValueError):  # No cgroup v2, or `max`: there is no quota.
        return cores


async def judge_in_steps(
    of: Facts,
    sightings: Sequence[Sighting],
    before: Mapping[int, StoredEvent | None],
    columns: Collection[str] | None,
) -> Judgement:
    """Judge in this process. Other tasks get their turn in between."""
    judgement = Judgement()
    changed: dict[int, int] = {}
    for some in _steps(sightings):
        judgement.take(judge_rows(of, some, before, columns, pack=pack_event))
        changed |= judgement.changed
        await asyncio.sleep(0)
    judgement.changed = changed
    return judgement


def _steps(sightings: Sequence[Sighting]) -> Iterator[Sequence[Sighting]]:
    first = size = 0
    for at, each in enumerate(sightings):
        if at > first and (at - first >= STEP_ROWS or size + len(each.raw) > STEP_BYTES):
            yield sightings[first:at]
            first, size = at, 0
        size += len(each.raw)
    if first < len(sightings):
        yield sightings[first:]
