"""The worker process: what runs in it, in which order it starts, and how it ends."""

import asyncio
import gc
import resource
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

import structlog
import uvloop
from arq.connections import ArqRedis
from redis.exceptions import RedisError

from relay.config import Settings
from relay.errors import StoreRefused, StoreUnavailable
from relay.jobs import connect_jobs
from relay.leaving import cut_off_after
from relay.metrics.answering import Answering
from relay.observability import counting_repeats
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
from relay.store.seal import locked
from relay.wiring import Stores, deleting_of, open_stores, pressure_of, spans_of
from relay.wiring_checkpoints import vouching_of
from relay.wiring_dispatch import open_dispatch
from relay.wiring_erasing import erasing_of
from relay.wiring_metrics import open_metrics_port, worker_metrics_of
from relay.wiring_operational import operational_posts_of
from relay.wiring_polling import open_polling
from relay.wiring_reconciling import reconciling_of
from relay.wiring_replays import replays_of
from relay.wiring_upkeep import upkeep_of
from workers.context import Context
from workers.ending import LAST_WORDS_S, drain_s
from workers.health import Health, health_port, serve_health
from workers.progress import Watch
from workers.serving_jobs import serve_jobs
from workers.ticking import reconcile_forever, tick_forever

log = structlog.get_logger()

GARBAGE_AFTER = 50_000
"""Objects that are made before the youngest are looked through; Python's own rule is 700."""


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
    metrics: Answering
    queue: ArqRedis
    queue_url: str

    def watch(self, context: Context) -> Watch:
        """What looks whether the work that is due gets done."""
        return Watch(
            routes=self.stores.routes, queue=self.queue, dispatcher=self.dispatcher,
            jobs=context.count, clock=self.clock,
        )  # fmt: skip

    async def trouble(self) -> str | None:
        """What is wrong with the checkpoint; None: nothing, or there is none."""
        return None if self.vouching is None else self.vouching.trouble

    @property
    def context(self) -> Context:
        """What jobs are given."""
        return Context(self.polling, self.reconciling, self.clock, self.vouching)


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
    async with counting_repeats():
        async with _parts(settings) as parts:
            code = await _work(parts, settings, stopping)
        log.info("worker_ended", code=code)
    return code


@asynccontextmanager
async def _parts(settings: Settings) -> AsyncIterator[Parts]:
    async with AsyncExitStack() as stack:
        # Before anything else: a process whose port is taken would do work, and be killed for not being alive.
        port = stack.enter_context(health_port(settings.host, settings.worker_port))
        spans = await stack.enter_async_context(spans_of(settings))
        metrics_port = stack.enter_context(open_metrics_port(settings))
        stores, url = await stack.enter_async_context(open_stores(settings))
        await check_start(stores.redis, stores.seal, is_embedded=settings.redis_url is None)
        queue, queue_url = await stack.enter_async_context(_open_queue(settings, url))
        clock = Clock()
        catalogue, dispatcher = await stack.enter_async_context(open_dispatch(settings, stores, clock, spans))

        at_once = partial(_poll_at_once, stores, catalogue)
        await stack.enter_async_context(open_clock(stores, clock=clock, set_back=at_once))
        pressure = pressure_of(settings, stores, clock)
        side = await stack.enter_async_context(open_polling(settings, stores, catalogue, pressure, clock, spans))
        reconciling = reconciling_of(settings, stores, side, catalogue, pressure, clock)
        metrics = worker_metrics_of(settings, stores, catalogue, dispatcher, side.ingest.counts, reconciling)
        await stack.enter_async_context(metrics.measuring(metrics_port))
        yield Parts(
            port=port,
            stores=stores,
            clock=clock,
            catalogue=catalogue,
            dispatcher=dispatcher,
            polling=side.polling,
            reconciling=reconciling,
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
            metrics=metrics,
            queue=queue,
            queue_url=queue_url,
        )


async def _poll_at_once(stores: Stores, catalogue: Catalogue) -> None:
    """When each source is to be polled next was written down by the clock as it was before it was set back."""
    for source in catalogue.sources:
        await stores.routes.poll_at(source, 0)


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
    log.info("worker_draining", within_s=drain_s(settings))
    stopping.set()
    parts.polling.stopping.set()
    try:
        await parts.dispatcher.drain(drain_s(settings))
    except (StoreUnavailable, StoreRefused) as error:
        log.warning("drain_interrupted", error=str(error))
    cut_off_after(LAST_WORDS_S, code)
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
    context, notices = parts.context, Notices(parts.stores.redis)
    watch = parts.watch(context)
    health = _health_of(parts, watch, settings, stopping, alive=lambda: not any(task.done() for task in tasks))
    work = {
        "health": serve_health(parts.metrics.in_front_of(health), parts.port),
        "notices": follow(
            notices,
            changed=changed,
            woken=parts.dispatcher.wake,
            condition_changed=parts.dispatcher.condition_changed,
            has_room=parts.dispatcher.has_room,
            expunged=parts.dispatcher.expunged,
            tailed=parts.dispatcher.tailing.wanted,
        ),
        "tail": parts.dispatcher.tailing.run(),
        "tick": tick_forever(parts.queue, parts.stores.routes, parts.catalogue, clock=parts.clock, refresh=changed),
        "reconciliations": reconcile_forever(parts.queue, parts.reconciling, clock=parts.clock),
        "jobs": serve_jobs(context, parts.queue_url, stopping),
        "dispatch": parts.dispatcher.watch(),
        "progress": watch.run(),
        "lags": parts.dispatcher.lagging.run(lambda: list(parts.catalogue.sources)),
        "sharing": share(
            parts.dispatcher.sharing,
            notices,
            session=parts.dispatcher.session,
            rows_taken_in=lambda: parts.stores.pages.committed,
        ),
        "deletions": parts.deleting.forever(),
        "replays": replays_of(parts.stores).run(lambda: list(parts.catalogue.streams)),
        "operational": operational_posts_of(parts.stores, parts.clock).run(parts.catalogue),
        "erasing": erasing_of(settings, parts.stores).run(),
        "upkeep": parts.upkeep.run(lambda: list(parts.catalogue.sources.values()), lambda: parts.catalogue.posts),
        **({} if vouching is None else {"checkpoint": vouching.run()}),
    }
    tasks = [asyncio.create_task(coroutine, name=name) for name, coroutine in work.items()]
    return tasks


def _health_of(
    parts: Parts, watch: Watch, settings: Settings, stopping: asyncio.Event, *, alive: Callable[[], bool]
) -> Health:
    vouching = parts.vouching

    async def queue_answers() -> str | None:
        try:
            await parts.queue.ping()
        except (RedisError, OSError) as error:
            return f"RELAY_QUEUE_REDIS_URL: the server does not answer ({type(error).__name__})"
        return None

    async def opens_all() -> str | None:
        return locked(parts.catalogue.unreadable.values())

    async def progresses() -> str | None:
        return watch.trouble()

    def notes() -> list[str]:
        return [said for said in (parts.pressure.said, vouching.said if vouching else "") if said]

    checks = [parts.trouble, opens_all, progresses, *([queue_answers] if settings.queue_redis_url else [])]
    ready = readiness_of(parts.stores, parts.clock, *checks).reason
    return Health(alive=alive, ready=ready, notes=notes, ends=stopping.is_set)


def _explain(tasks: list[asyncio.Task[None]]) -> int:
    for task in tasks:
        if task.done() and not task.cancelled() and (error := task.exception()):
            log.error("worker_task_ended", task=task.get_name(), error=repr(error))
    return 1
