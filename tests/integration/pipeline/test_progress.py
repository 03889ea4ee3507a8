"""A worker that polls nothing, or sends nothing, though there is work, is not ready."""

from types import SimpleNamespace
from typing import Any

import pytest
from redis.asyncio import Redis

from relay import jobs
from relay.domain.model import SourceUid
from relay.errors import StoreUnavailable
from relay.jobs import connect_jobs
from relay.store.routes import Routes
from tests.fakes.clock import StillClock
from tests.integration.pipeline.dispatching_rig import Dispatching
from tests.integration.pipeline.rig import Rig, until
from workers.context import JobCount
from workers.progress import Watch

UK = SourceUid("uk")


class Desk:
    """A watch whose time passes when a test says so."""

    def __init__(self, redis: Redis, url: str) -> None:
        self.clock, self.now_s = StillClock(), 0.0
        self.count, self.queue = JobCount(100), connect_jobs(url)
        self.routes = Routes(redis)
        self.sender = SimpleNamespace(done=0, has_waited=lambda _: False)
        self.watch = self.of(self.sender)

    def of(self, sender: Any) -> Watch:
        """A watch over a dispatcher."""
        return Watch(
            routes=self.routes, queue=self.queue, dispatcher=sender, jobs=self.count, clock=self.clock,
            now_s=lambda: self.now_s,
        )  # fmt: skip

    async def pass_time(self, seconds: float) -> str | None:
        """Look each five seconds; gives the trouble at the end."""
        for _ in range(int(seconds / 5)):
            self.now_s += 5
            self.clock.advance(5)
            await self.watch.look()
        return self.watch.trouble()


@pytest.fixture
async def desk(redis: Redis, redis_url: str) -> Any:
    desk = Desk(redis, redis_url)
    yield desk
    await desk.queue.aclose()


async def test_an_idle_worker_is_ready(desk: Desk) -> None:
    """There is no source, or none is due."""
    assert await desk.pass_time(300) is None
    await desk.routes.poll_at(UK, desk.clock.at_ms + 3_600_000)
    assert await desk.pass_time(300) is None


async def test_sources_that_nobody_takes_are_told(desk: Desk) -> None:
    """Within 80 s after they were due, and no longer once a tick has taken them."""
    await desk.routes.poll_at(UK, desk.clock.at_ms)
    assert await desk.pass_time(60) is None
    assert "taken none" in (await desk.pass_time(20) or "")
    await desk.routes.take_due(now_ms=desk.clock.at_ms)
    assert await desk.pass_time(5) is None


async def test_jobs_that_nobody_begins_are_told(desk: Desk, redis: Redis) -> None:
    """A job that runs anywhere does not count; nor does a worker that begins others, or has no room."""
    await jobs.poll(desk.queue, [UK], tick=1)
    desk.clock.at_ms = max(desk.clock.at_ms, int((await redis.time())[0]) * 1000)
    assert await desk.pass_time(60) is None
    assert "begun none" in (await desk.pass_time(20) or "")
    with desk.count.counting():
        assert await desk.pass_time(5) is None
    assert await desk.pass_time(55) is None
    assert "begun none" in (await desk.pass_time(10) or "")
    desk.count.running = desk.count.most
    assert await desk.pass_time(5) is None
    desk.count.running = 0
    job = (await desk.queue.zrange(jobs.QUEUE, 0, 0))[0].decode()
    await desk.queue.psetex(f"arq:in-progress:{job}", 60_000, b"1")
    assert await desk.pass_time(120) is None


async def test_deliveries_that_are_not_sent_are_told(desk: Desk) -> None:
    """Until something is sent."""
    desk.sender.has_waited = lambda _: True
    assert "sent none" in (await desk.pass_time(70) or "")
    desk.sender.done += 1
    assert await desk.pass_time(5) is None


async def test_exchanges_that_fail_are_work_that_waits(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The dispatcher says that an exchange waits, and counts what it has done."""
    await rig.source()
    floor = Dispatching(rig)
    await rig.endpoint(url="https://crm.example.com/hook")
    async with floor.worker() as worker:
        await floor.rows(3)
        await floor.all_ended()
        done = worker.dispatcher.done
        assert done >= 4
        assert not worker.dispatcher.has_waited(0)
        with monkeypatch.context() as patch:

            async def fails(*_: Any, **__: Any) -> Any:
                raise StoreUnavailable("away")

            patch.setattr(rig.lanes, "exchange", fails)
            floor.wake()
            await until(lambda: worker.dispatcher.has_waited(0))
            assert worker.dispatcher.done == done
        await until(lambda: not worker.dispatcher.has_waited(0) and worker.dispatcher.done > done)
