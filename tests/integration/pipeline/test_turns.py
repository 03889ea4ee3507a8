"""A page lets other tasks of its worker have their turn: callbacks do not wait for it."""

import asyncio
import gc
import time
from asyncio import events
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from typing import Any

import httpx
import msgspec
import pytest

from relay.domain.json_text import decode
from relay.pipeline.judges import Judges
from tests.fakes.upstream import Answer, FakeUpstream, make_row
from tests.integration.pipeline.rig import Rig, slice_of, until

ROWS = 10_000
PIECE = 1 << 16
MOST_MS = 5.0
NOTED_MS = 2.0
UNIT_US = 6.0
"""What it takes to decode one of the rows on the machine that the limit is meant for."""
FILTERS = ({"act": "call"}, {"callDuration": {"$gte": 30}}, {"c_x": {"$contains": "y"}}, {"goal": "12"})


def lines() -> list[bytes]:
    padding = {f"c_{n}": "x" * 30 for n in range(51)}
    return [msgspec.json.encode(make_row(row_id, callDuration="61", **padding)) for row_id in range(1, ROWS + 1)]


def slowness(some: list[bytes]) -> float:
    """How much slower this machine is at this moment, at least 1."""
    taken = []
    for _ in range(5):
        began = time.thread_time()
        for line in some:
            decode(line)
        taken.append((time.thread_time() - began) / len(some) * 1e6)
    return max(1.0, min(taken) / UNIT_US)


@pytest.fixture(autouse=True)
def _collects_garbage_as_a_worker_does() -> Iterator[None]:
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 10, 100)
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


@contextmanager
def stretches() -> Iterator[list[tuple[float, str]]]:
    """The CPU time of each callback that the loop runs, in ms: other processes of the machine do not count."""
    found: list[tuple[float, str]] = []
    run: Callable[[events.Handle], None] = events.Handle._run

    def timed(handle: events.Handle) -> None:
        began = time.thread_time()
        run(handle)
        taken_ms = (time.thread_time() - began) * 1000
        if taken_ms > NOTED_MS:
            found.append((taken_ms, repr(handle)))

    patch: Any = events.Handle
    patch._run = timed
    try:
        yield found
    finally:
        patch._run = run


class Pieces(httpx.AsyncByteStream):
    """A page as a socket gives it: piece by piece."""

    def __init__(self, content: memoryview) -> None:
        self._content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self._content), PIECE):
            await asyncio.sleep(0)
            yield bytes(self._content[start : start + PIECE])


def shows(page: Sequence[bytes]) -> Answer:
    """An upstream with rows 1, 2, …; it holds the bytes that a request is about to get."""
    whole = memoryview(b"".join(line + b"\n" for line in page))
    starts = list(accumulate((len(line) + 1 for line in page), initial=0))

    def answer(_: FakeUpstream, request: httpx.Request) -> httpx.Response:
        after = int(request.url.params.get_list("filter[]")[0].rpartition("-")[2])
        return httpx.Response(200, stream=Pieces(whole[starts[after] :]))

    return answer


async def _is_done(rig: Rig) -> bool:
    await asyncio.sleep(0.05)
    return (await rig.state()).cursor == ROWS


@pytest.mark.parametrize("processes", [0, 1], ids=["in place", "pooled"])
async def test_no_stretch_of_work_on_a_page_is_longer_than_five_milliseconds(rig: Rig, processes: int) -> None:
    """10,000 rows of 2.2 kB in one page: reading, judging, matching, packing and committing, each in small steps."""
    page = lines()
    assert 2100 < len(page[0]) < 2300
    await rig.source(batch_size=ROWS)
    endpoints = [await rig.endpoint(filter=each) for each in FILTERS]
    rig.upstream.always = shows(page)
    judges = Judges(processes)
    polling = rig.poller(judges=judges)
    slow = slowness(page[:500])
    with stretches() as found:
        async with slice_of(polling):
            await until(lambda: _is_done(rig), within_s=60)
    await judges.aclose()
    slow = max(slow, slowness(page[:500]))
    assert len(await rig.row_ids(endpoints[0])) == ROWS
    # A look for garbage, or an interrupt that the kernel charged to this thread, can hit single steps. The page comes
    # in six parts, so a step that is too long stands here six times at least.
    longest = sorted(found, reverse=True)[4:]
    assert [each for each in longest if each[0] > MOST_MS * slow] == []


async def test_the_loop_runs_between_the_steps() -> None:
    """The measure itself: work of one piece is found."""
    with stretches() as found:
        loop = asyncio.get_running_loop()
        loop.call_soon(lambda: sum(range(1_000_000)))
        await asyncio.sleep(0.05)
    assert max(each[0] for each in found) > NOTED_MS
