"""Turns: whoever has many callbacks in flight waits for those who have few (goal G17)."""

import pytest

from relay.domain.breaking import WELL
from relay.domain.model import EndpointId
from relay.domain.rates import FREE
from relay.domain.sending.delivery import Delivery
from relay.domain.sending.endpoint import EndpointMachine
from relay.domain.sending.turns import Turns
from tests.unit.domain.sending.desk import NOW, Desk, arrival, endpoint

Sent = tuple[EndpointMachine, Delivery]


def machine(name: str, *, waiting: int = 1000, down: bool = False) -> EndpointMachine:
    """An endpoint that may have 1,000 callbacks in flight, or the probe of one that is down."""
    named = EndpointId(name)
    desk = Desk(endpoint(named, max_in_flight=1000))
    desk.claim(*(arrival(number) for number in range(waiting)), name=named)
    made = desk.machine(named)
    made.window.size = 1000.0
    if down:
        desk.learn(named, opens=1, until_ms=NOW)
        desk.learn(named, opens=1, until_ms=NOW, prober="me", probe_until_ms=NOW + 25_000)
        assert made.is_probing
    return made


def fill(turns: Turns) -> list[Sent]:
    """Begin whatever may begin."""
    begun = []
    while len(turns) and (chosen := turns.next()) is not None:
        if (delivery := chosen.take(NOW)) is None:
            turns.end(chosen)
        else:
            begun.append((chosen, delivery))
            turns.add(chosen)
    return begun


def land(turns: Turns, chosen: EndpointMachine, delivery: Delivery) -> None:
    """End one callback."""
    chosen.flying -= 1
    delivery.lane.ended(delivery)
    turns.end(chosen)
    chosen.settle(NOW)
    turns.add(chosen)


@pytest.mark.parametrize("silent", [1, 2, 5, 10, 50])
def test_silent_endpoints_leave_slots_to_the_others(silent: int) -> None:
    """However many never get an answer, one that comes later can send at once."""
    turns = Turns(512)
    for number in range(silent):
        turns.add(machine(f"silent{number}"))
    held = len(fill(turns))
    assert held <= 512 * silent / (silent + 1) + silent
    healthy = machine("healthy")
    turns.add(healthy)
    assert turns.next() is healthy


def test_endpoints_take_turns() -> None:
    """Two with much to send get one callback each, round and round."""
    turns = Turns(512)
    for name in ("first", "second"):
        turns.add(machine(name))
    assert [chosen.id for chosen, _ in fill(turns)[:6]] == ["first", "second"] * 3


def test_who_had_too_many_in_flight_goes_on_when_others_land() -> None:
    """No turn is lost: as slots come free, whoever waited for that sends again, until all is sent."""
    turns = Turns(16)
    for number in range(5):
        turns.add(machine(f"ep{number}", waiting=100))
    flying, sent = fill(turns), 0
    while flying:
        land(turns, *flying.pop(0))
        sent += 1
        flying += fill(turns)
        assert len(flying) <= 16
    assert sent == 500


def test_a_free_slot_counts_at_once() -> None:
    """Whoever waited because it had too many in flight is counted as soon as somebody else's slot is free."""
    turns = Turns(5)
    greedy, other = machine("greedy"), machine("other", waiting=1)
    turns.add(greedy)
    turns.add(other)
    flying = fill(turns)
    assert len(turns) == 0
    others = [one for one in flying if one[0] is other]
    while others:
        land(turns, *others.pop())
    assert len(turns) == 1
    assert turns.next() is greedy


def test_probes_of_receivers_that_are_down_never_take_all_slots() -> None:
    """With a thousand receivers down, half of the slots are left to those that are up; each probe gets its turn."""
    turns = Turns(64)
    for number in range(1000):
        turns.add(machine(f"down{number}", waiting=1, down=True))
    flying, probed = fill(turns), 0
    assert len(flying) == 32
    healthy = machine("healthy")
    turns.add(healthy)
    assert turns.next() is healthy
    while flying:
        land(turns, *flying.pop(0))
        probed += 1
        flying += [one for one in fill(turns) if one[0] is not healthy]
    assert probed == 1000


@pytest.mark.parametrize("what", ["lane gone", "well again", "off"])
def test_a_probes_slot_goes_to_the_next_one(what: str) -> None:
    """One that waits for its probe and needs none any more takes nobody's place."""
    turns = Turns(2)
    first, second, third = (machine(f"down{n}", down=True) for n in range(3))
    for each in (first, second, third):
        turns.add(each)
    flying = fill(turns)
    assert [chosen for chosen, _ in flying] == [first]
    if what == "lane gone":
        for lane in list(second.lanes.values()):
            lane.forget()
            second.left(lane, parked=False)
    elif what == "off":
        second.configured(second.endpoint, FREE, is_off=True)
    else:
        second.learnt(WELL, NOW)
        second.window.size = 0.0
    land(turns, *flying.pop())
    first.configured(first.endpoint, FREE, is_off=True)
    assert [chosen for chosen, _ in fill(turns)] == [third]
