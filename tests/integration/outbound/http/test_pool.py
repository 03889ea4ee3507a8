"""Idle connections are few, however many endpoints there are, and a shortage of sockets is our own fault."""

import asyncio
import os
import resource
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from relay.domain.addresses import EgressPolicy
from relay.domain.outcomes import BLAMELESS, Failure
from relay.outbound.egress import Egress, EgressOptions
from relay.outbound.failures import EgressError
from relay.outbound.http import pool
from relay.outbound.http.pool import RESERVED_FILES, open_limit
from relay.outbound.resolver import Resolver
from tests.fault.dns_server import DnsServer
from tests.fault.scripted import Peer, Scripted, happens, scripted
from tests.patience import FOREVER_S, PATIENCE_S

Post = Callable[..., Awaitable[httpx.Response]]

EMPTY = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"


async def keep(peer: Peer) -> None:
    """Answer for as long as somebody asks, and note when the sender closes."""
    while True:
        try:
            await peer.answer(EMPTY)
        except (asyncio.IncompleteReadError, ConnectionError):
            peer.seen.closed += 1
            return


@pytest.fixture
async def receiver() -> AsyncIterator[Scripted]:
    async with scripted(keep) as running:
        yield running


@asynccontextmanager
async def transport(policy: EgressPolicy, resolver: Resolver, **options: Any) -> AsyncIterator[Egress]:
    made = Egress(policy=policy, resolver=resolver, options=EgressOptions(**options))
    yield made
    await made.aclose()


async def test_idle_connections_of_all_endpoints_are_bounded_and_the_oldest_go_first(
    policy: EgressPolicy, resolver: Resolver, names: DnsServer, receiver: Scripted, post: Post
) -> None:
    """Many names at one address: each has its own connection, and those that were used last stay."""
    hosts = [f"n{number}.example.com" for number in range(20)]
    for host in hosts:
        names.always(host, "127.0.0.1")
    async with transport(policy, resolver, most_idle=5) as egress:
        for host in hosts:
            await post(f"http://{host}:{receiver.port}/", by=egress)
        assert (egress._pool.idle, egress._pool.open) == (5, 5)
        await happens(lambda: receiver.closed == 15)
        # The oldest of the five is used: now another one is.
        await post(f"http://{hosts[15]}:{receiver.port}/", by=egress)
        assert receiver.connections == 20
        await post(f"http://{hosts[0]}:{receiver.port}/", by=egress)
        for host in (hosts[15], hosts[17], hosts[18], hosts[19]):
            await post(f"http://{host}:{receiver.port}/", by=egress)
        assert receiver.connections == 21
        await post(f"http://{hosts[16]}:{receiver.port}/", by=egress)
        assert receiver.connections == 22
    await happens(lambda: receiver.closed == 22)


async def test_idle_connections_of_one_endpoint_are_bounded(
    policy: EgressPolicy, resolver: Resolver, receiver: Scripted, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One endpoint does not push out all others."""
    async with transport(policy, resolver) as egress:
        monkeypatch.setattr(egress._pool, "_per_origin", 3)
        await asyncio.gather(*(post(receiver.port, by=egress) for _ in range(8)))
        assert (egress._pool.idle, egress._pool.open) == (3, 3)


async def test_an_idle_connection_is_closed_after_a_while(
    policy: EgressPolicy, resolver: Resolver, receiver: Scripted, post: Post
) -> None:
    """Counted from its last use, not from the deadline of its exchange."""
    now = asyncio.get_running_loop().time
    async with transport(policy, resolver, idle_s=PATIENCE_S) as egress:
        for _ in range(2):
            began = now()
            await post(receiver.port, by=egress, deadline_s=FOREVER_S)
            [connection] = egress._pool._idle
            assert began <= connection._due_at - PATIENCE_S <= now()
        assert (receiver.connections, receiver.closed) == (1, 0)
    async with transport(policy, resolver, idle_s=0.15) as egress:
        await post(receiver.port, by=egress, deadline_s=FOREVER_S)
        await happens(lambda: receiver.closed == 2)
        assert (egress._pool.idle, egress._pool.open) == (0, 0)


async def test_connections_in_use_are_bounded_and_idle_ones_make_room(
    policy: EgressPolicy, resolver: Resolver, names: DnsServer, post: Post
) -> None:
    """Too many at once is a fault of this relay; an idle connection is closed for a new one before that."""
    held = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await held.wait()
        peer.writer.write(EMPTY)
        await peer.until_closed()

    async with scripted(script) as receiver, transport(policy, resolver, most_open=3) as egress:
        waiting = [asyncio.create_task(post(receiver.port, by=egress)) for _ in range(3)]
        await happens(lambda: len(receiver.requests) == 3)
        with pytest.raises(EgressError) as caught:
            await post(receiver.port, by=egress)
        assert caught.value.failure in BLAMELESS
        held.set()
        await asyncio.gather(*waiting)
        names.always("crm.example.com", "127.0.0.1")
        assert (await post(f"http://crm.example.com:{receiver.port}/", by=egress)).status_code == 200
        assert egress._pool.open <= 3


async def test_a_shortage_of_files_is_not_charged_to_the_endpoint(
    policy: EgressPolicy, resolver: Resolver, receiver: Scripted, post: Post
) -> None:
    """Idle connections are closed to make room; without any, the failure is `local`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with transport(policy, resolver) as egress:
        await post(receiver.port, by=egress)
        held = _take_files(soft, hard)
        try:
            with pytest.raises(EgressError) as refused:
                await post("http://127.0.0.1:9/", by=egress)
            idle = egress._pool.idle
            await happens(lambda: receiver.closed == 1)
            held += _take_files(soft, hard)
            with pytest.raises(EgressError) as short:
                await post("http://127.0.0.1:9/", by=egress)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for number in held:
                os.close(number)
        assert (refused.value.failure, idle) == (Failure.CONNECT, 0)
        assert short.value.failure is Failure.LOCAL
        assert short.value.failure in BLAMELESS
        assert (await post(receiver.port, by=egress)).status_code == 200
        assert egress._pool.open == 1


def _take_files(soft: int, hard: int) -> list[int]:
    """Open files until there are no more, with a limit that makes them few."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 512), hard))
    held = []
    while True:
        try:
            held.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            return held


def test_the_limit_follows_from_the_open_files_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some are left for everything else, however few there are."""
    for soft, expected in ((65_536, 65_536 - RESERVED_FILES), (1024, 1024 - RESERVED_FILES), (256, 128)):
        monkeypatch.setattr(pool.resource, "getrlimit", lambda _, soft=soft: (soft, soft))
        assert open_limit() == expected


async def test_a_failed_attempt_leaves_nothing_behind(
    policy: EgressPolicy, resolver: Resolver, names: DnsServer, post: Post
) -> None:
    """Refused, unknown, cancelled while it connects: no connection is counted afterwards."""
    async with transport(policy, resolver, connect_timeout_s=FOREVER_S) as egress:
        for url in ("http://127.0.0.1:9/", "https://127.0.0.1:9/", "https://nowhere.example.com/"):
            with pytest.raises(EgressError):
                await post(url, by=egress)
        async with scripted(lambda peer: peer.until_closed()) as silent:
            task = asyncio.create_task(post(f"https://127.0.0.1:{silent.port}/", by=egress, deadline_s=FOREVER_S))
            await happens(lambda: silent.connections == 1)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await happens(lambda: silent.closed == 1)
        assert (egress._pool.idle, egress._pool.open) == (0, 0)
