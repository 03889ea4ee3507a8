"""A source's baseUrl is judged like an endpoint's URL whenever it is dialled, and nothing tells why it is refused."""

import asyncio
from collections.abc import AsyncIterator
from ipaddress import ip_network

import httpx
import pytest

from relay.domain.addresses import EgressPolicy
from relay.outbound.resolver import Resolver
from relay.outbound.upstream_transport import UNREACHABLE, UpstreamTransport
from tests.fault.dns_server import SERVFAIL, DnsServer
from tests.patience import PATIENCE_S


class Listener:
    """Something inside that answers, and counts who came."""

    def __init__(self) -> None:
        self.connections = 0
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.2/\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()
        writer.close()


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    listener = Listener()
    server = await asyncio.start_server(listener.serve, "0.0.0.0", 0)
    async with server:
        listener.port = server.sockets[0].getsockname()[1]
        yield listener


@pytest.fixture
def lookup_s() -> float:
    return PATIENCE_S


@pytest.fixture
async def resolver(dns: tuple[DnsServer, str], lookup_s: float) -> AsyncIterator[Resolver]:
    resolver = Resolver(nameservers=[dns[1]], timeout_s=lookup_s)
    yield resolver
    await resolver.close()


async def asked(url: str, resolver: Resolver, policy: EgressPolicy) -> int | str:
    """The status, or what is said of the failure."""
    transport = UpstreamTransport(policy=policy, resolver=resolver)
    async with httpx.AsyncClient(transport=transport, follow_redirects=False, trust_env=False) as client:
        try:
            return (await client.get(url)).status_code
        except httpx.ConnectError as error:
            return str(error)


INSIDE = EgressPolicy(allow=(ip_network("127.0.0.1/32"),))


async def test_what_is_allowed_inside_is_reached_by_http_and_any_port(
    listener: Listener, resolver: Resolver, names: DnsServer
) -> None:
    """By its address and by its name; a redirect is not followed."""
    names.always("upstream.corp", "127.0.0.1")
    for host in ("127.0.0.1", "upstream.corp"):
        assert await asked(f"http://{host}:{listener.port}/reports", resolver, INSIDE) == 302
    assert listener.connections == 2


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.2", "127.1", "2130706434", "localhost", "[::1]", "[::ffff:127.0.0.2]", "169.254.169.254",
        "metadata.google.internal", "inside.example.com", "mixed.example.com", "nothing.example.com",
        "broken.example.com", "silent.example.com",
    ],
)  # fmt: skip
@pytest.mark.parametrize("lookup_s", [0.5])
@pytest.mark.parametrize("policy", [INSIDE, EgressPolicy()], ids=["something is allowed", "nothing is"])
async def test_everything_else_is_refused_with_one_text(
    listener: Listener, resolver: Resolver, names: DnsServer, host: str, policy: EgressPolicy
) -> None:
    """A name that leads inside, one that does not exist, one that nobody answers for: nothing tells them apart."""
    names.always("inside.example.com", "127.0.0.2")
    names.always("mixed.example.com", "127.0.0.1", "127.0.0.2")
    names.always("broken.example.com", SERVFAIL)
    names.drop("silent.example.com")
    for scheme in ("http", "https"):
        assert await asked(f"{scheme}://{host}:{listener.port}/", resolver, policy) == UNREACHABLE
    assert listener.connections == 0


async def test_a_closed_port_and_a_wrong_certificate_look_like_a_refusal(
    listener: Listener, resolver: Resolver
) -> None:
    assert await asked("http://127.0.0.1:1/", resolver, INSIDE) == UNREACHABLE


async def test_a_name_that_moves_inside_is_judged_again(
    listener: Listener, names: DnsServer, dns: tuple[DnsServer, str]
) -> None:
    """Each connection goes to an address that was judged, whatever the name answers next."""
    names.always("upstream.corp", "127.0.0.1")
    resolver = Resolver(nameservers=[dns[1]], timeout_s=PATIENCE_S, min_ttl_s=0.0, max_ttl_s=0.0)
    assert await asked(f"http://upstream.corp:{listener.port}/", resolver, INSIDE) == 302
    await resolver.close()
    names.always("upstream.corp", "127.0.0.2")
    resolver = Resolver(nameservers=[dns[1]], timeout_s=PATIENCE_S)
    assert await asked(f"http://upstream.corp:{listener.port}/", resolver, INSIDE) == UNREACHABLE
    await resolver.close()
    assert listener.connections == 1
