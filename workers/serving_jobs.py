"""Runs arq's worker for as long as this process lives, whatever Redis does."""

import asyncio
import contextlib
from typing import Any

import structlog
from arq.connections import ArqRedis
from arq.worker import Worker
from redis.exceptions import RedisError

from relay.jobs import connect_jobs
from workers.context import Context
from workers.settings import make_worker

log = structlog.get_logger()

RETRY_S = (0.1, 0.2, 0.5, 1.0, 2.0)
JOBS_END_WITHIN_S = 5.0


async def serve_jobs(context: Context, queue_url: str, stopping: asyncio.Event) -> None:
    """Run arq's worker, and another one each time that it ends because Redis went away (reliability A2).

    Jobs that run when that happens go on: they outlive Redis, and a slice has its lease. None of them outlives this
    call, however it ends: what they work with is closed after it.
    """
    failures = 0
    over = asyncio.Event()
    left: set[asyncio.Task[None]] = set()
    try:
        while not stopping.is_set():
            connection = connect_jobs(queue_url)
            worker = make_worker(context, connection)
            try:
                await _run_until(worker, stopping)
            except (RedisError, OSError) as error:
                failures += 1
                log.warning("jobs_interrupted", error=type(error).__name__, failures=failures)
                await asyncio.sleep(RETRY_S[min(failures, len(RETRY_S)) - 1])
            finally:
                ending = asyncio.create_task(_finish(worker, connection, over))
                left.add(ending)
                ending.add_done_callback(left.discard)
    finally:
        over.set()
        await asyncio.gather(*left, return_exceptions=True)


async def _run_until(worker: Worker, stopping: asyncio.Event) -> None:
    """Run until it is time to stop; raises what ended arq's worker before."""
    main, stop = asyncio.create_task(worker.async_run()), asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait({main, stop}, return_when=asyncio.FIRST_COMPLETED)
        worker.allow_pick_jobs = False
        if stopping.is_set() and worker.tasks:
            await asyncio.wait(worker.tasks.values(), timeout=JOBS_END_WITHIN_S)
        if main.done():
            main.result()
    finally:
        main.cancel()
        stop.cancel()
        await asyncio.gather(main, stop, return_exceptions=True)


async def _finish(worker: Worker, connection: ArqRedis, over: asyncio.Event) -> None:
    """Wait for a worker's last jobs, or until it is `over` and cancel them; then close its connection."""
    jobs = asyncio.gather(*worker.tasks.values(), return_exceptions=True)
    stop = asyncio.create_task(over.wait())
    waits: list[asyncio.Future[Any]] = [jobs, stop]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    # Not arq's own tasks around them, which would leave a write to the queue behind. Slices give their leases back.
    for job in worker.job_tasks.values():
        job.cancel()
    await asyncio.gather(*waits, return_exceptions=True)
    with contextlib.suppress(RedisError, OSError):
        await connection.aclose()
