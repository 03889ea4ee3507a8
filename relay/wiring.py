"""The one place where things are put together: connections, stores, and what is built on them."""

import dataclasses
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version

from redis.asyncio import Redis

from relay.config import Settings
from relay.domain.addresses import NAT64, EgressPolicy
from relay.domain.links import PURPOSE, EventLinks
from relay.expressions.evaluator import Evaluator
from relay.observability import POD
from relay.observability.spans import Spans, open_spans
from relay.outbound.reports_api import ReportsApi
from relay.outbound.resolver import Resolver
from relay.outbound.upstream_transport import UpstreamTransport
from relay.pipeline.catalogue import Catalogue
from relay.pipeline.clock import Clock
from relay.pipeline.deleting import Deleting
from relay.pipeline.posting import Posting
from relay.pipeline.pressure import Pressure, Room
from relay.pipeline.tracing import DEADLINE_S as TRACE_DEADLINE_S
from relay.pipeline.tracing import Tracing
from relay.store.api_keys import ApiKeys
from relay.store.applications import Applications
from relay.store.attempts import Attempts
from relay.store.audit import Audit
from relay.store.backfills import Backfills
from relay.store.bodies import Bodies
from relay.store.books import Books
from relay.store.configuration import Configuration
from relay.store.connection import connect
from relay.store.consumers import Consumers
from relay.store.deleted_lanes import DeletedLanes
from relay.store.deleted_sources import DeletedSources
from relay.store.deletions import Deletions
from relay.store.embedded import embedded_server
from relay.store.endpoints import Endpoints
from relay.store.epochs import Epochs
from relay.store.erasing_tasks import ErasingTasks
from relay.store.erasures import Erasures
from relay.store.event_types import EventTypes
from relay.store.events import Events
from relay.store.idempotency import Idempotency
from relay.store.lags import LagWindows
from relay.store.lanes import Lanes
from relay.store.operations import Operations
from relay.store.outstanding import Outstanding
from relay.store.pages import Pages
from relay.store.past_events import PastEvents
from relay.store.portal import PortalTokens
from relay.store.posts import Posts
from relay.store.quotas import Quotas
from relay.store.readings import Readings
from relay.store.reconciliations import Reconciliations
from relay.store.replays import Replays
from relay.store.routes import Routes
from relay.store.seal import Seal
from relay.store.server import Server
from relay.store.sessions import Sessions
from relay.store.sources import Sources
from relay.store.statistics import Statistics
from relay.store.trace_turns import TraceTurns
from relay.store.undelivered import Undelivered
from relay.store.vault import Vault

VERSION = version("infinity-event-relay")
USER_AGENT = f"infinity-event-relay/{VERSION}"


@asynccontextmanager
async def server_url(settings: Settings) -> AsyncIterator[str]:
    """Where Redis is: as set, or the embedded server, which runs for as long as this is used."""
    if settings.redis_url is not None:
        yield settings.redis_url.reveal()
        return
    async with embedded_server(settings.data_dir) as url:
        yield url


def spans_of(settings: Settings) -> AbstractAsyncContextManager[Spans | None]:
    """Traces, for as long as this is used."""
    return open_spans(settings.tracing, version=VERSION, pod=POD)


@dataclass(frozen=True, slots=True)
class Stores:
    """Everything that is kept, by kind."""

    redis: Redis
    seal: Seal
    configuration: Configuration
    sources: Sources
    applications: Applications
    endpoints: Endpoints
    events: Events
    attempts: Attempts
    lanes: Lanes
    routes: Routes
    readings: Readings
    backfills: Backfills
    past_events: PastEvents
    pages: Pages
    bodies: Bodies
    operations: Operations
    undelivered: Undelivered
    epochs: Epochs
    books: Books
    reconciliations: Reconciliations
    lags: LagWindows
    replays: Replays
    erasures: Erasures
    erasing_tasks: ErasingTasks
    api_keys: ApiKeys
    portal: PortalTokens
    event_types: EventTypes
    statistics: Statistics
    quotas: Quotas
    idempotency: Idempotency
    audit: Audit
    consumers: Consumers
    sessions: Sessions
    vault: Vault


@asynccontextmanager
async def open_stores(settings: Settings) -> AsyncIterator[tuple[Stores, str]]:
    """The stores, and the URL of the server behind them; closed and, if need be, stopped at the end."""
    async with server_url(settings) as url:
        redis = connect(url)
        try:
            yield _stores_over(redis, settings), url
        finally:
            await redis.aclose()


def _stores_over(redis: Redis, settings: Settings) -> Stores:
    vault = Vault(settings.encryption_key)
    configuration = Configuration(redis, vault)
    return Stores(
        redis=redis,
        seal=Seal(redis, vault, configuration),
        configuration=configuration,
        sources=Sources(redis, vault),
        applications=Applications(redis, vault),
        endpoints=Endpoints(redis, vault),
        events=Events(redis),
        attempts=Attempts(redis),
        lanes=Lanes(redis),
        routes=Routes(redis),
        readings=Readings(redis),
        backfills=Backfills(redis),
        past_events=PastEvents(redis),
        pages=Pages(redis),
        bodies=Bodies(Events(redis)),
        operations=Operations(redis),
        undelivered=Undelivered(redis),
        epochs=Epochs(redis, needed=settings.checkpoint_url is not None),
        books=Books(redis),
        reconciliations=Reconciliations(redis),
        lags=LagWindows(redis),
        replays=Replays(redis),
        erasures=Erasures(redis, vault, most=settings.erasures),
        erasing_tasks=ErasingTasks(redis, vault),
        api_keys=ApiKeys(redis, vault),
        portal=PortalTokens(redis, vault),
        event_types=EventTypes(redis, vault),
        statistics=Statistics.of(redis),
        quotas=Quotas(redis),
        idempotency=Idempotency(redis, vault),
        audit=audit_of(settings, redis),
        consumers=Consumers(redis),
        sessions=Sessions(redis, vault),
        vault=vault,
    )


def audit_of(settings: Settings, redis: Redis) -> Audit:
    """The audit log, with its limits."""
    return Audit(redis, retention_s=settings.audit_retention_seconds, most_bytes=settings.audit_bytes)


def egress_policy(settings: Settings) -> EgressPolicy:
    """Where callbacks may go."""
    return EgressPolicy(
        allow=settings.egress_allow,
        deny=settings.egress_deny,
        ports=frozenset(settings.egress_ports),
        nat64=(NAT64, *settings.egress_nat64),
    )


def upstream_policy(settings: Settings) -> EgressPolicy:
    """Where the `baseUrl` of a source may lead."""
    return dataclasses.replace(egress_policy(settings), allow=settings.upstream_allow)


@asynccontextmanager
async def open_tracing(stores: Stores, policy: EgressPolicy) -> AsyncIterator[Tracing]:
    """What asks upstreams for traces of visitors. `policy` tells where upstreams may be."""
    resolver = Resolver()
    transport = UpstreamTransport(policy=policy, resolver=resolver)
    reports = ReportsApi(transport, user_agent=USER_AGENT, deadline_s=TRACE_DEADLINE_S, stall_s=TRACE_DEADLINE_S / 2)
    try:
        yield Tracing(reports, TraceTurns(stores.redis))
    finally:
        await transport.aclose()
        await resolver.close()


@asynccontextmanager
async def open_evaluator() -> AsyncIterator[Evaluator]:
    """What evaluates the expressions of endpoints. It starts its processes when they are needed."""
    evaluator = Evaluator()
    try:
        yield evaluator
    finally:
        await evaluator.aclose()


def links_of(settings: Settings, vault: Vault) -> EventLinks | None:
    """What makes the links that events carry; None: nobody has said where the API can be reached."""
    if settings.public_url is None:
        return None
    key, lives_s = vault.derived(PURPOSE)[0], round(settings.event_link_seconds)
    return EventLinks(key=key, public_url=settings.public_url, lives_s=lives_s)


def deleting_of(stores: Stores) -> Deleting:
    """What deletes the rest of what was deleted."""
    return Deleting(
        deletions=Deletions(stores.redis),
        configuration=stores.configuration,
        endpoints=stores.endpoints,
        api_keys=stores.api_keys,
        lanes=DeletedLanes(stores.redis),
        sources=DeletedSources(stores.redis),
    )


def posting_of(stores: Stores, clock: Clock, spans: Spans | None = None) -> Posting:
    """What takes posts in. It has a mirror of the configuration, which it reads with the first post."""
    return Posting(
        posts=Posts(stores.redis), applications=stores.applications, catalogue=Catalogue(stores.configuration),
        operations=stores.operations, clock=clock, spans=spans,
    )  # fmt: skip


def pressure_of(settings: Settings, stores: Stores, clock: Clock) -> Pressure:
    """What a worker knows of the store's room; shared by the polling side and by upkeep."""
    return Pressure(
        server=Server(stores.redis),
        operations=stores.operations,
        outstanding=Outstanding(stores.redis),
        clock=clock,
        room=Room(
            shed_share=settings.memory_shed_share,
            stop_share=settings.memory_stop_share, resume_share=settings.memory_resume_share,
            stop_deliveries=settings.backlog_stop_deliveries, resume_deliveries=settings.backlog_resume_deliveries,
        ),
    )  # fmt: skip
