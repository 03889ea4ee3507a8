"""The REST API as an application: every controller, dependency and handler is named here."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from socket import socket
from typing import Any

from litestar import Litestar, Request, Response, Router
from litestar.config.cors import CORSConfig
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.openapi import OpenAPIConfig
from litestar.types import ControllerRouterHandler

from relay.api import docs, health, problems
from relay.api.access import check_application, check_declared, operations
from relay.api.admission import AddressQuota, Admission, Limits
from relay.api.api_keys import ApiKeyController
from relay.api.applications import ApplicationController
from relay.api.attempts import AttemptController
from relay.api.audit import AuditController
from relay.api.auditing import Auditing, collections_of
from relay.api.auth import Authentication
from relay.api.backfills import BackfillController
from relay.api.background_tasks import BackgroundTaskController
from relay.api.bodies import StrictRequest, check_request
from relay.api.change_log import ChangeLog
from relay.api.dependencies import (
    provide_application,
    provide_once,
    provide_principal,
)
from relay.api.endpoint_secrets import EndpointSecretController
from relay.api.endpoint_stats import endpoint_stats
from relay.api.endpoints import EndpointController
from relay.api.erasures import ErasureController
from relay.api.event_type_imports import EventTypeImportController
from relay.api.event_types import EventTypeController
from relay.api.explanations import explanation
from relay.api.failing import failing_endpoints
from relay.api.history import history
from relay.api.lifespan import OpenStores, dependencies, lifespan
from relay.api.measuring import Measuring, count_answer, metrics
from relay.api.messages import MessageController
from relay.api.oldest import oldest_undelivered
from relay.api.operational_events import OperationalEventController
from relay.api.operational_webhooks import OperationalWebhookController
from relay.api.paging import provide_paging
from relay.api.parameters import parameters_of
from relay.api.pollers import PollerController
from relay.api.portal import PortalController, exchange_code
from relay.api.principals import own_principal
from relay.api.public_keys import webhook_keys
from relay.api.queries import provide_attempt_query
from relay.api.recipes import RecipeController
from relay.api.reconciliations import ReconciliationController
from relay.api.recorded import read_document
from relay.api.recordings import RecordingController, linked_recording
from relay.api.repeating import Repeating
from relay.api.replays import ReplayController
from relay.api.restored import refuse_changes
from relay.api.schemas.checks import Policies
from relay.api.schemas.common import TYPE_ENCODERS
from relay.api.securing import secure
from relay.api.sending_examples import send_example
from relay.api.sources import SourceController
from relay.api.statistics import StatisticsController
from relay.api.steering import SteeringController
from relay.api.tail import tail
from relay.api.transformations import TransformationController
from relay.api.undelivered import UndeliveredController
from relay.api.unsupported import INGEST_UNSUPPORTED, UNSUPPORTED, handlers
from relay.api.usage import UsageController
from relay.api.visitor_traces import linked_visitor_trace, visitor_trace
from relay.config import Settings, variable
from relay.console import failures
from relay.console.router import console
from relay.console.visits import HOME
from relay.domain.addresses import EgressPolicy
from relay.domain.model import Secret
from relay.errors import Fault, Invalid
from relay.metrics.http import HttpCounts
from relay.observability import counting_repeats
from relay.observability.spans import Spans
from relay.pipeline.clock import Clock
from relay.starting import open_clock
from relay.wiring import (
    Stores,
    egress_policy,
    open_stores,
    spans_of,
    upstream_policy,
)

ROOT = "/api/v1"
"""Where operations that require a key begin."""
LINKED = (linked_recording, linked_visitor_trace)
"""What signed links lead to."""
CORS_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
CORS_REQUEST = ["authorization", "content-type", "idempotency-key", "svix-req-id", "x-request-id"]
CORS_RESPONSE = [
    "idempotent-replayed", "ratelimit", "ratelimit-policy", "retry-after", "svix-req-id", "x-request-id",
]  # fmt: skip


def create_app(
    settings: Settings, *, metrics_port: socket | None = None, leaves: Callable[[], bool] = bool
) -> Litestar:
    """The application that the settings describe. It opens nothing before it starts. `leaves`: it was told to end."""

    clock = Clock()

    @asynccontextmanager
    async def opened() -> AsyncIterator[Stores]:
        async with open_stores(settings) as (stores, _), open_clock(stores, clock=clock), counting_repeats():
            yield stores

    if settings.admin_key is None:
        raise Invalid(Fault((variable("admin_key"),), "is required", "missing"))
    return create_api(
        opened,
        admin_key=settings.admin_key,
        policy=egress_policy(settings),
        upstreams=upstream_policy(settings),
        clock=clock,
        limits=Limits(
            key_per_minute=settings.key_requests_per_minute,
            address_per_minute=settings.address_requests_per_minute,
            trusted_proxies=settings.trusted_proxies,
        ),
        origins=settings.cors_origins,
        public_url=settings.public_url,
        embed_origins=settings.portal_embed_origins,
        has_console=settings.console == "on",
        metrics_port=metrics_port,
        spans=spans_of(settings),
        leaves=leaves,
    )


def create_api(
    opened: OpenStores,
    *,
    admin_key: Secret,
    policy: EgressPolicy,
    upstreams: EgressPolicy = EgressPolicy(),  # noqa: B008 - it is frozen
    clock: Clock,
    limits: Limits = Limits(),  # noqa: B008 - it is frozen
    origins: Sequence[str] = (),
    public_url: str | None = None,
    embed_origins: Sequence[str] = (),
    has_console: bool = True,
    metrics_port: socket | None = None,
    spans: AbstractAsyncContextManager[Spans | None] = nullcontext(),  # noqa: B008 - it has no state
    leaves: Callable[[], bool] = bool,
    openapi: OpenAPIConfig | None = None,
) -> Litestar:
    """Create the API. `admin_key` gives full access. Health checks, docs and public keys require no key.

    `policy` tells which URLs endpoints can have, and `upstreams` which `baseUrl` sources can have. `origins` are those
    of the web pages that can call the API, and `embed_origins` of those that can embed the portal. `public_url`: links
    begin with it; None: endpoints cannot include links. `has_console`: `/console` is there. `metrics_port` is an open
    port that answers `/metrics` without a key. `spans` are exported for as long as the application runs. `leaves`:
    whether the process was told to end; then it is not ready. `openapi` lets the framework describe the operations
    (relay.api.document); that takes a second, so services read what was recorded.
    """

    app = Litestar(
        [*_routes(admin_key, limits), *([console()] if has_console else [])],
        before_send=[secure, count_answer],
        cors_config=_cors(origins) if origins else None,
        dependencies=dependencies(clock),
        exception_handlers={**problems.handlers(), HTTPException: _http_error if has_console else problems.http_error},
        lifespan=[lifespan(opened, clock, upstreams=upstreams, metrics_port=metrics_port, spans=spans, leaves=leaves)],
        logging_config=None,
        middleware=[Measuring(), ChangeLog()],
        type_encoders=TYPE_ENCODERS,
        openapi_config=openapi,
        request_class=StrictRequest,
        request_max_body_size=problems.BODY_AT_MOST,
        state=State({"policies": Policies(policy, upstreams, public_url is not None)}),
    )
    app.state.clock, app.state.http_counts = clock, HttpCounts()
    app.state.authentication, app.state.leaves = Authentication(admin_key), leaves
    app.state.public_url, app.state.embed_origins = public_url, tuple(embed_origins)
    _check(app)
    return app


def _routes(admin_key: Secret, limits: Limits) -> list[ControllerRouterHandler]:
    """What is answered: operations with a key, and those that require none."""
    return [
        _guarded(Authentication(admin_key), limits),
        _ingest(Authentication(admin_key), limits),
        *docs.PAGES,
        Router(
            "/",
            route_handlers=[webhook_keys, linked_recording, linked_visitor_trace, exchange_code],
            middleware=[AddressQuota(limits)],
        ),
        Router("/", route_handlers=[metrics], middleware=[Admission(Authentication(admin_key), limits)]),
        health.live,
        health.ready,
        health.svix_health,
    ]


def _check(app: Litestar) -> None:
    """What the checks of requests go by. Raises RuntimeError if an operation declares no access."""
    check_declared(app, ROOT, public=[f"{ROOT}/health"])
    app.state.collections = collections_of(path for path, _, _ in operations(app, ROOT))
    describe(app, read_document())


def describe(app: Litestar, document: dict[str, Any]) -> None:
    """Check requests by an OpenAPI document, and serve it."""
    app.state.document, app.state.parameters = document, parameters_of(document)


def _guarded(authentication: Authentication, limits: Limits) -> Router:
    """All operations that require a key."""
    return Router(
        ROOT,
        route_handlers=[
            SourceController, SteeringController, BackfillController,
            ApplicationController, EndpointController, EndpointSecretController,
            TransformationController, RecipeController,
            EventTypeController, EventTypeImportController, MessageController, PollerController, RecordingController,
            AttemptController, UndeliveredController, OperationalEventController, OperationalWebhookController,
            ReconciliationController,
            visitor_trace, explanation,
            endpoint_stats, StatisticsController, failing_endpoints, oldest_undelivered, UsageController, history, tail,
            ReplayController,
            BackgroundTaskController, ErasureController, send_example, own_principal, ApiKeyController,
            PortalController, AuditController,
            *handlers(UNSUPPORTED),
        ],
        # In this order: nothing else sees a request that is not let in, and a repeated one is not noted again.
        middleware=[Admission(authentication, limits), Repeating(), Auditing(limits)],
        guards=[check_request, check_application, refuse_changes],
        security=[{"key": []}],
        dependencies={
            "principal": Provide(provide_principal, sync_to_thread=False),
            "application": Provide(provide_application),
            "once": Provide(provide_once, sync_to_thread=False),
            "paging": Provide(provide_paging, sync_to_thread=False),
            "asked": Provide(provide_attempt_query, sync_to_thread=False),
        },
    )  # fmt: skip


def _ingest(authentication: Authentication, limits: Limits) -> Router:
    """A part of Svix's API that the relay does not have."""
    return Router(
        "/ingest/api/v1",
        route_handlers=handlers(INGEST_UNSUPPORTED),
        middleware=[Admission(authentication, limits)],
    )


def _cors(origins: Sequence[str]) -> CORSConfig:
    return CORSConfig(
        allow_origins=list(origins),
        allow_methods=CORS_METHODS,  # type: ignore[arg-type]
        allow_headers=CORS_REQUEST,
        expose_headers=CORS_RESPONSE,
        max_age=600,
    )


def _http_error(request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
    """Errors of the framework that belong to no operation: people at `/console` get a page, others a document."""
    at_console = request.url.path == HOME or request.url.path.startswith(f"{HOME}/")
    return failures.http_error(request, error) if at_console else problems.http_error(request, error)
