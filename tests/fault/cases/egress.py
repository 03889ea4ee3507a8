"""What receivers and their DNS can do to the sender: hold it up, and fill its memory."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from ipaddress import ip_network
from pathlib import Path
from time import monotonic
from unittest.mock import patch

from relay.domain.addresses import EgressPolicy
from relay.domain.outcomes import Outcome
from relay.outbound.resolver import LookupFailed, Resolver
from tests.fault.case import Finding, case
from tests.fault.checker import p
from tests.fault.dns_server import DnsServer, dns_server
from tests.fault.hostile_sink import BEHAVIOURS, Behaviour, Exchange, hostile_sink, silent_listener
from tests.fault.sending import Send, sending
from tests.fault.stage import SOURCE, Stage, stage, until

DEAD = 50
LOOK_UPS = 500


@case("dead-names", goal="G18", seconds=5)
async def dead_names(_seed: int) -> AsyncIterator[Finding]:
    """Fifty names whose DNS is dead are looked up all the time: a healthy look-up does not notice."""
    async with dns_server() as (names, address):
        resolver = Resolver(nameservers=[address], failure_ttl_s=0.0)
        alone = await _look_ups(resolver, names, "alone")
        dead = [f"dead{number}.example.com" for number in range(DEAD)]
        for name in dead:
            names.drop(name)
        longest = [0.0] * DEAD
        tasks = [asyncio.create_task(_ask_for_ever(resolver, name, longest, n)) for n, name in enumerate(dead)]
        await until(lambda: names.asked.keys() >= set(dead), within_s=5, what="all dead names to be asked for")
        beside: list[float] = []
        while min(longest) == 0:
            beside += await _look_ups(resolver, names, f"beside{len(beside)}")
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await resolver.close()
    added = 1000 * (p(beside, 0.99) - p(alone, 0.99))
    note = f"{len(beside)} look-ups, p99 {1000 * p(beside, 0.99):.1f} ms, longest {1000 * max(beside):.1f} ms"
    yield Finding(f"p99 of a healthy look-up grows beside {DEAD} dead names by", added, "<=", 50, "ms", note)
    yield Finding("longest look-up of a dead name", max(longest), "<=", 2.5, "s", "its time-out is 2 s")


async def _look_ups(resolver: Resolver, names: DnsServer, prefix: str) -> list[float]:
    took = []
    for number in range(LOOK_UPS):
        name = f"{prefix}-{number}.example.com"
        names.always(name, "192.0.2.1")
        began = monotonic()
        await resolver.resolve(name)
        took.append(monotonic() - began)
    return took


async def _ask_for_ever(resolver: Resolver, name: str, longest: list[float], place: int) -> None:
    while True:
        began = monotonic()
        with suppress(LookupFailed):
            await resolver.resolve(name)
        longest[place] = max(longest[place], monotonic() - began)


DEADLINE_S = 1.0
AT_ONCE = 4


@case("hostile-receivers", goal="G20", seconds=20)
async def hostile_receivers(_seed: int) -> AsyncIterator[Finding]:
    """Whatever a receiver does, its attempt ends by its deadline: one after the other, then all at once."""
    policy = EgressPolicy(allow=(ip_network("127.0.0.1/32"),))
    async with (
        dns_server() as (names, address),
        hostile_sink() as sink,
        silent_listener() as silent,
        silent_listener(reads=False) as deaf,
        sending(policy, nameserver=address) as send,
    ):
        names.drop("dead.example.com")
        with _full_listener() as full:
            here = "http://127.0.0.1"
            urls = [f"{here}:{sink.port}/{name}" for name in BEHAVIOURS if name != "status"]
            urls += [f"{here}:{sink.port}/status/429", f"{here}:{silent}/silent", f"https://127.0.0.1:{silent}/no-tls"]
            urls += [f"{here}:{deaf}/deaf", f"{here}:{full}/no-connection", f"{here}:9/closed"]
            urls += ["https://dead.example.com/dead-name"]
            alone = [await _timed(send, url) for url in urls]
            yield _beyond("one after the other", alone)
            crowd = await asyncio.gather(*(_timed(send, url) for url in urls * AT_ONCE))
            yield _beyond(f"{len(crowd)} at once", crowd)
            connecting = await _timed(send, f"{here}:{full}/no-connection", deadline_s=20.0)
            yield Finding("a connection that does not come about is given up", connecting[1], "<=", 5.5, "s")
    yield Finding("kinds of hostility", len(urls), ">=", 35)


Timed = tuple[str, float, Outcome]


async def _timed(send: Send, url: str, *, deadline_s: float = DEADLINE_S) -> Timed:
    # A body larger than every buffer in between, for the receiver that does not read.
    body = b"x" * 20_000_000 if url.endswith("/deaf") else b"{}"
    began = monotonic()
    outcome = await send(url, deadline_s=deadline_s, body=body)
    return url.rsplit("/", 1)[1], monotonic() - began, outcome


def _beyond(how: str, attempts: list[Timed]) -> Finding:
    name, took, _ = max(attempts, key=lambda each: each[1])
    ended = sum(each[1] >= DEADLINE_S for each in attempts)
    note = f"{name}; {ended} of {len(attempts)} ran into their deadline of {DEADLINE_S:g} s"
    return Finding(f"longest attempt beyond its deadline, {how}", took - DEADLINE_S, "<=", 0.5, "s", note)


@contextmanager
def _full_listener() -> Iterator[int]:
    """A port whose queue is full, so that connecting to it takes for ever: the kernel drops what comes."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        waiting = []
        for _ in range(3):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(server.getsockname())
            waiting.append(one)
        yield server.getsockname()[1]
        for one in waiting:
            one.close()


PARALLEL = 100
WAVES = 5
BOMBS = ("gigabyte", "endless-chunks", "gzip-bomb", "deflate-bomb")


@case("bombs", goal="G21", seconds=15)
async def bombs(seed: int) -> AsyncIterator[Finding]:
    """A hundred answers at once, each gigantic, endless or a bomb: a worker's memory stays as it is."""
    async with stage(seed, poll_s=0.05) as on, hostile_sink() as sink:
        for number in range(PARALLEL):
            url = f"http://127.0.0.1:{sink.port}/{BOMBS[number % len(BOMBS)]}?{number}"
            await on.endpoint(f"e{number:02}", url=url)
        pid = (await on.worker()).pid
        barrier = asyncio.Barrier(PARALLEL)
        with patch.dict(BEHAVIOURS, dict.fromkeys(BOMBS, _together(BEHAVIOURS["says-br"], barrier))):
            await _waves(on, pid)
        began, worked, before = monotonic(), _cpu_s(pid), _resident_mb(pid)
        with patch.dict(BEHAVIOURS, {name: _together(BEHAVIOURS[name], barrier) for name in BOMBS}):
            most = await _waves(on, pid)
        share = (_cpu_s(pid) - worked) / (monotonic() - began)
        note = f"{WAVES} times {PARALLEL} at once, {before:.0f} → {most:.0f} MB; {100 * share:.0f} % of a core"
        yield Finding("memory grows by", most - before, "<=", 30, "MB", note)
        attempts = []
        for endpoint in on.endpoints.values():
            attempts += await on.stores.attempts.of_endpoint(SOURCE, endpoint.id, limit=1000)
        yield Finding("most that is kept of a body", max(len(a.body) for _, a in attempts), "<=", 16_384, "bytes")
        delivered = sum(a.status == 200 for _, a in attempts)
        yield Finding("answers that were taken for what their head says", delivered, "==", 2 * WAVES * PARALLEL)


def _together(answer: Behaviour, barrier: asyncio.Barrier) -> Behaviour:
    """Answer when as many requests wait for it as the barrier lets through at once."""

    async def wait(exchange: Exchange) -> None:
        await barrier.wait()
        await answer(exchange)

    return wait


async def _waves(on: Stage, pid: int) -> float:
    """Offer each endpoint some rows and give the most memory, in MB, that the worker had until all were delivered."""
    most = _resident_mb(pid)
    for _ in range(WAVES):
        for name in on.endpoints:
            on.upstream.offer(name)
    done = asyncio.create_task(on.drained(within_s=20))
    while not done.done():
        most = max(most, _resident_mb(pid))
        await asyncio.sleep(0.01)
    await done
    return most


def _resident_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 1e6


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100
