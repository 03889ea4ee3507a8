"""With a forward proxy, https goes through it, and its own faults are not the endpoint's."""

from collections.abc import AsyncIterator, Awaitable, Callable
from ipaddress import ip_network

import pytest

from relay.domain.addresses import EgressPolicy
from relay.domain.model import Endpoint
from relay.domain.outcomes import BLAMELESS, Failure, Outcome
from relay.outbound.callbacks import Callback, CallbackSender
from relay.outbound.egress import Egress, EgressOptions
from relay.outbound.resolver import Resolver
from tests.fault.certificates import Authority, server_context
from tests.fault.dns_server import DnsServer
from tests.fault.forward_proxy import ForwardProxy, forward_proxy
from tests.fault.hostile_sink import HostileSink, hostile_sink
from tests.patience import PATIENCE_S

Send = Callable[[str], Awaitable[Outcome]]

AUTHORITY = Authority()
LOOPBACK = ip_network("127.0.0.1/32")


@pytest.fixture
async def proxy() -> AsyncIterator[ForwardProxy]:
    async with forward_proxy() as running:
        yield running


@pytest.fixture
async def secure_sink() -> AsyncIterator[HostileSink]:
    async with hostile_sink(tls=server_context(AUTHORITY.issue("crm.example.com"))) as running:
        yield running


@pytest.fixture
async def send(
    proxy: ForwardProxy, secure_sink: HostileSink, resolver: Resolver, make_endpoint: Callable[..., Endpoint]
) -> AsyncIterator[Send]:
    """Public https on the sink's port counts as usual here, so that it goes by the proxy."""
    policy = EgressPolicy(allow=(LOOPBACK,), ports=frozenset({443, secure_sink.port}))
    options = EgressOptions(connect_timeout_s=PATIENCE_S, roots=(AUTHORITY.root,))
    transport = Egress(policy=policy, resolver=resolver, options=options, proxy=f"http://127.0.0.1:{proxy.port}")
    sender = CallbackSender(transport, policy=policy, user_agent="relay-tests/1")

    async def send(url: str) -> Outcome:
        prepared = sender.prepare(make_endpoint(url))
        return await sender.send(prepared, Callback(message_id="m", body=b"{}", timestamp_s=1), deadline_s=PATIENCE_S)

    yield send
    await transport.aclose()


async def test_https_goes_through_the_proxy_which_looks_the_name_up(
    send: Send, proxy: ForwardProxy, secure_sink: HostileSink, names: DnsServer
) -> None:
    """TLS is still checked end to end; the relay asks no name server."""
    proxy.routes["crm.example.com"] = "127.0.0.1"
    outcome = await send(f"https://crm.example.com:{secure_sink.port}/fine")
    assert (outcome.status, proxy.asked) == (204, [f"crm.example.com:{secure_sink.port}"])
    assert names.asked == {}


async def test_what_only_allow_permits_is_dialled_directly(
    send: Send, proxy: ForwardProxy, sink: HostileSink, names: DnsServer
) -> None:
    """Plain http inside is no business of the proxy's."""
    names.always("crm.svc", "127.0.0.1")
    assert (await send(f"http://crm.svc:{sink.port}/fine")).status == 204
    assert (await send(f"http://127.0.0.1:{sink.port}/fine")).status == 204
    assert proxy.asked == []


async def test_a_proxy_that_asks_for_a_password_is_a_proxy_fault(send: Send, proxy: ForwardProxy) -> None:
    """407 is between the operator and the proxy: the endpoint is blameless."""
    proxy.refuses_with = "407 Proxy Authentication Required"
    outcome = await send("https://crm.example.com/")
    assert outcome.error is Failure.PROXY
    assert outcome.error in BLAMELESS


async def test_what_the_proxy_cannot_reach_is_the_endpoints_fault(send: Send, proxy: ForwardProxy) -> None:
    """An endpoint that is down looks the same through a proxy: it must not be retried for ever."""
    proxy.refuses_with = "502 Bad Gateway"
    outcome = await send("https://crm.example.com/")
    assert outcome.error is Failure.CONNECT
    assert outcome.error not in BLAMELESS


async def test_a_proxy_that_is_down_is_a_proxy_fault(
    send: Send, resolver: Resolver, make_endpoint: Callable[..., Endpoint]
) -> None:
    """Nobody's endpoint is disabled because the proxy is away."""
    policy = EgressPolicy()
    transport = Egress(policy=policy, resolver=resolver, proxy="http://127.0.0.1:9")
    sender = CallbackSender(transport, policy=policy, user_agent="relay-tests/1")
    prepared = sender.prepare(make_endpoint("https://crm.example.com/"))
    outcome = await sender.send(prepared, Callback(message_id="m", body=b"{}", timestamp_s=1), deadline_s=PATIENCE_S)
    assert outcome.error is Failure.PROXY
    await transport.aclose()
