"""TLS: which versions and protocols, who is trusted, and that sessions are resumed."""

import asyncio
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest

from relay.domain.addresses import EgressPolicy
from relay.domain.model import ClientCertificate
from relay.domain.outcomes import Failure
from relay.outbound.egress import Egress, EgressOptions
from relay.outbound.failures import EgressError
from relay.outbound.http import tls as tls_contexts
from relay.outbound.http.messages import WireRequest
from relay.outbound.http.tls import MAX_IDENTITIES, Contexts, ResumingContext, check_identity, make_context
from relay.outbound.resolver import Resolver
from relay.outbound.targets import vet_url
from tests.fault.certificates import Authority, server_context
from tests.fault.dns_server import DnsServer
from tests.fault.hostile_sink import hostile_sink
from tests.fault.scripted import Peer, happens, scripted
from tests.patience import PATIENCE_S

Post = Callable[..., Awaitable[httpx.Response]]

AUTHORITY = Authority()
EMPTY = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
LAST = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


@pytest.fixture
async def trusting(policy: EgressPolicy, resolver: Resolver, names: DnsServer) -> AsyncIterator[Egress]:
    names.always("crm.example.com", "127.0.0.1")
    transport = Egress(
        policy=policy, resolver=resolver, options=EgressOptions(connect_timeout_s=PATIENCE_S, roots=(AUTHORITY.root,))
    )
    yield transport
    await transport.aclose()


def context(name: str = "crm.example.com", **versions: ssl.TLSVersion) -> ssl.SSLContext:
    made = server_context(AUTHORITY.issue(name))
    for which, version in versions.items():
        setattr(made, which, version)
    return made


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("offered", [["http/1.1"], ["h2", "http/1.1"], None])
async def test_http_1_1_is_spoken_over_tls_1_2_and_1_3(
    version: ssl.TLSVersion, offered: list[str] | None, trusting: Egress, post: Post
) -> None:
    """ALPN offers HTTP/1.1 and nothing else; a server without ALPN is as good."""
    tls = context(minimum_version=version, maximum_version=version)
    if offered:
        tls.set_alpn_protocols(offered)
    chosen = []

    async def script(peer: Peer) -> None:
        chosen.append(peer.writer.get_extra_info("ssl_object").selected_alpn_protocol())
        await peer.answer(EMPTY)
        await peer.answer(EMPTY)

    async with scripted(script, tls=tls) as receiver:
        url = f"https://crm.example.com:{receiver.port}/"
        first, second = [(await post(url, by=trusting)) for _ in range(2)]
        assert (first.status_code, second.status_code) == (200, 200)
        assert chosen == ["http/1.1" if offered else None]
        assert first.extensions["timings"].tls > 0
        assert second.extensions["timings"].tls == 0


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_sessions_are_resumed_with_the_same_name_only(
    version: ssl.TLSVersion, trusting: Egress, names: DnsServer, post: Post
) -> None:
    """A second connection needs no certificate again; another name at the same address has a session of its own."""
    tls = server_context(AUTHORITY.issue("crm.example.com", "other.example.com"))
    tls.minimum_version = tls.maximum_version = version
    names.always("other.example.com", "127.0.0.1")
    resumed = []

    async def script(peer: Peer) -> None:
        resumed.append(peer.writer.get_extra_info("ssl_object").session_reused)
        await peer.answer(EMPTY)

    async with scripted(script, tls=tls) as receiver:
        for name in ("crm", "crm", "other", "other", "crm"):
            assert (await post(f"https://{name}.example.com:{receiver.port}/", by=trusting)).status_code == 200
            await happens(lambda: trusting._pool.open == 0)
    assert resumed == [False, True, False, True, True]


async def test_a_session_is_not_resumed_with_another_client_certificate(trusting: Egress, policy: EgressPolicy) -> None:
    """Who the relay is to one endpoint says nothing of who it is to another one at the same server."""
    shown = []

    async def script(peer: Peer) -> None:
        tls = peer.writer.get_extra_info("ssl_object")
        shown.append((tls.session_reused, tls.getpeercert()["subject"][0][0][1]))
        await peer.answer(EMPTY)

    pairs = [AUTHORITY.issue(name, client=True) for name in ("one", "two")]
    tls = server_context(AUTHORITY.issue("crm.example.com"), clients_of=AUTHORITY)
    async with scripted(script, tls=tls) as receiver:
        target = vet_url(f"https://crm.example.com:{receiver.port}/", policy)
        for pair in (pairs[0], pairs[1], pairs[0]):
            identity = ClientCertificate(certificate=pair.certificate, private_key=pair.private_key)
            request = WireRequest("POST", target, headers=[], body=b"", deadline_s=PATIENCE_S, identity=identity)
            assert (await trusting.handle_async_request(request)).status_code == 200
            await happens(lambda: trusting._pool.open == 0)
    assert shown == [(False, "one"), (False, "two"), (True, "one")]


async def test_only_the_operators_roots_make_a_private_authority_trusted(
    policy: EgressPolicy, resolver: Resolver, names: DnsServer, trusting: Egress, post: Post
) -> None:
    """Without them its certificates are refused before anything is sent."""
    plain = Egress(policy=policy, resolver=resolver)
    async with hostile_sink(tls=context()) as sink:
        url = f"https://crm.example.com:{sink.port}/fine"
        with pytest.raises(EgressError) as caught:
            await post(url, by=plain)
        assert (caught.value.failure, sink.received) == (Failure.TLS, [])
        assert (await post(url, by=trusting)).status_code == 204
    await plain.aclose()


async def test_an_address_is_checked_against_the_certificate(trusting: Egress, post: Post) -> None:
    """A literal in the URL must be on the certificate like a name."""
    for name, good in (("127.0.0.1", True), ("crm.example.com", False)):
        async with hostile_sink(tls=context(name)) as sink:
            url = f"https://127.0.0.1:{sink.port}/fine"
            if good:
                assert (await post(url, by=trusting)).status_code == 204
                continue
            with pytest.raises(EgressError) as caught:
                await post(url, by=trusting)
            assert (caught.value.failure, sink.received) == (Failure.TLS, [])


@pytest.mark.parametrize("how", ["close_notify", "cut"])
async def test_a_body_that_ends_with_its_tls_connection(how: str, trusting: Egress, post: Post) -> None:
    """The status stands, however the connection ends."""

    async def script(peer: Peer) -> None:
        await peer.answer(b"HTTP/1.1 200 OK\r\n\r\nhello")
        if how == "close_notify":
            peer.writer.close()
            await peer.writer.wait_closed()

    async with scripted(script, tls=context()) as receiver:
        response = await post(f"https://crm.example.com:{receiver.port}/", by=trusting)
        assert isinstance(response.stream, httpx.AsyncByteStream)
        assert (response.status_code, await anext(aiter(response.stream))) == (200, b"hello")
        await response.stream.aclose()


async def test_making_a_context_does_not_stop_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes a tenth of a second, for each certificate of a client; many that ask at once get the same one."""
    goes_on = threading.Event()

    def make(*given: Any) -> ResumingContext:
        assert goes_on.wait(PATIENCE_S), "the loop stands still until the context is made"
        return make_context(*given)

    monkeypatch.setattr(tls_contexts, "make_context", make)
    contexts = Contexts()
    asking = asyncio.gather(*(contexts.context() for _ in range(8)))
    await asyncio.sleep(0.01)
    goes_on.set()
    assert len(set(map(id, await asking))) == 1


async def test_a_large_body_over_tls(trusting: Egress, post: Post) -> None:
    """All of it arrives."""

    async def script(peer: Peer) -> None:
        await peer.answer(LAST)

    async with scripted(script, tls=context()) as receiver:
        body = b"0123456789" * 300_000
        response = await post(f"https://crm.example.com:{receiver.port}/", body=body, by=trusting)
        assert response.status_code == 200
        assert receiver.requests[0].endswith(body)


async def test_contexts_of_identities_are_kept_and_bounded() -> None:
    """One for each certificate, the least recently used go first."""
    contexts = Contexts()
    pairs = [AUTHORITY.issue(f"n{number}", client=True) for number in range(3)]
    identities = [ClientCertificate(certificate=pair.certificate, private_key=pair.private_key) for pair in pairs]
    first = await contexts.context(identities[0])
    assert await contexts.context(identities[0]) is first
    assert await contexts.context(identities[1]) is not first
    assert await contexts.context() is await contexts.context()
    assert MAX_IDENTITIES < 1000
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("relay.outbound.http.tls.MAX_IDENTITIES", 2)
        await contexts.context(identities[2])
        assert await contexts.context(identities[0]) is not first


def test_a_certificate_is_checked_with_its_key() -> None:
    """Before it is saved."""
    one, other = (AUTHORITY.issue(name, client=True) for name in "ab")
    check_identity(ClientCertificate(certificate=one.certificate, private_key=one.private_key))
    for certificate, key in ((one.certificate, other.private_key), ("no", "pem"), (one.certificate, "")):
        with pytest.raises(ValueError, match="cannot be used"):
            check_identity(ClientCertificate(certificate=certificate, private_key=key))
