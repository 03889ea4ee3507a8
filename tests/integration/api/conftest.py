"""The API on a real port over a real store, with the published Svix client and a plain one in front of it."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network

import httpx
import pytest
from redis.asyncio import Redis
from svix.api import SvixAsync, SvixOptions

from relay.api.app import create_api, describe
from relay.api.document import CONFIG, document_of
from relay.api.examples import read_examples
from relay.bounded_clients import ClientLimits
from relay.config import Settings
from relay.domain.addresses import EgressPolicy
from relay.domain.model import Secret
from relay.outbound.recordings import open_recordings
from relay.pipeline.clock import Clock
from relay.pipeline.listening import open_listening
from relay.serving import open_port, server
from relay.starting import readiness_of
from relay.store.tail import Tail
from relay.wiring import Stores, open_evaluator, open_stores, open_tracing, posting_of
from tests.integration.api.documented import Documented
from tests.integration.api.losing import Losses
from tests.integration.api.storing import Store

KEY = "test-key-0123456789"


UPSTREAMS = EgressPolicy(allow=(ip_network("10.0.0.0/8"), ip_network("127.0.0.0/8")))
"""Sources of these tests lead into a network that the operator allows."""


class TestClock(Clock):
    """A clock that stands still until it is told."""

    __test__ = False
    at_ms = 1_790_000_000_000

    def now_ms(self) -> int:
        """The time that it shows."""
        return self.at_ms


@pytest.fixture(scope="session")
def opened() -> list[Stores]:
    """What the application works with: the last entry."""
    return []


@pytest.fixture(scope="session")
def application(opened: list[Stores]) -> Documented:
    """One application for all tests, each of whose answers is compared with the OpenAPI document.

    The document is made anew, and not the recorded one: a change of the API is tested before it is recorded.
    """

    @asynccontextmanager
    async def last() -> AsyncIterator[Stores]:
        yield opened[-1]

    app = create_api(
        last,
        admin_key=Secret(KEY),
        policy=EgressPolicy(),
        upstreams=UPSTREAMS,
        clock=CLOCK,
        public_url="https://relay.example.com",
        openapi=CONFIG,
    )
    describe(app, document_of(app, read_examples()))
    return Documented(app)


CLOCK = TestClock()


@pytest.fixture
def clock() -> TestClock:
    """The application's clock."""
    CLOCK.at_ms = TestClock.at_ms
    return CLOCK


@pytest.fixture
async def stores(redis: Redis, redis_url: str) -> AsyncIterator[Stores]:
    """All stores over an empty database."""
    key = Secret(base64.b64encode(b"k" * 32).decode())
    async with open_stores(Settings(redis_url=Secret(redis_url), encryption_key=(key,))) as (stores, _):
        yield stores


@pytest.fixture
async def store(stores: Stores) -> Store:
    """Stores events."""
    return await Store(stores).open()


@pytest.fixture
async def base_url(
    application: Documented, opened: list[Stores], stores: Stores, clock: TestClock
) -> AsyncIterator[str]:
    """Where the API listens, with the server of `relay serve`."""
    opened.append(stores)
    application.mismatches.clear()
    listener = open_port("127.0.0.1", 0, setting="--port")
    serves = server(application, lifespan=True, limits=ClientLimits())
    running = asyncio.create_task(serves.serve([listener]))
    while not serves.started:
        await asyncio.sleep(0.001)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    serves.should_exit = True
    await running
    opened.pop()
    assert not application.mismatches


@pytest.fixture
async def http(application: Documented, stores: Stores, clock: TestClock) -> AsyncIterator[httpx.AsyncClient]:
    """A plain client with the key, without a port between."""
    application.state.stores = stores
    application.state.posting = posting_of(stores, clock)
    application.state.readiness = readiness_of(stores, clock)
    application.mismatches.clear()
    transport, headers = httpx.ASGITransport(application), {"authorization": f"Bearer {KEY}"}
    async with (
        open_recordings(UPSTREAMS) as application.state.recordings,
        open_tracing(stores, UPSTREAMS) as application.state.tracing,
        open_evaluator() as application.state.evaluator,
        open_listening(Tail(stores.redis)) as application.state.listening,
        httpx.AsyncClient(transport=transport, base_url="http://relay/api/v1", headers=headers) as client,
    ):
        yield client


@pytest.fixture
async def svix(base_url: str) -> AsyncIterator[SvixAsync]:
    """The published client of Svix, as it is."""
    client = SvixAsync(KEY, SvixOptions(server_url=base_url, retry_schedule=[]))
    yield client
    await client._httpx_client.aclose()


@pytest.fixture
async def losses(http: httpx.AsyncClient, stores: Stores, store: Store) -> Losses:
    """Nothing is lost yet."""
    return await Losses(http, stores, store).open()
