"""Several vetted addresses: a dead one does not cost the attempt, and IPv6 is dialled like IPv4."""

import asyncio
import errno
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any

import httpx
import pytest

from relay.domain.addresses import Address, EgressPolicy
from relay.domain.outcomes import Failure
from relay.outbound.egress import Egress, EgressOptions
from relay.outbound.failures import EgressError
from relay.outbound.http import dialling
from relay.outbound.http.dialling import ADDRESSES_TRIED, judge
from relay.outbound.resolver import Resolver
from tests.fault.dns_server import DnsServer
from tests.fault.hostile_sink import HostileSink, hostile_sink
from tests.fault.scripted import happens
from tests.patience import FOREVER_S, PATIENCE_S

Post = Callable[..., Awaitable[httpx.Response]]

V4, V6 = ip_address("127.0.0.1"), ip_address("::1")


@pytest.fixture
def policy() -> EgressPolicy:
    return EgressPolicy(allow=(ip_network("127.0.0.0/8"), ip_network("::1/128")))


@pytest.fixture
async def black_hole(sink: HostileSink) -> AsyncIterator[str]:
    """An address at which the sink's port is full, so that nothing is answered."""
    with socket.socket() as full:
        full.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        full.bind(("127.0.0.66", sink.port))
        full.listen(0)
        waiting = []
        for _ in range(4):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(("127.0.0.66", sink.port))
            waiting.append(one)
        yield "127.0.0.66"
        for one in waiting:
            one.close()


@asynccontextmanager
async def keeping(policy: EgressPolicy, resolver: Resolver, **options: Any) -> AsyncIterator[Egress]:
    """A transport whose resolver keeps its answers, as usual."""
    own = Resolver(nameservers=resolver._nameservers)
    transport = Egress(policy=policy, resolver=own, options=EgressOptions(**options))
    yield transport
    await transport.aclose()
    await own.close()


async def test_a_black_hole_costs_a_quarter_of_a_second_once(
    policy: EgressPolicy,
    resolver: Resolver,
    sink: HostileSink,
    names: DnsServer,
    black_hole: str,
    post: Post,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The next address is dialled beside the first one, and later connections begin with the one that answered."""
    names.always("crm.example.com", black_hole, "127.0.0.1")
    names.ttl_s = 60
    url = f"http://crm.example.com:{sink.port}/closes-unsaid"
    dialled, dial = [], dialling._dial

    async def noted(address: Address, port: int) -> socket.socket:
        dialled.append(str(address))
        return await dial(address, port)

    monkeypatch.setattr(dialling, "_dial", noted)
    async with keeping(policy, resolver, connect_timeout_s=FOREVER_S) as egress:
        started = time.monotonic()
        for turn in range(3):
            assert (await post(url, by=egress)).status_code == 204
            assert time.monotonic() - started > 0.2, "the first address has a quarter of a second"
            assert dialled == [black_hole, *["127.0.0.1"] * (turn + 1)]
            await happens(lambda: egress._pool.open == 0)
        assert sink.connections == 3


async def test_addresses_that_refuse_are_passed_over_at_once(
    policy: EgressPolicy, resolver: Resolver, sink: HostileSink, names: DnsServer, post: Post
) -> None:
    """Nobody waits for the stagger when it is known that there is no connection."""
    names.always("crm.example.com", "127.0.0.7", "127.0.0.8", "127.0.0.1")
    async with keeping(policy, resolver, stagger_s=FOREVER_S) as egress:
        assert (await post(f"http://crm.example.com:{sink.port}/fine", by=egress)).status_code == 204


async def test_a_name_with_very_many_addresses_is_not_dialled_at_all_of_them(
    policy: EgressPolicy, resolver: Resolver, sink: HostileSink, names: DnsServer, post: Post
) -> None:
    """An attempt opens so many sockets at most."""
    dialled: list[Address] = []

    async def dial(address: Address, port: int) -> socket.socket:
        dialled.append(address)
        raise ConnectionRefusedError

    names.always("crm.example.com", *(f"127.0.1.{number}" for number in range(20)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dialling, "_dial", dial)
        async with keeping(policy, resolver) as egress:
            with pytest.raises(EgressError) as caught:
                await post(f"http://crm.example.com:{sink.port}/fine", by=egress)
    assert (caught.value.failure, len(dialled)) == (Failure.CONNECT, ADDRESSES_TRIED)


async def test_ipv6_is_dialled(
    policy: EgressPolicy, resolver: Resolver, names: DnsServer, post: Post, egress: Egress
) -> None:
    """By a literal and by a name with AAAA records; `host` has brackets."""
    async with hostile_sink(host="::1") as sink:
        assert (await post(f"http://[::1]:{sink.port}/fine")).status_code == 204
        assert sink.received[0].headers["host"] == f"[::1]:{sink.port}"
        names.always("crm.example.com", "::1")
        assert (await post(f"http://crm.example.com:{sink.port}/fine")).status_code == 204


async def test_ipv4_is_reached_where_ipv6_is_not(
    policy: EgressPolicy, resolver: Resolver, sink: HostileSink, names: DnsServer, post: Post
) -> None:
    """An AAAA record that leads nowhere does no harm."""
    names.always("crm.example.com", "::1", "127.0.0.1")
    assert (await post(f"http://crm.example.com:{sink.port}/fine")).status_code == 204


def test_families_take_turns() -> None:
    """The first address stays the first; after it comes one of the other family (RFC 8305 4)."""
    given = [V6, ip_address("::2"), ip_address("::3"), V4, ip_address("127.0.0.2")]
    assert dialling._alternating(given) == [V6, V4, ip_address("::2"), ip_address("127.0.0.2"), ip_address("::3")]
    assert dialling._alternating([V4, V6]) == [V4, V6]


@pytest.mark.parametrize(
    ("errors", "failure"),
    [
        ([(V4, errno.ECONNREFUSED)], Failure.CONNECT),
        ([(V4, errno.EHOSTUNREACH), (V6, errno.ENETUNREACH)], Failure.CONNECT),
        ([(V4, errno.EMFILE)], Failure.LOCAL),
        ([(V4, errno.ENFILE)], Failure.LOCAL),
        ([(V4, errno.ENOBUFS)], Failure.LOCAL),
        ([(V4, errno.ECONNREFUSED), (V4, errno.EADDRNOTAVAIL)], Failure.LOCAL),
        ([(V6, errno.EADDRNOTAVAIL), (V4, errno.ECONNREFUSED)], Failure.CONNECT),
        ([(V6, errno.EADDRNOTAVAIL)], Failure.LOCAL),
    ],
)
def test_whose_fault_it_is(errors: list[tuple[Address, int]], failure: Failure) -> None:
    """A machine that has run out of something is ours; one without IPv6 has not."""
    assert judge([(address, OSError(number, "said so")) for address, number in errors]).failure is failure


async def test_one_deadline_spans_lookup_connecting_and_answer(
    policy: EgressPolicy, resolver: Resolver, sink: HostileSink, names: DnsServer, black_hole: str, post: Post
) -> None:
    """Each phase takes a part of it; together they take no more than all of it."""
    look_up = resolver.resolve

    async def slowly(name: str) -> Any:
        await asyncio.sleep(1.0)
        return await look_up(name)

    resolver.resolve = slowly  # type: ignore[method-assign]
    names.always("crm.example.com", black_hole, "127.0.0.1")
    options = EgressOptions(stagger_s=0.15, connect_timeout_s=FOREVER_S)
    transport = Egress(policy=policy, resolver=resolver, options=options)
    started = time.monotonic()
    response = await post(f"http://crm.example.com:{sink.port}/body-drip", by=transport, deadline_s=2.0)
    assert time.monotonic() - started > 1.1
    assert isinstance(response.stream, httpx.AsyncByteStream)
    pieces = aiter(response.stream)
    assert await anext(pieces)
    with pytest.raises(EgressError) as caught:
        await anext(pieces)
    assert caught.value.failure is Failure.TIMEOUT
    assert 1.9 < time.monotonic() - started < 3.0, "with a deadline of its own, the answer ends 3 s after the start"
    resolver.resolve = look_up  # type: ignore[method-assign]
    started = time.monotonic()
    names.always("dead.example.com", black_hole)
    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(EgressError) as caught:
            await post(f"http://dead.example.com:{sink.port}/", by=transport, deadline_s=0.4)
    assert caught.value.failure is Failure.TIMEOUT
    assert time.monotonic() - started > 0.3
    await transport.aclose()


async def test_an_address_that_is_no_longer_vetted_is_left(
    policy: EgressPolicy, resolver: Resolver, sink: HostileSink, names: DnsServer, post: Post
) -> None:
    """A kept connection to it is closed, not used: each attempt is judged by the answer that holds now."""
    strict = replace(policy, allow=(ip_network("127.0.0.1/32"), ip_network("127.0.0.3/32")))
    transport = Egress(policy=strict, resolver=resolver)
    async with hostile_sink(host="127.0.0.3", port=sink.port) as other:
        url = f"http://crm.example.com:{sink.port}/fine"
        names.always("crm.example.com", "127.0.0.1")
        await post(url, by=transport)
        names.always("crm.example.com", "127.0.0.3")
        await post(url, by=transport)
        assert (sink.connections, other.connections, transport._pool.open) == (1, 1, 1)
        names.always("crm.example.com", "127.0.0.2")
        with pytest.raises(EgressError) as caught:
            await post(url, by=transport)
        assert caught.value.failure is Failure.REFUSED_ADDRESS
    await transport.aclose()
