"""How metrics are put together."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from relay.config import Settings, variable
from relay.config.readings import plan_of
from relay.domain.counts import ReadingCounts
from relay.metrics.answering import Answering
from relay.metrics.http import HttpCounts, HttpMetrics
from relay.metrics.looping import LoopLag
from relay.metrics.process import ProcessMetrics
from relay.metrics.stored import Kept, StoredMetrics
from relay.metrics.worker import WorkerMetrics
from relay.pipeline.catalogue import Catalogue
from relay.pipeline.dispatch.dispatcher import Dispatcher
from relay.pipeline.reconciling.reconciling import Reconciling
from relay.serving import open_port
from relay.store.conditions import Conditions
from relay.store.depths import Depths
from relay.store.key_ages import KeyAges
from relay.store.low_water import LowWater
from relay.store.server import Server
from relay.wiring import Stores

log = structlog.get_logger()


@contextmanager
def open_metrics_port(settings: Settings) -> Iterator[socket.socket | None]:
    """Take the port of the metrics; None: they have none of their own. Raises CannotListen."""
    if settings.metrics_port is None:
        yield None
        return
    with open_port(settings.host, settings.metrics_port, setting=variable("metrics_port")) as listener:
        log.info("metrics_listening", port=listener.getsockname()[1])
        yield listener


def worker_metrics_of(
    settings: Settings,
    stores: Stores,
    catalogue: Catalogue,
    dispatcher: Dispatcher,
    reading: ReadingCounts,
    reconciling: Reconciling,
) -> Answering:
    """What answers `/metrics` in a worker."""
    lag, server = LoopLag(), Server(stores.redis)
    kept = Kept(
        depths=Depths(stores.redis),
        conditions=Conditions(stores.redis),
        routes=stores.routes,
        operations=stores.operations,
        epochs=stores.epochs,
        server=server,
        key_ages=KeyAges(stores.redis, stores.vault),
        low_water=LowWater(stores.redis, overlap=plan_of(settings).overlap, reach_s=settings.restore_reach_seconds),
    )
    metrics = WorkerMetrics(
        process=ProcessMetrics("worker", server, stores.operations, lag),
        stored=StoredMetrics(kept, catalogue),
        catalogue=catalogue,
        dispatcher=dispatcher,
        reading=reading,
        differences=reconciling.differences,
        slots=settings.dispatch_slots,
    )
    return Answering(metrics, lag)


def http_metrics_of(stores: Stores, counts: HttpCounts) -> Answering:
    """What answers `/metrics` in a process of the API."""
    lag = LoopLag()
    process = ProcessMetrics("api", Server(stores.redis), stores.operations, lag)
    return Answering(HttpMetrics(process, counts), lag)
