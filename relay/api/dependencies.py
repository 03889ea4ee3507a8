"""The arguments of handlers that do not come from the client, by name. The framework does not validate them."""

from typing import Annotated, Any

from litestar import Request
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import FromPath, HeaderParameter, SkipValidation

from relay.api.paging import Paging
from relay.api.queries import AttemptQuery
from relay.domain.model import Application
from relay.pipeline.clock import Clock
from relay.store.idempotency import Once
from relay.store.readiness import Readiness
from relay.wiring import Stores

ReadinessGiven = NamedDependency[SkipValidation[Readiness]]
StoresGiven = NamedDependency[SkipValidation[Stores]]
ClockGiven = NamedDependency[SkipValidation[Clock]]
ApplicationGiven = NamedDependency[SkipValidation[Application]]
PagingGiven = NamedDependency[SkipValidation[Paging]]
AttemptsAsked = NamedDependency[SkipValidation[AttemptQuery]]
OnceGiven = NamedDependency[SkipValidation[Once | None]]


def provide_stores(state: State) -> Stores:
    """The stores of the application."""
    stores: Stores = state.stores
    return stores


def provide_readiness(state: State) -> Readiness:
    """Whether the application is ready."""
    readiness: Readiness = state.readiness
    return readiness


async def provide_application(app_id: FromPath[str], stores: StoresGiven) -> Application:
    """The application in the path, by id or uid. Raises NotFound."""
    return await stores.applications.get(app_id)


async def provide_once(
    request: Request[Any, Any, Any],
    idempotency_key: Annotated[
        str | None,
        HeaderParameter(
            name="idempotency-key",
            max_length=256,
            description="Requests with the same key and body within a day create one object",
        ),
    ] = None,
) -> Once | None:
    """The idempotency key of a request, if it has one."""
    if not idempotency_key:
        return None
    return Once(f"{request.url.path} {idempotency_key}", await request.body())
