"""Processes that are told to end: they finish or hand back what they do, within their grace, whatever holds them up."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random
from time import monotonic

from tests.bench.processes import Child
from tests.fault.cases.rolling_restarts import silent_sometimes
from tests.fault.hostile_sink import hostile_sink
from tests.fault.proxy import Proxy, proxy
from tests.fault.recorder import always, never
from tests.fault.rolling import Rolling
from tests.fault.stage import Stage, stage, until

ATTEMPT_S = 2.0
GRACE_S = ATTEMPT_S + 25
"""As the chart has it: who has not ended by then is killed."""
SETTINGS = {"RELAY_ATTEMPT_TIMEOUT_SECONDS": f"{ATTEMPT_S:g}", "RELAY_LOG_FORMAT": "json"}


async def test_rolling_restarts_lose_and_double_nothing() -> None:
    """Workers are replaced under load, beside receivers that are silent now and then, and slow (goal G27)."""
    async with stage(27, settings=SETTINGS) as on:
        await on.endpoint("crm", always(after_s=0.01))
        await on.endpoint("slow", always(after_s=0.3))
        await on.endpoint("tarpit", silent_sometimes(Random(27), 0.3), retry_schedule=(0.5,) * 100)
        names, rolling = tuple(on.endpoints), Rolling(on)
        await asyncio.gather(*(rolling.start() for _ in range(2)))
        load = asyncio.create_task(on.offer_at(100, 3600, lambda number: names[number % len(names)]))
        for _ in range(3):
            await rolling.replace()
        load.cancel()
        await asyncio.gather(rolling.ended(), load, return_exceptions=True)
        on.recorder.set("tarpit", always())
        await on.drained()
        verdict = on.verdict()
        assert (verdict.lost, verdict.duplicates, verdict.renamed) == ([], 0, [])
        assert [end.code for end in rolling.ends] == [0] * 3
        assert rolling.errors() == []
        assert verdict.expected > 100


class Bounds:
    """A worker that sends to receivers that never answer, and whose Redis is behind a proxy."""

    def __init__(self, on: Stage, worker: Child, redis: Proxy) -> None:
        self.on, self.worker, self.redis = on, worker, redis

    async def ends(self) -> float:
        """Tell the worker to end; gives the seconds that it takes. Fails if it is still there after its grace."""
        began = monotonic()
        self.worker.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(GRACE_S):
            code = await self.worker.process.wait()
        assert code == 0, self.worker.log.read_text()[-3000:]
        return monotonic() - began


@asynccontextmanager
async def bounds() -> AsyncIterator[Bounds]:
    """One with callbacks in flight."""
    async with AsyncExitStack() as stack:
        on = await stack.enter_async_context(stage(28, settings=SETTINGS))
        sink = await stack.enter_async_context(hostile_sink())
        path = on.environment["RELAY_REDIS_URL"].removeprefix("unix://").partition("?")[0]
        redis = await stack.enter_async_context(proxy(Path(path)))
        await on.endpoint("silent", never())
        for name in ("header-drip", "body-drip"):
            await on.endpoint(name, url=f"http://127.0.0.1:{sink.port}/{name}")
        worker = await on.worker(env={"RELAY_REDIS_URL": f"redis://127.0.0.1:{redis.port}/0"})
        for number in range(60):
            on.upstream.offer(tuple(on.endpoints)[number % 3])
        await until(lambda: on.recorder.flying["silent"] and len(sink.received) > 1, what="callbacks in flight")
        yield Bounds(on, worker, redis)


async def test_a_worker_ends_within_its_grace() -> None:
    """With exit code 0, also if receivers never answer and Redis does not, or hardly."""
    await asyncio.gather(*map(ends_within_its_grace, ("silent", "away", "slow")))


async def ends_within_its_grace(redis: str) -> None:
    """One of them. A slow Redis takes longer for each answer than all of the end may take for a few of them."""
    async with bounds() as at:
        if redis == "silent":
            at.redis.hold()
        elif redis == "away":
            at.redis.lead_to(1)
        else:
            at.redis.delay_s = 4.5
        print(redis, await at.ends())
