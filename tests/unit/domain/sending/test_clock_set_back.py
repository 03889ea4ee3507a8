"""The clock is set back by an hour: whatever waited for a time goes on as if it had not been."""

import pytest

from relay.domain.breaking import Condition
from relay.domain.sending.effects import Change, FetchRights
from relay.domain.sending.rights import Granted
from tests.unit.domain.sending.desk import DOWN, NOW, OK, REFUSED, UK, Desk, arrival, endpoint, many

HOUR_MS = 3_600_000


def ticked(**fields: str) -> Desk:
    """A desk whose core has seen the time."""
    desk = Desk(endpoint(**fields))
    desk.core.tick(desk.now_ms)
    return desk


def set_back(desk: Desk, *, then: int) -> None:
    """The clock goes back, and some time passes."""
    desk.wait(-HOUR_MS)
    desk.wait(then)


def test_a_breakers_pause_is_no_longer() -> None:
    desk = ticked()
    desk.claim(*many(1, 3))
    desk.learn(opens=1, until_ms=NOW + 5_000)
    set_back(desk, then=4_999)
    assert desk.of(Change) == []
    desk.wait(1)
    assert [each.verb for each in desk.of(Change)] == ["probe"]


def test_a_rest_that_was_asked_for_is_no_longer() -> None:
    desk = ticked()
    desk.claim(*many(1, 3))
    desk.learn(asked_ms=NOW + 30_000)
    assert desk.send() == []
    set_back(desk, then=30_000)
    desk.learn()
    assert len(desk.send()) == 3


def test_rights_come_as_soon_as_they_would_have() -> None:
    desk = Desk()
    desk.configure(endpoint(), 10)
    desk.core.tick(desk.now_ms)
    desk.claim(*many(1, 3))
    assert len(desk.of(FetchRights)) == 1
    desk.core.may_send(desk.machine().id, Granted(0, 100), desk.now_ms)
    set_back(desk, then=100)
    assert len(desk.of(FetchRights)) == 1


def test_the_head_of_an_order_waits_no_longer() -> None:
    desk = ticked(order="fifo")
    desk.claim(*many(1, 3))
    first = desk.send()
    desk.land(REFUSED, *first)
    lane = desk.machine().lanes[UK]
    waits_ms = lane.until_ms - desk.now_ms
    assert waits_ms > 0
    desk.wait(-HOUR_MS)
    assert lane.until_ms - desk.now_ms == waits_ms


def test_nothing_in_order_is_sent_on_a_lease_that_is_an_hour_too_long() -> None:
    desk = ticked(order="fifo")
    desk.core.renewed(UK, NOW + 9_000, NOW)
    desk.claim(*many(1, 3))
    set_back(desk, then=9_000)
    assert desk.send() == []


def test_five_days_without_a_success_stay_five_days() -> None:
    desk = ticked()
    desk.claim(arrival(1), arrival(2))
    one, other = desk.send()
    desk.land(DOWN, one)
    desk.wait(-HOUR_MS)
    assert desk.machine().receiver.health.failing_since_ms == NOW - HOUR_MS
    desk.land(OK, other)
    assert desk.machine().receiver.health.failing_since_ms == 0


@pytest.mark.parametrize("back_ms", [0, 999, 1000])
def test_noise_changes_nothing(back_ms: int) -> None:
    desk = ticked()
    desk.claim(arrival(1))
    desk.learn(asked_ms=NOW + 30_000)
    desk.wait(-back_ms)
    assert desk.machine().receiver.condition == Condition(asked_ms=NOW + 30_000)
