"""What handlers are given, by the name of the argument. The framework takes it as it is: it is no client's."""

from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import FromPath, SkipValidation

from relay.api.paging import Paging
from relay.api.queries import AttemptQuery
from relay.domain.addresses import EgressPolicy
from relay.domain.model import Application
from relay.pipeline.clock import Clock
from relay.wiring import Stores

StoresGiven = NamedDependency[SkipValidation[Stores]]
PolicyGiven = NamedDependency[SkipValidation[EgressPolicy]]
ClockGiven = NamedDependency[SkipValidation[Clock]]
ApplicationGiven = NamedDependency[SkipValidation[Application]]
PagingGiven = NamedDependency[SkipValidation[Paging]]
AttemptsAsked = NamedDependency[SkipValidation[AttemptQuery]]


def provide_stores(state: State) -> Stores:
    """The stores that the application was opened with."""
    stores: Stores = state.stores
    return stores


async def provide_application(app_id: FromPath[str], stores: StoresGiven) -> Application:
    """The application that a path names, by id or uid. Raises NotFound."""
    return await stores.applications.get(app_id)
