"""A guarded transport to which 127.0.0.1 is the public internet, and the rest of this machine forbidden."""

from collections.abc import AsyncIterator, Awaitable, Callable
from ipaddress import ip_network
from typing import Any

import pytest

from relay.domain.addresses import EgressPolicy
from relay.domain.model import ApplicationId, Endpoint, EndpointId, SigningKey
from relay.domain.outcomes import Outcome
from relay.domain.signing import new_secret
from relay.outbound.callbacks import Callback, CallbackSender
from relay.outbound.egress import Egress, EgressOptions
from relay.outbound.resolver import Resolver
from tests.fault.dns_server import DnsServer, dns_server
from tests.fault.hostile_sink import HostileSink, hostile_sink
from tests.patience import PATIENCE_S

Send = Callable[..., Awaitable[Outcome]]

SECRET = new_secret(b"0123456789abcdef0123456789abcdef")


@pytest.fixture
def policy() -> EgressPolicy:
    return EgressPolicy(allow=(ip_network("127.0.0.1/32"),))


@pytest.fixture
async def dns() -> AsyncIterator[tuple[DnsServer, str]]:
    async with dns_server() as running:
        yield running


@pytest.fixture
async def names(dns: tuple[DnsServer, str]) -> DnsServer:
    return dns[0]


@pytest.fixture
async def sink() -> AsyncIterator[HostileSink]:
    async with hostile_sink() as running:
        yield running


@pytest.fixture
async def resolver(dns: tuple[DnsServer, str]) -> AsyncIterator[Resolver]:
    """Keeps nothing, so that each attempt looks its name up; a lookup has ten seconds."""
    resolver = Resolver(
        nameservers=[dns[1]], timeout_s=10.0, min_ttl_s=0.0, max_ttl_s=0.0, failure_ttl_s=0.0, grace_s=0.0
    )
    yield resolver
    await resolver.close()


@pytest.fixture
def connect_timeout_s() -> float:
    return PATIENCE_S


@pytest.fixture
async def egress(policy: EgressPolicy, resolver: Resolver, connect_timeout_s: float) -> AsyncIterator[Egress]:
    transport = Egress(policy=policy, resolver=resolver, options=EgressOptions(connect_timeout_s=connect_timeout_s))
    yield transport
    await transport.aclose()


@pytest.fixture
def sender(egress: Egress, policy: EgressPolicy) -> CallbackSender:
    return CallbackSender(egress, policy=policy, user_agent="relay-tests/1")


@pytest.fixture
def make_endpoint() -> Callable[..., Endpoint]:
    def make(url: str, **fields: Any) -> Endpoint:
        fields = {"keys": (SigningKey(key=SECRET),), "id": EndpointId(f"ep_{url}")} | fields
        return Endpoint(app_id=ApplicationId("app_1"), url=url, **fields)

    return make


@pytest.fixture
def send(sender: CallbackSender, make_endpoint: Callable[..., Endpoint]) -> Send:
    """Send one callback to a URL, or to an endpoint."""

    async def send(to: str | Endpoint, *, body: bytes = b'{"a":1}', deadline_s: float = PATIENCE_S) -> Outcome:
        endpoint = make_endpoint(to) if isinstance(to, str) else to
        prepared = sender.prepare(endpoint)
        return await sender.send(
            prepared, Callback(message_id="msg_1", body=body, timestamp_s=1_700_000_000), deadline_s=deadline_s
        )

    return send
