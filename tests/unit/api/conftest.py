"""A client of the API over stores that are not there: for what never gets as far as a store."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient

from relay.api.app import create_api
from relay.domain.addresses import EgressPolicy
from relay.domain.custom_types import Standing
from relay.domain.model import Secret
from relay.errors import NotFound, StoreUnavailable
from relay.pipeline.clock import Clock
from relay.store.quotas import Quota
from relay.store.records import Page

KEY = "test-key-0123456789"

Client = AsyncTestClient[Any]


async def nothing_is_wrong() -> None:
    """The answer to a check."""


class Unlimited:
    """Quotas that are never used up, and no keys but the operator's."""

    async def of_address(self, _address: str, *, per_minute: int) -> Quota:
        """Room for more."""
        return Quota(True, per_minute, 0.0)

    async def of_principal(self, _principal: Any, *, per_minute: int, now_ms: int) -> Quota:
        """Room for more."""
        del now_ms
        return Quota(True, per_minute, 0.0)

    async def find(self, _key: str) -> None:
        """There are no keys."""


SEAL = SimpleNamespace(trouble=None)
"""Nobody asks whether it is ready."""
EPOCHS = SimpleNamespace(trouble=nothing_is_wrong)


@pytest.fixture(scope="session")
def layers() -> list[Any]:
    """What the application opens as its stores: the last entry."""

    async def nothing(name: str) -> None:
        raise NotFound(f"there is no {name}")

    async def away(*_: Any) -> None:
        raise StoreUnavailable("there is no store here")

    async def no_types(**_: Any) -> Page[Any]:
        return Page([])

    async def no_standing(_: Any) -> Standing:
        return Standing()

    none = {name: SimpleNamespace(get=away, uids=away) for name in ("sources", "applications")}
    return [
        SimpleNamespace(
            redis=None,
            seal=SEAL,
            endpoints=SimpleNamespace(named=nothing, get=away),
            event_types=SimpleNamespace(get=nothing, page=no_types, standing=no_standing),
            **none,
        )
    ]


@pytest.fixture(scope="session")
def app(layers: list[Any]) -> Litestar:
    """One application for all tests: making one takes 0.1 s."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Any]:
        yield layers[-1]

    return create_api(opened, admin_key=Secret(KEY), policy=EgressPolicy(), clock=Clock())


@pytest.fixture
def client_over(app: Litestar, layers: list[Any]) -> Callable[[Any], AbstractAsyncContextManager[Client]]:
    """Makes a client with the key, over the given stores."""

    @asynccontextmanager
    async def over(stores: Any) -> AsyncIterator[Client]:
        stores.redis, stores.seal, stores.epochs = getattr(stores, "redis", None), SEAL, EPOCHS
        stores.quotas = stores.api_keys = stores.portal = Unlimited()
        for name in ("configuration", "operations", "applications"):
            setattr(stores, name, getattr(stores, name, None))
        layers.append(stores)
        async with AsyncTestClient(app, raise_server_exceptions=False) as client:
            client.headers["authorization"] = f"Bearer {KEY}"
            yield client
        layers.pop()

    return over


@pytest.fixture
async def client(
    client_over: Callable[[Any], AbstractAsyncContextManager[Client]], layers: list[Any]
) -> AsyncIterator[Client]:
    """A client with the key, over a store that answers pings and has nothing."""
    async with client_over(layers[0]) as client:
        yield client
