"""Look-ups: shared, remembered for a while, and never held up by dead names."""

import asyncio
from collections.abc import AsyncIterator
from ipaddress import ip_address
from time import perf_counter

import pytest

from relay.outbound.resolver import ALIVE_S, LookupFailed, Resolver
from tests.fault.dns_server import NXDOMAIN, SERVFAIL, DnsServer


@pytest.fixture
async def keeping(dns: tuple[DnsServer, str]) -> AsyncIterator[Resolver]:
    """Keeps answers for 0.2 to 0.4 s, failures for 0.1 s, and outlives silence by 0.5 s."""
    resolver = Resolver(
        nameservers=[dns[1]], timeout_s=0.3, min_ttl_s=0.2, max_ttl_s=0.4, failure_ttl_s=0.1, grace_s=0.5
    )
    yield resolver
    await resolver.close()


async def test_all_addresses_of_both_families_come_out(keeping: Resolver, names: DnsServer) -> None:
    """A and AAAA are asked for together, and a CNAME is followed."""
    names.always("target.example.com", "127.0.0.1", "127.0.0.5", "::1")
    names.always("crm.example.com", "target.example.com")
    answer = await keeping.resolve("crm.example.com")
    assert set(answer.addresses) == {ip_address("127.0.0.1"), ip_address("127.0.0.5"), ip_address("::1")}


async def test_dead_names_do_not_hold_up_a_healthy_one(keeping: Resolver, names: DnsServer) -> None:
    """With fifty names that nobody answers for, a healthy look-up takes at most 50 ms longer (goal G18)."""
    dead = [f"dead{n}.example.com" for n in range(50)]
    for name in dead:
        names.drop(name)
    pending = [asyncio.create_task(_outcome(keeping, name)) for name in dead]
    await asyncio.sleep(0.01)
    for number in range(20):
        names.always(f"fine{number}.example.com", "127.0.0.1")
        started = perf_counter()
        await keeping.resolve(f"fine{number}.example.com")
        assert perf_counter() - started < 0.05
    started = perf_counter()
    assert await asyncio.gather(*pending) == ["its name servers did not answer in time"] * 50
    assert perf_counter() - started < 0.4


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
    loop = asyncio.get_running_loop()
    for name, ttl_s, kept_s in (("short.example.com", 0, 0.2), ("long.example.com", 86_400, 0.4)):
        names.ttl_s = ttl_s
        names.always(name, "127.0.0.1")
        answer = await keeping.resolve(name)
        assert answer.fresh_until - loop.time() == pytest.approx(kept_s, abs=0.05)
        assert await keeping.resolve(name) is answer


async def test_an_answer_in_use_is_renewed_before_it_ends(keeping: Resolver, names: DnsServer) -> None:
    """Who asks late in an answer's life gets it at once, while the next one is fetched."""
    names.always("crm.example.com", "127.0.0.1")
    first = await keeping.resolve("crm.example.com")
    names.always("crm.example.com", "127.0.0.5")
    await asyncio.sleep(first.refresh_at - asyncio.get_running_loop().time() + 0.01)
    assert await keeping.resolve("crm.example.com") is first
    async with asyncio.timeout(1):
        while (await keeping.resolve("crm.example.com")) is first:
            await asyncio.sleep(0.005)
    assert (await keeping.resolve("crm.example.com")).addresses == (ip_address("127.0.0.5"),)
    assert asyncio.get_running_loop().time() < first.fresh_until


@pytest.mark.parametrize(("code", "absent"), [(NXDOMAIN, True), (SERVFAIL, False)])
async def test_a_failure_is_remembered_for_a_moment(
    code: int, absent: bool, keeping: Resolver, names: DnsServer
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
    names.always("crm.example.com", "127.0.0.1")
    await asyncio.sleep(0.11)
    assert (await keeping.resolve("crm.example.com")).addresses == (ip_address("127.0.0.1"),)


async def test_an_outage_of_the_name_servers_is_outlived_for_a_while(keeping: Resolver, names: DnsServer) -> None:
    """While nobody can tell, the last answer counts on (RFC 8767), but not for ever."""
    names.always("crm.example.com", "127.0.0.1")
    answer = await keeping.resolve("crm.example.com")
    names.fail("crm.example.com", SERVFAIL)
    await asyncio.sleep(0.25)
    assert (await keeping.resolve("crm.example.com")).addresses == answer.addresses
    async with asyncio.timeout(4):
        while await _outcome(keeping, "crm.example.com") == "found":
            await asyncio.sleep(0.05)


async def test_a_name_that_is_gone_is_not_outlived(keeping: Resolver, names: DnsServer) -> None:
    """When the name servers say that a name does not exist, its last answer ends on time."""
    names.always("crm.example.com", "127.0.0.1")
    await keeping.resolve("crm.example.com")
    names.fail("crm.example.com", NXDOMAIN)
    await asyncio.sleep(0.25)
    with pytest.raises(LookupFailed):
        await keeping.resolve("crm.example.com")


async def test_the_hosts_file_counts() -> None:
    """What /etc/hosts says needs no name server: in Kubernetes, hostAliases stand there."""
    resolver = Resolver(nameservers=["127.0.0.1:9"])
    answer = await resolver.resolve("localhost")
    assert ip_address("127.0.0.1") in answer.addresses
    await resolver.close()


async def test_closing_ends_what_is_under_way(keeping: Resolver, names: DnsServer) -> None:
    """Shutting down does not wait for dead names."""
    names.drop("dead.example.com")
    waiting = asyncio.create_task(keeping.resolve("dead.example.com"))
    await asyncio.sleep(0.01)
    started = perf_counter()
    await keeping.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert perf_counter() - started < 0.1


async def _outcome(resolver: Resolver, name: str) -> str:
    try:
        await resolver.resolve(name)
    except LookupFailed as error:
        return str(error)
    return "found"


async def test_a_lost_packet_costs_no_name(dns: tuple[DnsServer, str], names: DnsServer) -> None:
    """However fast others were: c-ares learns to wait a few ms, and a name has two seconds all the same."""
    resolver = Resolver(nameservers=[dns[1]], timeout_s=2.0)
    for number in range(200):
        names.always(f"fast{number}.example.com", "127.0.0.1")
        await resolver.resolve(f"fast{number}.example.com")
    for lost in (1, 2, 3):
        names.zones[f"slow{lost}.example.com"] = lambda turn, lost=lost: None if turn < lost else ("127.0.0.1",)
        answer = await resolver.resolve(f"slow{lost}.example.com")
        assert answer.addresses == (ip_address("127.0.0.1"),)
    await resolver.close()


async def test_a_name_has_all_of_its_time(dns: tuple[DnsServer, str], names: DnsServer) -> None:
    """And not a moment more."""
    resolver = Resolver(nameservers=[dns[1]], timeout_s=0.6)
    names.always("fast.example.com", "127.0.0.1")
    await resolver.resolve("fast.example.com")
    names.drop("dead.example.com")
    started = perf_counter()
    with pytest.raises(LookupFailed):
        await resolver.resolve("dead.example.com")
    assert 0.55 < perf_counter() - started < 1.2
    assert names.asked["dead.example.com"] >= 2
    await resolver.close()


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
async def test_an_answer_out_of_memory_is_no_sign_of_life(keeping: Resolver, names: DnsServer, absent: bool) -> None:
    """C-ares remembers answers for their TTL: that it can tell of a name does not show that a name server can."""
    names.ttl_s = 300
    if not absent:
        names.always("fine.example.com", "127.0.0.1")
    await _outcome(keeping, "fine.example.com")
    assert not keeping.are_down()
    keeping._answered_at -= ALIVE_S + 1  # So long ago.
    for _ in range(2):
        await asyncio.sleep(0.25)
        await _outcome(keeping, "fine.example.com")
    assert keeping.are_down()
    names.drop("crm.example.com")
    with pytest.raises(LookupFailed) as failure:
        await keeping.resolve("crm.example.com")
    assert failure.value.ours
    names.always("other.example.com", "127.0.0.1")
    await keeping.resolve("other.example.com")
    assert not keeping.are_down()
