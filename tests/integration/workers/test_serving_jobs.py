"""No job outlives the worker that runs it: what it works with is closed after it."""

import asyncio
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
from redis.asyncio import Redis

from relay import jobs
from relay.domain.model import SourceUid
from relay.jobs import connect_jobs
from tests.fault.stage import until
from workers import serving_jobs
from workers.context import Context
from workers.serving_jobs import serve_jobs

UK = SourceUid("uk")


class Slices:
    """Slices that never end by themselves, and take a moment to give their leases back."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.begun = self.given_back = 0

    async def slice(self, uid: SourceUid, *, hand_on: Any) -> None:
        """One of them."""
        self.begun += 1
        try:
            await asyncio.Event().wait()
        finally:
            await self.redis.get("lease")
            self.given_back += 1


@pytest.mark.parametrize("is_told", [False, True], ids=["cancelled", "stopped"])
async def test_no_job_outlives_its_worker(
    redis: Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch, is_told: bool
) -> None:
    """Whether the worker is told to stop, and the job takes too long, or is cancelled in the middle of it."""
    monkeypatch.setattr(serving_jobs, "JOBS_END_WITHIN_S", 0.01)
    slices, stopping, queue = Slices(redis), asyncio.Event(), connect_jobs(redis_url)
    context: Any = Context(polling=slices, reconciling=SimpleNamespace(), clock=SimpleNamespace())  # type: ignore[arg-type]
    serving = asyncio.create_task(serve_jobs(context, redis_url, stopping))
    try:
        await jobs.poll(queue, [UK], tick=1)
        await until(lambda: slices.begun, what="the job to begin")
        if is_told:
            stopping.set()
        else:
            serving.cancel()
        with suppress(asyncio.CancelledError):
            await serving
        assert slices.given_back == 1
    finally:
        await queue.aclose()
