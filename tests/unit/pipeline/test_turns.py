"""Turns: whoever has many callbacks in flight waits for those who have few (goal G17)."""

from relay.domain.breaking import Health
from relay.domain.model import ApplicationId, Endpoint, EndpointId, MessageId, SourceUid, StoredEvent
from relay.domain.references import Reference
from relay.outbound.callbacks import PreparedEndpoint
from relay.pipeline.dispatch.delivery import Delivery
from relay.pipeline.dispatch.lane import HeldLane
from relay.pipeline.dispatch.queues import Unordered
from relay.pipeline.dispatch.turns import Turns
from relay.pipeline.dispatch.windows import SharedWindow
from relay.store.lanes import Handed

EVENT = StoredEvent(MessageId("msg_a"), "1", 0, 1, b"", b"")


def lane(name: str, *, waiting: int = 1000, health: str = "") -> HeldLane:
    """A lane whose endpoint may have 1,000 callbacks in flight."""
    endpoint = Endpoint(id=EndpointId(name), app_id=ApplicationId("app"), url="", max_in_flight=1000)
    window = SharedWindow(1000)
    window.size = 1000.0
    made = HeldLane(
        SourceUid("s"),
        endpoint,
        prepared=PreparedEndpoint(endpoint),
        window=window,
        health=Health(health),
        queue=Unordered(),
        rights=None,
    )
    for number in range(waiting):
        made.queue.push(
            Delivery(b"a%d:0:abcde" % number, Reference(number, 0, "abcde"), EVENT), Handed(EndpointId(name))
        )
    return made


def fill(turns: Turns) -> list[tuple[HeldLane, Delivery]]:
    """Begin whatever may begin."""
    begun = []
    while (chosen := turns.next()) is not None:
        begun.append((chosen, chosen.begin()))
        turns.add(chosen)
    return begun


def land(turns: Turns, chosen: HeldLane, delivery: Delivery) -> None:
    """End one callback, as a sender does."""
    chosen.land(delivery)
    turns.end(chosen)


def test_silent_lanes_leave_slots_to_the_others() -> None:
    """However many lanes never get an answer, one that comes later can send at once."""
    for silent in (1, 2, 5, 10, 50):
        turns = Turns(512)
        for number in range(silent):
            turns.add(lane(f"silent{number}"))
        held = len(fill(turns))
        assert held <= 512 * silent / (silent + 1) + silent
        healthy = lane("healthy")
        turns.add(healthy)
        chosen = turns.next()
        assert chosen is healthy


def test_lanes_take_turns() -> None:
    """Two lanes with much to send get one callback each, round and round."""
    turns = Turns(512)
    first, second = lane("first"), lane("second")
    turns.add(first)
    turns.add(second)
    begun = [chosen.endpoint.id for chosen, _ in fill(turns)[:6]]
    assert begun == ["first", "second"] * 3


def test_a_lane_that_had_too_many_in_flight_goes_on_when_others_land() -> None:
    """No turn is lost: as slots come free, whoever waited for that sends again, until all is sent."""
    turns = Turns(16)
    lanes = [lane(f"lane{number}", waiting=100) for number in range(5)]
    for each in lanes:
        turns.add(each)
    flying, sent = fill(turns), 0
    while flying:
        land(turns, *flying.pop(0))
        sent += 1
        flying += fill(turns)
        assert len(flying) <= 16
    assert sent == 500


def test_probes_of_receivers_that_are_down_never_take_all_slots() -> None:
    """With a thousand receivers down, half of the slots are left to those that are up; each probe gets its turn."""
    turns = Turns(64)
    for number in range(1000):
        turns.add(lane(f"down{number}", waiting=1, health="1:3"))
    flying, probed = fill(turns), 0
    assert len(flying) == 32
    healthy = lane("healthy")
    turns.add(healthy)
    assert turns.next() is healthy
    while flying:
        land(turns, *flying.pop(0))
        probed += 1
        flying += [one for one in fill(turns) if one[0] is not healthy]
    assert probed == 1000
