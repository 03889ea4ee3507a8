"""Jobs that poll: one for several sources, none of which waits for another."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from relay.domain.model import SourceUid
from relay.errors import StoreUnavailable
from relay.store.routes import Due
from workers import jobs, ticking
from workers.context import JobCount


class Queue:
    """Notes what is enqueued."""

    def __init__(self) -> None:
        self.jobs: list[tuple[Any, ...]] = []

    async def enqueue_job(self, *job: Any, _job_id: str) -> None:
        self.jobs.append(job)


class FakePolling:
    """Slices that end as they are told."""

    def __init__(self) -> None:
        self.polled: list[str] = []
        self.goes_on = asyncio.Event()

    async def slice(self, uid: str, *, hand_on: Any) -> None:
        if uid == "slow":
            await self.goes_on.wait()
        if uid == "away":
            raise StoreUnavailable("away")
        if uid == "broken":
            raise RuntimeError("a bug")
        self.polled.append(uid)
        await hand_on(uid)


def context_of(polling: FakePolling, queue: Queue) -> dict[str, Any]:
    clock = SimpleNamespace(now_ms=lambda: 1000)
    return {
        "context": SimpleNamespace(polling=polling, count=JobCount(100), vouching=None, clock=clock),
        "redis": queue,
    }


async def test_sources_that_are_due_share_jobs() -> None:
    """As many as one worker takes at once are in a job; those that this worker does not know are in none."""
    queue, known = Queue(), [SourceUid(f"s{number}") for number in range(ticking.TOGETHER + 5)]

    async def take_due(*, now_ms: int) -> Due:
        return Due([SourceUid("unknown"), *known], now_ms + 400)

    routes: Any = SimpleNamespace(take_due=take_due)
    catalogue: Any = SimpleNamespace(sources=dict.fromkeys(known))
    ctx: Any = queue
    assert await ticking._tick(ctx, routes, catalogue, now_ms=5000) == pytest.approx(0.4)
    assert [len(job) - 1 for job in queue.jobs] == [ticking.TOGETHER, 5]
    assert [source for _, *sources in queue.jobs for source in sources] == known


async def test_no_source_of_a_job_waits_for_another() -> None:
    """One whose upstream is slow, or whose store is away, keeps the others from nothing; each hands on for itself."""
    polling, queue = FakePolling(), Queue()
    job = asyncio.create_task(jobs.poll(context_of(polling, queue), "slow", "away", "fast"))
    while polling.polled != ["fast"]:
        await asyncio.sleep(0)
    assert queue.jobs == [("poll", "fast")]
    polling.goes_on.set()
    await job
    assert polling.polled == ["fast", "slow"]


async def test_a_bug_in_one_slice_ends_the_job_after_the_others() -> None:
    """arq logs it, and the other sources were polled."""
    polling = FakePolling()
    with pytest.raises(RuntimeError, match="a bug"):
        await jobs.poll(context_of(polling, Queue()), "broken", "fast")
    assert polling.polled == ["fast"]
