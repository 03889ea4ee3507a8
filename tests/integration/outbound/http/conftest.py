"""Everything here runs on both event loops: a worker's, and the one of those who embed the relay."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import httpx
import pytest
import uvloop

from relay.domain.addresses import EgressPolicy
from relay.outbound.egress import Egress
from relay.outbound.http.messages import WireRequest
from relay.outbound.targets import vet_url
from tests.patience import PATIENCE_S

Post = Callable[..., Awaitable[httpx.Response]]


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Name the loops."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
def post(egress: Egress, policy: EgressPolicy) -> Post:
    """Send a body to a port, by the transport that is given or the usual one, and give the response itself."""

    async def post(
        to: int | str, *, body: bytes = b"{}", deadline_s: float = PATIENCE_S, by: httpx.AsyncBaseTransport = egress
    ) -> httpx.Response:
        target = vet_url(f"http://127.0.0.1:{to}/" if isinstance(to, int) else to, policy)
        return await by.handle_async_request(WireRequest("POST", target, headers=[], body=body, deadline_s=deadline_s))

    return post
