"""The worker process: what runs in it, in which order it starts, and how it ends."""

import asyncio
import contextlib
import gc
import resource
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

import structlog
import uvloop
from arq.connections import ArqRedis
from arq.worker import Worker
from redis.exceptions import RedisError

from relay.config import Settings
from relay.errors import StoreRefused, StoreUnavailable
from relay.jobs import connect_jobs
from relay.pipeline.catalogue import Catalogue
from relay.pipeline.clock import Clock
from relay.pipeline.deleting import Deleting
from relay.pipeline.dispatch.dispatcher import Dispatcher
from relay.pipeline.dispatch.sharing import share
from relay.pipeline.following import follow
from relay.pipeline.polling import Polling
from relay.pipeline.pressure import Pressure
from relay.pipeline.reconciling.reconciling import Reconciling
from relay.pipeline.upkeep import Upkeep
from relay.pipeline.vouching import Vouching
from relay.starting import check_queue, check_start, open_clock, readiness_of
from relay.store.notices import Notices
from relay.wiring import Stores, deleting_of, open_dispatch, open_stores, pressure_of
from relay.wiring_checkpoints import vouching_of
from relay.wiring_polling import open_polling
from relay.wiring_reconciling import reconciling_of
from relay.wiring_replays import replays_of
from relay.wiring_upkeep import upkeep_of
from workers.context import Context
from workers.ending import drain_s
from workers.health import Health, health_port, serve_health
from workers.settings import make_worker
from workers.ticking import reconcile_forever, tick_forever

log = structlog.get_logger()

GARBAGE_AFTER = 50_000
"""Objects that are made before the youngest are looked through; Python's own rule is 700."""
RETRY_S = (0.1, 0.2, 0.5, 1.0, 2.0)
JOBS_END_WITHIN_S = 5.0


@dataclass(frozen=True, slots=True)
class Parts:
    """What a worker is made of."""

    port: socket.socket
    stores: Stores
    clock: Clock
    catalogue: Catalogue
    dispatcher: Dispatcher
    polling: Polling
    reconciling: Reconciling
    deleting: Deleting
    upkeep: Upkeep
    pressure: Pressure
    vouching: Vouching | None
    queue: ArqRedis
    queue_url: str


def run(settings: Settings) -> int:
    """Work until SIGTERM or SIGINT; gives the exit code."""
    _tune_process()
    return uvloop.run(_run(settings))


def _tune_process() -> None:
    """As many sockets as the system lets us have, and rarer looks for garbage."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # What a worker makes by the thousand is freed by its count of references. A look through everything that lives
    # stops all callbacks for as long as it takes: 0.4 s were seen with ten thousand endpoints.
    gc.set_threshold(GARBAGE_AFTER, 10, 100)
    gc.freeze()


async def _run(settings: Settings) -> int:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sign, stopping.set)
    async with _parts(settings) as parts:
        code = await _work(parts, settings, stopping)
    log.info("worker_ended", code=code)
    return code


@asynccontextmanager
async def _parts(settings: Settings) -> AsyncIterator[Parts]:
    async with AsyncExitStack() as stack:
        # Before anything else: a process whose port is taken would do work, and be killed for not being alive.
        port = stack.enter_context(health_port(settings.host, settings.worker_port))
        stores, url = await stack.enter_async_context(open_stores(settings))
        await check_start(stores.redis, stores.seal)
        queue, queue_url = await stack.enter_async_context(_open_queue(settings, url))
        clock = Clock()
        catalogue, dispatcher = await stack.enter_async_context(open_dispatch(settings, stores, clock))

        async def poll_at_once() -> None:
            # When each source is to be polled next was written down by the clock as it was before.
            for source in catalogue.sources:
                await stores.routes.poll_at(source, 0)

        await stack.enter_async_context(open_clock(stores, clock=clock, set_back=poll_at_once))
        pressure = pressure_of(settings, stores, clock)
        side = await stack.enter_async_context(open_polling(settings, stores, catalogue, pressure, clock))
        yield Parts(
            port=port,
            stores=stores,
            clock=clock,
            catalogue=catalogue,
            dispatcher=dispatcher,
            polling=side.polling,
            reconciling=reconciling_of(settings, stores, side, catalogue, pressure, clock),
            deleting=deleting_of(stores),
            upkeep=upkeep_of(settings, stores, pressure, clock),
            pressure=pressure,
            vouching=vouching_of(
                settings,
                stores,
                clock,
                sources=lambda: list(catalogue.sources.values()),
                is_manual=settings.restore == "manual",
            ),
            queue=queue,
            queue_url=queue_url,
        )


@asynccontextmanager
async def _open_queue(settings: Settings, store_url: str) -> AsyncIterator[tuple[ArqRedis, str]]:
    """arq's client, and the URL of its server."""
    url = store_url
    if settings.queue_redis_url is not None:
        url = settings.queue_redis_url.reveal()
        await check_queue(url)
    queue = connect_jobs(url)
    try:
        yield queue, url
    finally:
        await queue.aclose()


async def _work(parts: Parts, settings: Settings, stopping: asyncio.Event) -> int:
    tasks = _start(parts, settings, stopping)
    stop = asyncio.create_task(stopping.wait())
    log.info("worker_started", port=settings.worker_port)
    await asyncio.wait([stop, *tasks], return_when=asyncio.FIRST_COMPLETED)
    code = 0 if stopping.is_set() else _explain(tasks)
    stopping.set()
    parts.polling.stopping.set()
    try:
        await parts.dispatcher.drain(drain_s(settings))
    except (StoreUnavailable, StoreRefused) as error:
        log.warning("drain_interrupted", error=str(error))
    for task in (*tasks, stop):
        task.cancel()
    await asyncio.gather(*tasks, stop, return_exceptions=True)
    return code


async def _follow_changes(parts: Parts) -> None:
    """Read what changed in the configuration, and have everybody follow it."""
    # A store that lost its configuration must not take it from this process, which still knows it.
    if parts.vouching is not None and not await parts.vouching.vouch(parts.catalogue.version):
        return
    await parts.catalogue.refresh()
    sources = parts.catalogue.take_changed()
    try:
        for source in sources & parts.catalogue.sources.keys():
            await parts.stores.routes.poll_at(source, 0)
    except BaseException:
        parts.catalogue.put_back(sources)
        raise
    parts.dispatcher.follow_sources()
    parts.deleting.wake()


def _start(parts: Parts, settings: Settings, stopping: asyncio.Event) -> list[asyncio.Task[None]]:
    """Everything that runs until the end; one of these that ends by itself ends the process."""
    vouching, changed = parts.vouching, partial(_follow_changes, parts)

    async def vouched() -> str | None:
        return None if vouching is None else vouching.trouble

    def notes() -> list[str]:
        return [said for said in (parts.pressure.said, vouching.said if vouching else "") if said]

    ready = readiness_of(parts.stores, parts.clock, vouched).reason
    health = Health(alive=lambda: not any(task.done() for task in tasks), ready=ready, notes=notes)
    notices = Notices(parts.stores.redis)
    work = {
        "health": serve_health(health, parts.port),
        "notices": follow(
            notices,
            changed=changed,
            woken=parts.dispatcher.wake,
            condition_changed=parts.dispatcher.condition_changed,
            has_room=parts.dispatcher.has_room,
            expunged=parts.stores.bodies.clear,
        ),
        "tick": tick_forever(parts.queue, parts.stores.routes, parts.catalogue, clock=parts.clock, refresh=changed),
        "reconciliations": reconcile_forever(parts.queue, parts.reconciling, clock=parts.clock),
        "jobs": _serve_jobs(parts, stopping),
        "dispatch": parts.dispatcher.watch(),
        "lags": parts.dispatcher.lagging.run(lambda: list(parts.catalogue.sources)),
        "sharing": share(
            parts.dispatcher.sharing,
            notices,
            session=parts.dispatcher.session,
            rows_taken_in=lambda: parts.stores.pages.committed,
        ),
        "deletions": parts.deleting.forever(),
        "replays": replays_of(parts.stores).run(lambda: list(parts.catalogue.streams)),
        "upkeep": parts.upkeep.run(lambda: list(parts.catalogue.sources.values()), lambda: parts.catalogue.posts),
    }
    if vouching is not None:
        work["checkpoint"] = vouching.run()
    tasks = [asyncio.create_task(coroutine, name=name) for name, coroutine in work.items()]
    return tasks


def _explain(tasks: list[asyncio.Task[None]]) -> int:
    for task in tasks:
        if task.done() and not task.cancelled() and (error := task.exception()):
            log.error("worker_task_ended", task=task.get_name(), error=repr(error))
    return 1


async def _serve_jobs(parts: Parts, stopping: asyncio.Event) -> None:
    """Run arq's worker, and another one each time that it ends because Redis went away (reliability A2).

    Jobs that run when that happens go on: they outlive Redis, and a slice has its lease.
    """
    failures = 0
    left: set[asyncio.Task[None]] = set()
    try:
        while not stopping.is_set():
            connection = connect_jobs(parts.queue_url)
            context = Context(parts.polling, parts.reconciling, parts.clock, parts.vouching)
            worker = make_worker(context, connection)
            try:
                await _run_until(worker, stopping)
            except (RedisError, OSError) as error:
                failures += 1
                log.warning("jobs_interrupted", error=type(error).__name__, failures=failures)
                await asyncio.sleep(RETRY_S[min(failures, len(RETRY_S)) - 1])
            ending = asyncio.create_task(_finish(worker, connection))
            left.add(ending)
            ending.add_done_callback(left.discard)
    finally:
        for task in left:
            task.cancel()
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


async def _finish(worker: Worker, connection: ArqRedis) -> None:
    """Wait for a worker's last jobs, then close its connection."""
    jobs = list(worker.tasks.values())
    try:
        await asyncio.gather(*jobs, return_exceptions=True)
    finally:
        for job in jobs:
            job.cancel()
        with contextlib.suppress(RedisError, OSError):
            await connection.aclose()
