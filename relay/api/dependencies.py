"""The arguments of handlers that do not come from the client, by name. The framework does not validate them."""

from typing import Any

from litestar import Request
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import FromPath, SkipValidation

from relay.api.access import APPLICATION, PRINCIPAL
from relay.api.paging import Paging
from relay.api.queries import AttemptQuery, MessageQuery
from relay.api.repeating import ONCE
from relay.domain.model import Application
from relay.domain.principals import Principal
from relay.expressions.evaluator import Evaluator
from relay.pipeline.clock import Clock
from relay.pipeline.posting import Posting
from relay.store import journal
from relay.store.idempotency import Once
from relay.store.readiness import Readiness
from relay.wiring import Stores

ReadinessGiven = NamedDependency[SkipValidation[Readiness]]
StoresGiven = NamedDependency[SkipValidation[Stores]]
ClockGiven = NamedDependency[SkipValidation[Clock]]
ApplicationGiven = NamedDependency[SkipValidation[Application]]
PagingGiven = NamedDependency[SkipValidation[Paging]]
AttemptsAsked = NamedDependency[SkipValidation[AttemptQuery]]
MessagesAsked = NamedDependency[SkipValidation[MessageQuery]]
PrincipalGiven = NamedDependency[SkipValidation[Principal]]
PostingGiven = NamedDependency[SkipValidation[Posting]]
EvaluatorGiven = NamedDependency[SkipValidation[Evaluator]]
OnceGiven = NamedDependency[SkipValidation[Once | None]]


def provide_stores(state: State) -> Stores:
    """The stores of the application."""
    stores: Stores = state.stores
    return stores


def provide_posting(state: State) -> Posting:
    """What takes posts in."""
    posting: Posting = state.posting
    return posting


def provide_evaluator(state: State) -> Evaluator:
    """What evaluates expressions."""
    evaluator: Evaluator = state.evaluator
    return evaluator


def provide_readiness(state: State) -> Readiness:
    """Whether the application is ready."""
    readiness: Readiness = state.readiness
    return readiness


def provide_principal(request: Request[Any, Any, Any]) -> Principal:
    """Who makes the request."""
    principal: Principal = request.scope["state"][PRINCIPAL]
    return principal


async def provide_application(
    app_id: FromPath[str], stores: StoresGiven, request: Request[Any, Any, Any]
) -> Application:
    """The application in the path, by id or uid. Raises NotFound."""
    # A guard has found that of a key that is bound to one.
    own: Application | None = request.scope["state"].get(APPLICATION)
    application = own or await stores.applications.get(app_id)
    journal.current().application = application.id
    return application


def provide_once(request: Request[Any, Any, Any]) -> Once | None:
    """The idempotency key that the request holds, if it has one."""
    once: Once | None = request.scope["state"].get(ONCE)
    return once
