"""Rights as a worker has them: fetched for what can go out, given back when nothing uses them, and waited for."""

from relay.domain.rates import Bounds, Rate
from relay.domain.sending.effects import FetchRights
from relay.domain.sending.rights import Granted, Wanted
from relay.domain.sending.states import EndpointState
from tests.unit.domain.sending.desk import OK, A, Desk, endpoint, many

WINDOW = Bounds(windows=(("ep_a", Rate(100, 10)),), line="ep_a")
CROWD = Bounds(crowds=(("ep_a", 3),), line="ep_a")
LIFE_MS = 250


def bound(bounds: Bounds, count: int = 20, **fields: object) -> Desk:
    desk = Desk(endpoint(**fields))
    desk.core.configured(A, desk.machine().endpoint, bounds, is_off=False, now_ms=desk.now_ms)
    desk.effects()
    desk.claim(*many(1, count))
    return desk


def asked(desk: Desk) -> list[Wanted]:
    return [each.wanted for each in desk.of(FetchRights)]


def test_only_what_can_go_out_is_fetched() -> None:
    """There is room for eight in flight, and one of a fifo lane: other rights would lapse."""
    assert [each.number for each in asked(bound(WINDOW))] == [8]
    assert [each.number for each in asked(bound(WINDOW, order="fifo"))] == [1]


def test_rights_that_nobody_used_are_given_back() -> None:
    """With the time at which they were taken, and once."""
    desk = bound(WINDOW)
    asked(desk)
    desk.core.may_send(A, Granted(8, 0, taken_ms=77), desk.now_ms)
    assert len(desk.send()) == 8
    desk.core.configured(A, desk.machine().endpoint, WINDOW, is_off=True, now_ms=desk.now_ms)
    desk = bound(WINDOW, 20)
    asked(desk)
    desk.core.may_send(A, Granted(8, 0, taken_ms=77), desk.now_ms)
    assert len([desk.core.next(desk.now_ms) for _ in range(3)]) == 3
    desk.wait(LIFE_MS)
    assert desk.numbers() == []
    assert asked(desk) == [Wanted(5, 3, 5, 77)]


def test_the_store_hears_of_callbacks_that_are_over() -> None:
    """So that others can have their places, also if nothing waits here any more."""
    desk = bound(CROWD, 3)
    assert asked(desk) == [Wanted(3, 0, 0, 0)]
    desk.core.may_send(A, Granted(3, 0, taken_ms=1), desk.now_ms)
    sent = desk.send()
    desk.land(OK, sent[0])
    assert asked(desk) == [Wanted(0, 2, 0, 1)]
    desk.land(OK, *sent[1:])
    assert asked(desk) == []
    desk.core.may_send(A, Granted(0, 0, was_told=True), desk.now_ms)
    assert asked(desk) == [Wanted(0, 0, 0, 1)]


def test_a_place_that_comes_free_here_is_asked_for_at_once() -> None:
    """And those of others again and again, less often each time."""
    desk = bound(CROWD)
    asked(desk)
    desk.core.may_send(A, Granted(1, 0, taken_ms=1), desk.now_ms)
    [flying] = desk.send()
    desk.wait(1)
    assert [each.number for each in asked(desk)] == [7]
    desk.core.may_send(A, Granted(0, 0), desk.now_ms)
    waits = []
    for _ in range(6):
        began_ms = desk.now_ms
        while not (found := asked(desk)):
            desk.wait(10)
        assert [each.held for each in found] == [1]
        waits.append(desk.now_ms - began_ms)
        desk.core.may_send(A, Granted(0, 0), desk.now_ms)
    assert waits == [50, 100, 200, 400, 800, 1000]
    desk.land(OK, flying)
    assert asked(desk) == [Wanted(8, 0, 0, 1)]


def test_an_endpoint_that_waits_long_hands_its_lanes_back() -> None:
    """They take nobody's place until then, and another limit wakes it at once."""
    desk = bound(WINDOW)
    asked(desk)
    desk.core.may_send(A, Granted(0, 4_999), desk.now_ms)
    assert desk.machine().state is EndpointState.FLOWING
    desk.wait(4_999)
    asked(desk)
    desk.core.may_send(A, Granted(0, 3_600_000), desk.now_ms)
    handed = desk.collect()[A]
    assert (desk.machine().state, handed.leaving, len(handed.back)) == (EndpointState.RESTING, "park", 20)
    assert handed.until_ms == desk.now_ms + 60_000
    desk.answer(handed, state="parked")
    desk.core.configured(A, desk.machine().endpoint, CROWD, is_off=False, now_ms=desk.now_ms)
    desk.claim(*many(1, 20))
    assert [each.number for each in asked(desk)] == [8]
