"""Look-ups: shared, remembered for a while, and never held up by dead names."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from ipaddress import ip_address
from time import perf_counter

import pytest

from relay.outbound.resolver import ALIVE_S, LookupFailed, Resolver
from tests.fault.dns_server import NXDOMAIN, SERVFAIL, DnsServer
from tests.fault.scripted import happens
from tests.patience import FOREVER_S, PATIENCE_S

Resolving = Callable[..., Resolver]


@pytest.fixture
async def resolving(dns: tuple[DnsServer, str]) -> AsyncIterator[Resolving]:
    """Make a resolver that has long enough for a lookup, and keeps answers and failures for longer than a test takes.

    A name whose servers fail is asked for again after a tenth of `timeout_s`.
    """
    made: list[Resolver] = []

    def make(**options: float) -> Resolver:
        usual = {"timeout_s": 5.0, "min_ttl_s": 200.0, "max_ttl_s": 400.0, "failure_ttl_s": 200.0, "grace_s": 500.0}
        made.append(Resolver(nameservers=[dns[1]], **{**usual, **options}))
        return made[-1]

    yield make
    for resolver in made:
        await resolver.close()


@pytest.fixture
def keeping(resolving: Resolving) -> Resolver:
    """One with these times."""
    return resolving()


@pytest.fixture
def forgetful(resolving: Resolving) -> Resolver:
    """One that keeps answers and failures for a moment only: see `forget`."""
    return resolving(min_ttl_s=MOMENT_S, max_ttl_s=MOMENT_S, failure_ttl_s=MOMENT_S)


MOMENT_S = 0.05


async def forget() -> None:
    """Wait until what `forgetful` keeps has ended."""
    await asyncio.sleep(MOMENT_S + 0.01)


async def test_all_addresses_of_both_families_come_out(keeping: Resolver, names: DnsServer) -> None:
    """A and AAAA are asked for together, and a CNAME is followed."""
    names.always("target.example.com", "127.0.0.1", "127.0.0.5", "::1")
    names.always("crm.example.com", "target.example.com")
    answer = await keeping.resolve("crm.example.com")
    assert set(answer.addresses) == {ip_address("127.0.0.1"), ip_address("127.0.0.5"), ip_address("::1")}


DEAD = [f"dead{number}.example.com" for number in range(50)]


async def test_dead_names_do_not_hold_up_a_healthy_one(resolving: Resolving, names: DnsServer) -> None:
    """With fifty names that nobody answers for under way, a healthy lookup does not wait for any of them (goal G18)."""
    for name in DEAD:
        names.drop(name)
    resolver = resolving(timeout_s=FOREVER_S)
    pending = [asyncio.create_task(resolver.resolve(name)) for name in DEAD]
    await happens(lambda: set(DEAD) <= set(names.asked))
    async with asyncio.timeout(PATIENCE_S):
        for number in range(20):
            names.always(f"fine{number}.example.com", "127.0.0.1")
            await resolver.resolve(f"fine{number}.example.com")
    assert not any(task.done() for task in pending)
    await resolver.close()
    await asyncio.gather(*pending, return_exceptions=True)


async def test_many_dead_names_end_with_their_time(resolving: Resolving, names: DnsServer) -> None:
    """All of them at once, and each says why."""
    for name in DEAD:
        names.drop(name)
    resolver = resolving(timeout_s=0.3)
    said = await asyncio.gather(*(_outcome(resolver, name) for name in DEAD))
    assert said == ["its name servers did not answer in time"] * len(DEAD)


async def test_one_look_up_serves_all_who_wait(keeping: Resolver, names: DnsServer) -> None:
    """A thousand callbacks to one name ask once, and cancelling one of them does not fail the others."""
    names.always("crm.example.com", "127.0.0.1")
    tasks = [asyncio.create_task(keeping.resolve("crm.example.com")) for _ in range(1000)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    answers = await asyncio.gather(*tasks[1:])
    assert len(set(map(id, answers))) == 1
    assert names.asked == {"crm.example.com": 1}


async def test_an_answer_is_kept_within_bounds_whatever_its_ttl_says(keeping: Resolver, names: DnsServer) -> None:
    """A TTL of 0 is taken for the least, one of a day for the most: an answer never outlives its vetting."""
    for name, ttl_s, kept_s in (("short.example.com", 0, 200.0), ("long.example.com", 86_400, 400.0)):
        names.ttl_s = ttl_s
        names.always(name, "127.0.0.1")
        answer = await keeping.resolve(name)
        assert answer.fresh_until - answer.given_at == pytest.approx(kept_s)
        assert await keeping.resolve(name) is answer


async def test_an_answer_in_use_is_renewed_before_it_ends(keeping: Resolver, names: DnsServer) -> None:
    """Who asks late in an answer's life gets it at once, while the next one is fetched."""
    names.always("crm.example.com", "127.0.0.1")
    first = await keeping.resolve("crm.example.com")
    assert first.refresh_at < first.fresh_until
    names.always("crm.example.com", "127.0.0.5")
    # As if it were so late.
    late = keeping._answers["crm.example.com"] = replace(first, refresh_at=asyncio.get_running_loop().time())
    assert await keeping.resolve("crm.example.com") is late
    await happens(lambda: keeping._answers["crm.example.com"] is not late)
    assert (await keeping.resolve("crm.example.com")).addresses == (ip_address("127.0.0.5"),)
    assert asyncio.get_running_loop().time() < late.fresh_until


@pytest.mark.parametrize(("code", "absent"), [(NXDOMAIN, True), (SERVFAIL, False)])
async def test_a_failure_is_remembered_for_a_moment(
    code: int, absent: bool, keeping: Resolver, forgetful: Resolver, names: DnsServer
) -> None:
    """A name that fails is not asked for again at once, and then it is."""
    names.fail("crm.example.com", code)
    with pytest.raises(LookupFailed) as caught:
        await keeping.resolve("crm.example.com")
    assert caught.value.absent is absent
    asked = names.asked["crm.example.com"]
    with pytest.raises(LookupFailed):
        await keeping.resolve("crm.example.com")
    assert names.asked["crm.example.com"] == asked
    with pytest.raises(LookupFailed):
        await forgetful.resolve("crm.example.com")
    names.always("crm.example.com", "127.0.0.1")
    await forget()
    assert (await forgetful.resolve("crm.example.com")).addresses == (ip_address("127.0.0.1"),)


async def test_an_outage_of_the_name_servers_is_outlived_for_a_while(
    forgetful: Resolver, resolving: Resolving, names: DnsServer
) -> None:
    """While nobody can tell, the last answer counts on (RFC 8767), but not for ever."""
    moments = {"min_ttl_s": MOMENT_S, "max_ttl_s": MOMENT_S, "failure_ttl_s": MOMENT_S}
    ending = resolving(timeout_s=1.0, grace_s=0.2, **moments)
    names.always("crm.example.com", "127.0.0.1")
    answer = await forgetful.resolve("crm.example.com")
    await happens_that(lambda: _outcome(ending, "crm.example.com"), "found")
    names.fail("crm.example.com", SERVFAIL)
    await forget()
    assert (await forgetful.resolve("crm.example.com")).addresses == answer.addresses
    await happens_that(lambda: _outcome(ending, "crm.example.com"), "its name servers gave no usable answer")


async def test_a_name_that_is_gone_is_not_outlived(forgetful: Resolver, names: DnsServer) -> None:
    """When the name servers say that a name does not exist, its last answer ends on time."""
    names.always("crm.example.com", "127.0.0.1")
    await forgetful.resolve("crm.example.com")
    names.fail("crm.example.com", NXDOMAIN)
    await forget()
    with pytest.raises(LookupFailed):
        await forgetful.resolve("crm.example.com")


async def test_the_hosts_file_counts() -> None:
    """What /etc/hosts says needs no name server: in Kubernetes, hostAliases stand there."""
    resolver = Resolver(nameservers=["127.0.0.1:9"])
    answer = await resolver.resolve("localhost")
    assert ip_address("127.0.0.1") in answer.addresses
    await resolver.close()


async def test_closing_ends_what_is_under_way(resolving: Resolving, names: DnsServer) -> None:
    """Shutting down does not wait for dead names."""
    names.drop("dead.example.com")
    resolver = resolving(timeout_s=FOREVER_S)
    waiting = asyncio.create_task(resolver.resolve("dead.example.com"))
    await happens(lambda: "dead.example.com" in names.asked)
    async with asyncio.timeout(PATIENCE_S):
        await resolver.close()
        with pytest.raises(asyncio.CancelledError):
            await waiting


async def _outcome(resolver: Resolver, name: str) -> str:
    try:
        await resolver.resolve(name)
    except LookupFailed as error:
        return str(error)
    return "found"


async def happens_that(ask: Callable[[], Awaitable[str]], expected: str) -> None:
    """Ask until the answer is this one."""
    async with asyncio.timeout(PATIENCE_S):
        while await ask() != expected:
            await asyncio.sleep(MOMENT_S)


async def test_a_lost_packet_costs_no_name(resolving: Resolving, names: DnsServer) -> None:
    """However fast others were: c-ares learns to wait a few ms, and a name has all of its time all the same."""
    resolver = resolving()
    for number in range(200):
        names.always(f"fast{number}.example.com", "127.0.0.1")
        await resolver.resolve(f"fast{number}.example.com")
    for lost in (1, 2, 3):
        names.zones[f"slow{lost}.example.com"] = lambda turn, lost=lost: None if turn < lost else ("127.0.0.1",)
        answer = await resolver.resolve(f"slow{lost}.example.com")
        assert answer.addresses == (ip_address("127.0.0.1"),)


async def test_a_name_has_all_of_its_time(resolving: Resolving, names: DnsServer) -> None:
    """And no more: it would be asked for again and again."""
    resolver = resolving(timeout_s=0.6)
    names.always("fast.example.com", "127.0.0.1")
    await _outcome(resolver, "fast.example.com")
    names.drop("dead.example.com")
    started = perf_counter()
    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(LookupFailed):
            await resolver.resolve("dead.example.com")
    assert perf_counter() - started > 0.55
    assert names.asked["dead.example.com"] >= 2


async def test_one_wrong_answer_is_asked_again(keeping: Resolver, names: DnsServer) -> None:
    names.zones["crm.example.com"] = lambda turn: SERVFAIL if turn == 0 else ("127.0.0.1",)
    assert (await keeping.resolve("crm.example.com")).addresses == (ip_address("127.0.0.1"),)


@pytest.mark.parametrize("told", ["an address", "that there is none", "nothing"])
async def test_whose_fault_a_failure_is(keeping: Resolver, names: DnsServer, told: str) -> None:
    """Name servers that told something of another name lately work; where they tell nothing at all, it is ours."""
    names.always("fine.example.com", "127.0.0.1")
    if told == "an address":
        await keeping.resolve("fine.example.com")
    elif told == "that there is none":
        await _outcome(keeping, "absent.example.com")
    names.fail("crm.example.com", SERVFAIL)
    with pytest.raises(LookupFailed) as failure:
        await keeping.resolve("crm.example.com")
    assert failure.value.ours == (told == "nothing")
    with pytest.raises(LookupFailed) as remembered:
        await keeping.resolve("crm.example.com")
    assert remembered.value.ours == failure.value.ours


@pytest.mark.parametrize("absent", [False, True])
async def test_an_answer_out_of_memory_is_no_sign_of_life(
    forgetful: Resolver, names: DnsServer, monkeypatch: pytest.MonkeyPatch, absent: bool
) -> None:
    """C-ares remembers answers for their TTL: that it can tell of a name does not show that a name server can."""
    names.ttl_s = 300
    if not absent:
        names.always("fine.example.com", "127.0.0.1")
    await _outcome(forgetful, "fine.example.com")
    assert not forgetful.are_down()
    forgetful._answered_at -= ALIVE_S + 100  # So long ago.
    for _ in range(2):
        await forget()
        await _outcome(forgetful, "fine.example.com")
    assert forgetful.are_down()
    names.drop("crm.example.com")
    monkeypatch.setattr(forgetful, "_timeout_s", 0.3)
    with pytest.raises(LookupFailed) as failure:
        await forgetful.resolve("crm.example.com")
    assert failure.value.ours
    monkeypatch.undo()
    names.always("other.example.com", "127.0.0.1")
    await forgetful.resolve("other.example.com")
    assert not forgetful.are_down()
