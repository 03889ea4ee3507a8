"""The forward proxy: whose fault a refused CONNECT is, and what else a proxy can do wrong."""

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import httpx
import pytest

from relay.domain.addresses import EgressPolicy
from relay.domain.outcomes import BLAMELESS, Failure
from relay.outbound.egress import Egress, EgressOptions
from relay.outbound.failures import EgressError
from relay.outbound.resolver import Resolver
from tests.fault.certificates import Authority, server_context
from tests.fault.dns_server import DnsServer
from tests.fault.hostile_sink import HostileSink, hostile_sink
from tests.fault.scripted import Peer, happens, scripted
from tests.patience import FOREVER_S, PATIENCE_S

Post = Callable[..., Awaitable[httpx.Response]]

AUTHORITY = Authority()
OPTIONS = EgressOptions(connect_timeout_s=FOREVER_S, roots=(AUTHORITY.root,))


@pytest.fixture
def policy(policy: EgressPolicy) -> EgressPolicy:
    """Public https on any port counts as usual here, so that it goes by the proxy."""
    return replace(policy, ports=frozenset(range(1, 65_536)))


@pytest.fixture
async def sink() -> AsyncIterator[HostileSink]:
    async with hostile_sink(tls=server_context(AUTHORITY.issue("crm.example.com"))) as running:
        yield running


async def ask(peer: Peer) -> str:
    """Read a CONNECT."""
    return (await peer.reader.readuntil(b"\r\n\r\n")).decode()


async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


def tunnel_to(port: int, heads: list[str]) -> Callable[[Peer], Awaitable[None]]:
    async def script(peer: Peer) -> None:
        heads.append(await ask(peer))
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        peer.writer.write(b"HTTP/1.1 200 Connected\r\nx-proxy: 1\r\n\r\n")
        try:
            await asyncio.gather(carry(peer.reader, writer), carry(reader, peer.writer))
        finally:
            writer.transport.abort()

    return script


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        ("400 Bad Request", Failure.PROXY),
        ("401 Unauthorized", Failure.PROXY),
        ("403 Forbidden", Failure.PROXY),
        ("404 Not Found", Failure.PROXY),
        ("405 Method Not Allowed", Failure.PROXY),
        ("407 Proxy Authentication Required", Failure.PROXY),
        ("429 Too Many Requests", Failure.PROXY),
        ("500 Internal Server Error", Failure.PROXY),
        ("302 Found", Failure.PROXY),
        ("502 Bad Gateway", Failure.CONNECT),
        ("503 Service Unavailable", Failure.CONNECT),
        ("504 Gateway Timeout", Failure.CONNECT),
    ],
)
async def test_a_refused_connect_is_told_apart_from_a_receiver_that_cannot_be_reached(
    status: str, failure: Failure, policy: EgressPolicy, resolver: Resolver, post: Post
) -> None:
    """What the proxy refuses by its own rules is not charged to the endpoint."""

    async def script(peer: Peer) -> None:
        await ask(peer)
        peer.writer.write(f"HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\nno".encode())
        await peer.until_closed()

    async with scripted(script) as proxy:
        egress = Egress(policy=policy, resolver=resolver, options=OPTIONS, proxy=f"http://127.0.0.1:{proxy.port}")
        with pytest.raises(EgressError) as caught:
            await post("https://crm.example.com/", by=egress)
        await happens(lambda: proxy.closed == 1)
        assert caught.value.failure is failure
        assert (failure in BLAMELESS) == (failure is Failure.PROXY)
        assert egress._pool.open == 0
        await egress.aclose()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"garbage",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nearly",
        b"HTTP/1.1 200 OK\r\n" + b"x: 1\r\n" * 200,
    ],
)
async def test_a_proxy_that_does_not_speak_http_is_a_proxy_fault(
    answer: bytes, policy: EgressPolicy, resolver: Resolver, post: Post
) -> None:
    """Nothing that it sends is taken for the receiver's."""

    async def script(peer: Peer) -> None:
        await ask(peer)
        peer.writer.write(answer)
        await peer.writer.drain()

    async with scripted(script) as proxy:
        egress = Egress(policy=policy, resolver=resolver, options=OPTIONS, proxy=f"http://127.0.0.1:{proxy.port}")
        with pytest.raises(EgressError) as caught:
            await post("https://crm.example.com/", by=egress)
        assert caught.value.failure in (Failure.PROXY, Failure.TLS) if b"early" in answer else Failure.PROXY
        await egress.aclose()


async def test_what_ends_behind_the_tunnel_is_the_receivers(
    policy: EgressPolicy, resolver: Resolver, sink: HostileSink, post: Post
) -> None:
    """A certificate for another name is refused through a proxy, too."""
    heads: list[str] = []
    async with scripted(tunnel_to(sink.port, heads)) as proxy:
        egress = Egress(policy=policy, resolver=resolver, options=OPTIONS, proxy=f"http://127.0.0.1:{proxy.port}")
        with pytest.raises(EgressError) as caught:
            await post(f"https://other.example.com:{sink.port}/fine", by=egress)
        assert (caught.value.failure, sink.received) == (Failure.TLS, [])
        for _ in range(2):
            assert (await post(f"https://crm.example.com:{sink.port}/fine", by=egress)).status_code == 204
        assert (len(heads), len(sink.received)) == (2, 2)
        await egress.aclose()


@pytest.mark.parametrize("tls", [False, True])
async def test_a_proxy_with_a_password_by_name_and_by_tls(
    tls: bool, policy: EgressPolicy, resolver: Resolver, sink: HostileSink, names: DnsServer, post: Post
) -> None:
    """The password goes to the proxy only; the proxy's name is looked up and not judged."""
    names.always("proxy.internal", "127.0.0.1")
    heads: list[str] = []
    context = server_context(AUTHORITY.issue("proxy.internal")) if tls else None
    async with scripted(tunnel_to(sink.port, heads), tls=context) as proxy:
        url = f"{'https' if tls else 'http'}://us%40er:p%3Aw@proxy.internal:{proxy.port}"
        egress = Egress(policy=policy, resolver=resolver, options=OPTIONS, proxy=url)
        response = await post(f"https://crm.example.com:{sink.port}/fine", by=egress)
        assert response.status_code == 204
        assert response.extensions["timings"].tls > 0
        password = base64.b64encode(b"us@er:p:w").decode()
        assert f"proxy-authorization: Basic {password}\r\n" in heads[0]
        assert heads[0].startswith(f"CONNECT crm.example.com:{sink.port} HTTP/1.1\r\nhost: crm.example.com:")
        assert "proxy-authorization" not in sink.received[0].headers
        assert password not in repr(sink.received)
        await egress.aclose()


async def test_a_silent_proxy_ends_in_time(policy: EgressPolicy, resolver: Resolver, post: Post) -> None:
    """It may be waiting for the receiver: so it counts as a receiver that is not reached."""

    async with scripted(lambda peer: peer.until_closed()) as proxy:
        egress = Egress(policy=policy, resolver=resolver, options=OPTIONS, proxy=f"http://127.0.0.1:{proxy.port}")
        await egress._contexts.context()
        async with asyncio.timeout(PATIENCE_S):
            with pytest.raises(EgressError) as caught:
                await post("https://crm.example.com/", by=egress, deadline_s=0.4)
        assert caught.value.failure is Failure.TIMEOUT
        await happens(lambda: proxy.closed == 1)
        await egress.aclose()


async def test_a_proxy_whose_name_is_unknown_is_a_proxy_fault(
    policy: EgressPolicy, resolver: Resolver, post: Post
) -> None:
    """No endpoint is charged for it."""
    egress = Egress(policy=policy, resolver=resolver, options=OPTIONS, proxy="http://proxy.internal:3128")
    with pytest.raises(EgressError) as caught:
        await post("https://crm.example.com/", by=egress)
    assert caught.value.failure is Failure.PROXY
    await egress.aclose()
