"""The polling side of a worker; apart from relay.wiring, because other processes do not poll."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NamedTuple

import structlog

from relay.config import Settings
from relay.config.readings import plan_of, planned_requests
from relay.observability.spans import Spans
from relay.outbound.reports_api import ReportsApi
from relay.outbound.resolver import Resolver
from relay.outbound.upstream_transport import UpstreamTransport
from relay.pipeline.catalogue import Catalogue
from relay.pipeline.clock import Clock
from relay.pipeline.ingest import Ingest
from relay.pipeline.judges import Judges, default_processes
from relay.pipeline.polling import Polling
from relay.pipeline.pressure import Pressure
from relay.pipeline.quarantine import Quarantine
from relay.pipeline.reading.backfilling import Backfilling
from relay.pipeline.reading.old_rows import OldRows
from relay.pipeline.replaying import Replaying
from relay.store.backlog import Backlog
from relay.wiring import USER_AGENT, Stores, upstream_policy

log = structlog.get_logger()


class PollingSide(NamedTuple):
    """What asks the upstream, and takes in what it answers."""

    polling: Polling
    reports: ReportsApi
    ingest: Ingest


@asynccontextmanager
async def open_polling(
    settings: Settings,
    stores: Stores,
    catalogue: Catalogue,
    pressure: Pressure,
    clock: Clock,
    spans: Spans | None = None,
) -> AsyncIterator[PollingSide]:
    """The polling side of a worker. The log says what its readings cost."""
    log.info("readings_planned", **planned_requests(settings))
    judges = Judges(default_processes() if settings.judging_processes is None else settings.judging_processes)
    ingest = Ingest(
        pages=stores.pages,
        events=stores.events,
        past=stores.past_events,
        quarantine=Quarantine(routes=stores.routes, operations=stores.operations, clock=clock),
        bodies=stores.bodies,
        catalogue=catalogue,
        clock=clock,
        replaying=Replaying(events=stores.events, books=stores.books, undelivered=stores.undelivered),
        judges=judges,
        spans=spans,
    )
    resolver = Resolver(nameservers=settings.nameservers or None)
    transport = UpstreamTransport(policy=upstream_policy(settings), resolver=resolver)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(resolver.close)
        await stack.enter_async_context(transport)
        reports = ReportsApi(transport, user_agent=USER_AGENT)
        polling = Polling(
            reports=reports,
            routes=stores.routes,
            ingest=ingest,
            catalogue=catalogue,
            clock=clock,
            known=stores.pages,
            readings=stores.readings,
            backfilling=_backfilling_of(settings, stores, catalogue, reports, clock),
            plan=plan_of(settings),
            pressure=pressure,
            operations=stores.operations,
        )
        # When the worker is told to end, the page at hand is judged in place.
        await stack.enter_async_context(judges.until(polling.stopping))
        yield PollingSide(polling, reports, ingest)


def _backfilling_of(
    settings: Settings, stores: Stores, catalogue: Catalogue, reports: ReportsApi, clock: Clock
) -> Backfilling:
    return Backfilling(
        backfills=stores.backfills,
        backlog=Backlog(stores.redis),
        lanes=stores.lanes,
        old_rows=OldRows(books=stores.books, events=stores.events, undelivered=stores.undelivered),
        reports=reports,
        catalogue=catalogue,
        clock=clock,
        # A backfill alone must not make the relay drop events.
        most_bytes=settings.endpoint_backlog_bytes // 2,
    )
