"""Only vetted addresses are dialled, whatever names, proxies and certificates say."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from ipaddress import ip_network

import pytest

from relay.domain.addresses import EgressPolicy
from relay.domain.model import ClientCertificate, Endpoint
from relay.domain.outcomes import BLAMELESS, Failure, Outcome
from relay.outbound.callbacks import Callback, CallbackSender
from relay.outbound.egress import REFUSED, Egress, EgressOptions
from relay.outbound.resolver import Resolver
from tests.fault.certificates import Authority, server_context
from tests.fault.dns_server import NXDOMAIN, SERVFAIL, WILL_NOT, DnsServer
from tests.fault.hostile_sink import HostileSink, canary, hostile_sink
from tests.patience import PATIENCE_S

Send = Callable[..., Awaitable[Outcome]]
MakeEndpoint = Callable[..., Endpoint]


async def test_a_name_is_dialled_at_its_vetted_address(send: Send, sink: HostileSink, names: DnsServer) -> None:
    """The connection goes to what was looked up and judged; Host stays the name."""
    names.always("crm.example.com", "127.0.0.1")
    assert (await send(f"http://crm.example.com:{sink.port}/fine")).status == 204
    assert sink.received[0].headers["host"] == f"crm.example.com:{sink.port}"


@pytest.mark.parametrize(
    "records",
    [
        ("127.0.0.2",),
        ("127.0.0.1", "127.0.0.2"),
        ("127.0.0.1", *(f"93.184.216.{n}" for n in range(19)), "10.0.0.1"),
        ("127.0.0.1", "::1"),
        ("127.0.0.1", "::ffff:127.0.0.2"),
        ("127.0.0.1", "64:ff9b::7f00:2"),
        ("hidden.example.com",),
        ("169.254.169.254",),
    ],
)
async def test_a_name_with_one_forbidden_address_is_refused_whole(
    records: tuple[str, ...], send: Send, sink: HostileSink, names: DnsServer
) -> None:
    """Mixed answers, private AAAA beside public A, CNAMEs to private names: nothing is dialled at all."""
    names.always("hidden.example.com", "127.0.0.2")
    names.always("crm.example.com", *records)
    async with canary("127.0.0.2", sink.port) as bird:
        outcome = await send(f"http://crm.example.com:{sink.port}/fine")
    assert (outcome.error, outcome.detail) == (Failure.REFUSED_ADDRESS, REFUSED)
    assert (bird.touched, sink.connections) == (0, 0)


@pytest.mark.parametrize(
    "url", ["http://crm.example.com/", "http://crm.svc/", "https://crm.svc/", "https://crm.example.com:9000/"]
)
async def test_plain_http_odd_ports_and_local_names_need_listed_addresses(
    url: str, send: Send, names: DnsServer
) -> None:
    """Saved because networks are allowed, such a URL is refused when its name leads to any other place, if public."""
    for name in ("crm.example.com", "crm.svc"):
        names.always(name, "127.0.0.1", "93.184.216.34")
    assert (await send(url)).error is Failure.REFUSED_ADDRESS


async def test_a_name_that_flips_its_address_never_gets_a_forbidden_connection(
    send: Send, sink: HostileSink, names: DnsServer
) -> None:
    """DNS rebinding: 10,000 attempts while the answers flip each time, and the canary is not touched (goal G31)."""
    workers, attempts = 16, 625
    flips = [("127.0.0.1",), ("127.0.0.2",), ("127.0.0.1", "127.0.0.2"), ("127.0.0.1",), ("169.254.169.254",)]
    for worker in range(workers):
        names.zones[f"w{worker}.example.com"] = lambda turn, shift=worker: flips[(turn + shift) % len(flips)]  # type: ignore[misc]
    counts = {204: 0, Failure.REFUSED_ADDRESS: 0}

    async def attack(worker: int) -> None:
        for _ in range(attempts):
            outcome = await send(f"http://w{worker}.example.com:{sink.port}/fine")
            counts[outcome.error or outcome.status] += 1

    async with canary("127.0.0.2", sink.port) as bird:
        await asyncio.gather(*map(attack, range(workers)))
    assert bird.touched == 0
    assert sum(counts.values()) == workers * attempts
    assert min(counts.values()) > 1000


async def test_a_name_that_moves_between_good_addresses_is_followed(
    sender: CallbackSender, sink: HostileSink, names: DnsServer, resolver: Resolver, make_endpoint: MakeEndpoint
) -> None:
    """When the pinned address is no longer among the answers, the next callback goes to the new one."""
    policy = EgressPolicy(allow=(ip_network("127.0.0.1/32"), ip_network("127.0.0.3/32")))
    transport = Egress(policy=policy, resolver=resolver)
    mover = CallbackSender(transport, policy=policy, user_agent="relay-tests/1")
    prepared = mover.prepare(make_endpoint(f"http://crm.example.com:{sink.port}/fine"))

    async def send() -> Outcome:
        return await mover.send(prepared, Callback(message_id="m", body=b"{}", timestamp_s=1), deadline_s=PATIENCE_S)

    async with hostile_sink(host="127.0.0.3", port=sink.port) as other:
        names.always("crm.example.com", "127.0.0.1")
        assert (await send()).status == 204
        names.always("crm.example.com", "127.0.0.3", "127.0.0.1")
        assert (await send()).status == 204
        assert (len(sink.received), len(other.received)) == (2, 0)
        names.always("crm.example.com", "127.0.0.3")
        assert (await send()).status == 204
        assert (len(sink.received), len(other.received)) == (2, 1)
    await transport.aclose()


async def test_an_address_that_refuses_is_followed_by_the_next_one(
    sink: HostileSink, names: DnsServer, resolver: Resolver, make_endpoint: MakeEndpoint
) -> None:
    """Nothing was sent, so the same attempt tries another vetted address, and later ones start there."""
    policy = EgressPolicy(allow=(ip_network("127.0.0.0/8"),))
    names.ttl_s = 60
    keeping = Resolver(nameservers=resolver._nameservers)
    transport = Egress(policy=policy, resolver=keeping)
    sender = CallbackSender(transport, policy=policy, user_agent="relay-tests/1")
    names.always("crm.example.com", "127.0.0.9", "127.0.0.1")
    prepared = sender.prepare(make_endpoint(f"http://crm.example.com:{sink.port}/fine"))
    for _ in range(3):
        outcome = await sender.send(
            prepared, Callback(message_id="m", body=b"{}", timestamp_s=1), deadline_s=PATIENCE_S
        )
        assert outcome.status == 204
    assert sink.connections == 1
    await transport.aclose()
    await keeping.close()


@pytest.mark.parametrize(("code", "words"), [(NXDOMAIN, "no address"), (SERVFAIL, "no usable answer")])
async def test_a_name_without_an_address_is_a_dns_failure(code: int, words: str, send: Send, names: DnsServer) -> None:
    """What the name servers say is told in words that are safe to show."""
    names.fail("crm.example.com", code)
    names.always("other.example.com", "127.0.0.1")
    await send("https://other.example.com/")
    outcome = await send("https://crm.example.com/")
    assert (outcome.error, words in outcome.detail) == (Failure.DNS, True)


@pytest.mark.parametrize("how", ["SERVFAIL", "REFUSED", "silence"])
async def test_name_servers_that_tell_of_no_name_are_not_charged_to_the_endpoint(
    how: str, send: Send, names: DnsServer
) -> None:
    """As long as no name gets an answer, the fault is on our side: no try is used up, and no breaker opens."""
    if how == "silence":
        names.drop("crm.example.com")
    else:
        names.fail("crm.example.com", SERVFAIL if how == "SERVFAIL" else WILL_NOT)
    outcome = await send("https://crm.example.com/", deadline_s=0.4 if how == "silence" else PATIENCE_S)
    assert outcome.error is Failure.RESOLVER
    assert outcome.error in BLAMELESS


async def test_a_silent_name_server_ends_at_the_deadline(send: Send, names: DnsServer) -> None:
    """A look-up is part of the attempt."""
    names.always("other.example.com", "127.0.0.1")
    await send("https://other.example.com/")
    names.drop("crm.example.com")
    outcome = await send("https://crm.example.com/", deadline_s=0.2)
    assert outcome.error is Failure.TIMEOUT
    assert outcome.duration_ms < 10_000, "the lookup would end by itself after 10 s"


async def test_a_refused_connection_says_so(send: Send, sink: HostileSink) -> None:
    """At an allowed address it is no secret that nothing listens."""
    assert (await send("http://127.0.0.1:9/")).error is Failure.CONNECT


async def test_forbidden_addresses_are_refused_alike_whether_something_listens_or_not(
    send: Send, sink: HostileSink
) -> None:
    """The outcome of a forbidden address tells nothing of what is there."""
    async with canary("127.0.0.2") as bird:
        open_port = await send(f"https://127.0.0.2:{bird.port}/")
        closed_port = await send("https://127.0.0.2:9/")
    assert open_port == closed_port
    assert (open_port.error, bird.touched) == (Failure.REFUSED_ADDRESS, 0)


async def test_a_proxy_in_the_environment_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, send: Send, sink: HostileSink
) -> None:
    """HTTP_PROXY and its kin cannot lead callbacks round the guard."""
    async with canary("127.0.0.2") as bird:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.2:{bird.port}")
        assert (await send(f"http://127.0.0.1:{sink.port}/fine")).status == 204
        assert bird.touched == 0


AUTHORITY = Authority()


@pytest.fixture
async def trusting(policy: EgressPolicy, resolver: Resolver) -> AsyncIterator[CallbackSender]:
    """Trusts the test authority; reaches TLS servers on any port of 127.0.0.1."""
    options = EgressOptions(connect_timeout_s=PATIENCE_S, roots=(AUTHORITY.root,))
    transport = Egress(policy=policy, resolver=resolver, options=options)
    yield CallbackSender(transport, policy=policy, user_agent="relay-tests/1")
    await transport.aclose()


@pytest.fixture
def send_trusting(trusting: CallbackSender, make_endpoint: MakeEndpoint) -> Send:
    async def send(url: str, **fields: object) -> Outcome:
        prepared = trusting.prepare(make_endpoint(url, **fields))
        return await trusting.send(prepared, Callback(message_id="m", body=b"{}", timestamp_s=1), deadline_s=PATIENCE_S)

    return send


async def test_the_certificate_is_checked_against_the_name_not_the_pin(send_trusting: Send, names: DnsServer) -> None:
    """A pinned name still shows itself in SNI and must be on the certificate."""
    names.always("crm.example.com", "127.0.0.1")
    names.always("other.example.com", "127.0.0.1")
    async with hostile_sink(tls=server_context(AUTHORITY.issue("crm.example.com"))) as sink:
        assert (await send_trusting(f"https://crm.example.com:{sink.port}/fine")).status == 204
        wrong = await send_trusting(f"https://other.example.com:{sink.port}/fine")
        assert (wrong.error, wrong.status) == (Failure.TLS, 0)
        assert len(sink.received) == 1


def _old_tls() -> ssl.SSLContext:
    context = server_context(AUTHORITY.issue("crm.example.com"))
    context.minimum_version = ssl.TLSVersion.TLSv1_1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize("fault", ["expired", "self-signed", "old"])
async def test_a_bad_tls_server_gets_nothing(fault: str, send_trusting: Send, names: DnsServer) -> None:
    """An expired or unknown certificate and TLS 1.1 end before the callback is sent."""
    names.always("crm.example.com", "127.0.0.1")
    contexts: dict[str, Callable[[], ssl.SSLContext]] = {
        "expired": lambda: server_context(AUTHORITY.issue("crm.example.com", days=-1)),
        "self-signed": lambda: server_context(Authority().issue("crm.example.com")),
        "old": _old_tls,
    }
    async with hostile_sink(tls=contexts[fault]()) as sink:
        outcome = await send_trusting(f"https://crm.example.com:{sink.port}/fine")
    assert (outcome.error, sink.received) == (Failure.TLS, [])
    assert "certificate" in outcome.detail


async def test_a_client_certificate_is_shown_by_its_endpoint_only(send_trusting: Send, names: DnsServer) -> None:
    """mTLS: the endpoint with the certificate gets in, the same host without one does not."""
    names.always("crm.example.com", "127.0.0.1")
    identity = AUTHORITY.issue("relay", client=True)
    shown = ClientCertificate(certificate=identity.certificate, private_key=identity.private_key)
    tls = server_context(AUTHORITY.issue("crm.example.com"), clients_of=AUTHORITY)
    async with hostile_sink(tls=tls) as sink:
        url = f"https://crm.example.com:{sink.port}/fine"
        for _ in range(2):
            assert (await send_trusting(url, id="with", client_certificate=shown)).status == 204
        assert sink.connections == 1
        without = await send_trusting(url, id="without")
        assert without.status == 0
        assert len(sink.received) == 2


async def test_an_unusable_client_certificate_is_an_outcome(send_trusting: Send, names: DnsServer) -> None:
    """A certificate that cannot be loaded stops the endpoint that has it and nothing else."""
    names.always("crm.example.com", "127.0.0.1")
    broken = ClientCertificate(certificate="no", private_key="pem")
    outcome = await send_trusting("https://crm.example.com/", client_certificate=broken)
    assert (outcome.error, outcome.status) == (Failure.UNFIT, 0)
