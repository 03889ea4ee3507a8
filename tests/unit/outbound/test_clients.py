"""How pinned names are spread over clients."""

import asyncio
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any, cast

from pyreqwest.client import Client

from relay.domain.addresses import Address
from relay.outbound.clients import Fleet, Pin
from relay.outbound.resolver import Answer

FIRST, SECOND = ip_address("192.0.2.1"), ip_address("192.0.2.2")


class FakeClient:
    """Knows what it was built with."""

    def __init__(self, pins: Mapping[str, Address]) -> None:
        self.pins = dict(pins)


class Workshop:
    """Builds fake clients and remembers them."""

    def __init__(self) -> None:
        self.built: list[FakeClient] = []

    def build(self, pins: Mapping[str, Address]) -> Client:
        self.built.append(FakeClient(pins))
        return cast(Client, self.built[-1])


def make_pin(host: str, address: Address = FIRST, *, fresh_until: float = 1e12) -> Pin:
    return Pin(host, address, Answer((address,), 0.0, fresh_until, fresh_until), listed=False)


def make_fleet(workshop: Workshop, **options: Any) -> Fleet:
    return Fleet(workshop.build, **{"most": 2, "full": 3, "pause_s": 0.0, **options})


async def _place(fleet: Fleet, *pins: Pin) -> list[FakeClient]:
    return cast(list[FakeClient], await asyncio.gather(*map(fleet.client, pins)))


async def test_newcomers_of_one_moment_share_one_build() -> None:
    """A hundred new names cost one client, not a hundred."""
    workshop = Workshop()
    pins = [make_pin(f"h{n}") for n in range(100)]
    clients = await _place(make_fleet(workshop), *pins)
    assert len(workshop.built) == 1
    assert set(map(id, clients)) == {id(workshop.built[0])}
    assert workshop.built[0].pins == {pin.host: FIRST for pin in pins}


async def test_a_placed_name_costs_nothing() -> None:
    """Its client is there at once."""
    workshop = Workshop()
    fleet, pin = make_fleet(workshop), make_pin("a")
    [first] = await _place(fleet, pin)
    assert [first] == await _place(fleet, pin)
    assert len(workshop.built) == 1


async def test_settled_clients_are_left_alone_by_newcomers() -> None:
    """Only the young client is rebuilt, so that the connections of the others live on."""
    workshop = Workshop()
    fleet = make_fleet(workshop)
    settled = [make_pin(name) for name in "abc"]
    [client, *_] = await _place(fleet, *settled)
    for name in "de":
        await _place(fleet, make_pin(name))
    assert [cast(Any, pin.client) for pin in settled] == [client] * 3
    assert [sorted(built.pins) for built in workshop.built] == [["a", "b", "c"], ["d"], ["d", "e"]]


async def test_a_name_that_moved_leaves_its_old_client() -> None:
    """The new pin is dialled by a client that knows the new address only; who began with the old one keeps it."""
    workshop = Workshop()
    fleet = make_fleet(workshop)
    old, moved = make_pin("a"), make_pin("a", SECOND)
    await _place(fleet, old)
    [client] = await _place(fleet, moved)
    assert client.pins == {"a": SECOND}
    assert cast(Any, old.client).pins == {"a": FIRST}


async def test_two_pins_of_one_name_at_once_both_get_their_own_client() -> None:
    """However often a name flips, nobody is given a client with another address than the vetted one."""
    workshop = Workshop()
    pins = [make_pin("a", address) for address in (FIRST, SECOND, FIRST, SECOND)]
    clients = await _place(make_fleet(workshop), *pins)
    assert [client.pins["a"] for client in clients] == [FIRST, SECOND, FIRST, SECOND]


async def test_the_number_of_clients_is_bounded_by_merging_the_smallest() -> None:
    """More names mean larger clients, not more of them; every pin keeps a client that knows it."""
    workshop = Workshop()
    fleet = make_fleet(workshop)
    pins = [make_pin(f"h{n}") for n in range(60)]
    for pin in pins:
        await _place(fleet, pin)
    assert len({id(pin.client) for pin in pins}) <= 4
    assert all(cast(Any, pin.client).pins[pin.host] == pin.address for pin in pins)


async def test_merging_forgets_names_that_nobody_asks_for() -> None:
    """Names of endpoints that are gone do not pile up, and come back as newcomers if they are needed again."""
    workshop = Workshop()
    fleet = make_fleet(workshop, idle_s=1.0)
    gone = [make_pin(f"gone{n}", fresh_until=-1e9) for n in range(9)]
    for pin in gone:
        await _place(fleet, pin)
    await _place(fleet, *(make_pin(f"h{n}") for n in range(3)))
    forgotten = [pin for pin in gone if pin.client is None]
    assert len(forgotten) >= 5
    [client] = await _place(fleet, forgotten[0])
    assert client.pins[forgotten[0].host] == FIRST


async def test_builds_keep_their_distance() -> None:
    """A stream of new names costs one build in each pause."""
    workshop = Workshop()
    fleet = make_fleet(workshop, full=1000, pause_s=0.05)
    for n in range(10):
        task = asyncio.create_task(fleet.client(make_pin(f"h{n}")))
        await asyncio.sleep(0.011)
    await task
    assert len(workshop.built) <= 4


async def test_a_caller_that_gives_up_does_not_stop_the_others() -> None:
    """The build goes on for whoever else waits."""
    workshop = Workshop()
    fleet = make_fleet(workshop)
    first = asyncio.create_task(fleet.client(make_pin("a")))
    second = asyncio.create_task(fleet.client(make_pin("b")))
    await asyncio.sleep(0)
    first.cancel()
    assert cast(Any, await second).pins == {"a": FIRST, "b": FIRST}
