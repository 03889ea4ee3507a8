"""The machine of an endpoint and its receiver: when it rests, who probes it, and when it is given up."""

import pytest

from relay.domain.breaking import GIVE_UP_MS
from relay.domain.outcomes import Failure, Outcome
from relay.domain.sending.effects import Change, Disable
from relay.domain.sending.endpoint import ASK_AGAIN_MS
from relay.domain.sending.states import EndpointState
from tests.unit.domain.sending.desk import DOWN, NOW, OK, REFUSED, A, Desk, arrival, endpoint, many

GONE = Outcome(status=410)
DAY_MS = 86_400_000


def test_a_probe_is_one_callback_of_one_worker() -> None:
    """When the pause is over the store is asked; with the right one goes out, and its success opens everything."""
    desk = Desk()
    desk.claim(*many(1, 20))
    desk.learn(opens=1, until_ms=NOW + 5_000)
    assert desk.core.wake_ms() == NOW + 5_000
    desk.wait(5_000)
    assert desk.of(Change) == [Change(A, "probe")]
    assert desk.send() == []
    desk.learn(opens=1, until_ms=NOW + 5_000, prober="me", probe_until_ms=NOW + 30_000)
    (probe,) = desk.send()
    desk.land(OK, probe)
    assert [each.verb for each in desk.of(Change)] == ["well"]
    assert len(desk.send()) == 8


def test_who_is_refused_asks_again() -> None:
    """Another worker probes: it is asked again soon, and the lanes are free for others meanwhile."""
    desk = Desk()
    desk.claim(*many(1, 2))
    desk.learn(opens=1, until_ms=NOW)
    assert desk.of(Change) == [Change(A, "probe")]
    desk.learn(opens=1, until_ms=NOW, prober="other", probe_until_ms=NOW + 25_000)
    assert desk.machine().state is EndpointState.RESTING
    assert desk.core.wake_ms() == NOW + ASK_AGAIN_MS[1]
    desk.wait(ASK_AGAIN_MS[1])
    assert desk.of(Change) == [Change(A, "probe")]
    desk.learn()
    assert desk.numbers() == [1, 2]


def test_a_breaker_that_others_opened_holds_back_who_still_sends() -> None:
    """Also if their pause is over by the time it is heard of: there is a probe before all others."""
    desk = Desk()
    desk.claim(*many(1, 20))
    desk.send()
    desk.learn(opens=2, until_ms=NOW)
    assert desk.machine().state is EndpointState.ASKING
    assert desk.send() == []


def test_what_was_in_flight_before_is_no_probe() -> None:
    """It landed after the right to probe came: its failure makes no pause longer, and its try is used up."""
    desk = Desk()
    desk.claim(*many(1, 20))
    hanging, *failing = desk.send()
    desk.land(DOWN, *failing)
    opens = desk.machine().receiver.health.opens
    desk.wait(5_000)
    desk.learn(opens=opens, until_ms=NOW, prober="me", probe_until_ms=desk.now_ms + 25_000)
    assert desk.machine().is_probing
    desk.land(DOWN, hanging)
    assert desk.machine().is_probing
    assert hanging.reference.attempt == 2


def test_a_right_to_probe_that_was_not_used_is_asked_for_again() -> None:
    """It ended before a slot was free, and somebody else may have it now."""
    desk = Desk()
    desk.claim(arrival(1))
    desk.learn(opens=1, until_ms=NOW)
    desk.learn(opens=1, until_ms=NOW, prober="me", probe_until_ms=NOW + 25_000)
    desk.effects()
    assert desk.core.wake_ms() == NOW + 25_000
    desk.wait(25_000)
    assert desk.of(Change) == [Change(A, "probe")]
    assert desk.send() == []


def test_64_answers_of_410_disable_it_once() -> None:
    """They keep their events, and one of them is reason enough."""
    desk = Desk(endpoint(max_in_flight=64), slots=256)
    desk.machine().window.size = 64.0
    desk.claim(*many(1, 64))
    flying = desk.send()
    assert len(flying) == 64
    desk.land(GONE, *flying)
    (disable,) = desk.of(Disable)
    assert "410" in disable.reason
    assert len(desk.collect()[A].back) == 64


def test_disabling_that_failed_is_asked_for_by_the_next_answer() -> None:
    """Nothing is sent for a second; then one that is gone still says so."""
    desk = Desk()
    desk.claim(*many(1, 9))
    first, *others = desk.send()
    desk.land(GONE, first)
    assert len(desk.of(Disable)) == 1
    desk.core.not_disabled(A)
    desk.land(GONE, *others)
    assert len(desk.of(Disable)) == 1


@pytest.mark.parametrize("outcome", [REFUSED, DOWN], ids=["404", "down"])
def test_five_days_without_a_success_disable_it(outcome: Outcome) -> None:
    """Whatever it answers: a permanent 404 is no receiver. Who waited that long is remembered by the store."""
    desk = Desk(endpoint(retry_schedule=(1.0,) * 10_000))
    for day in range(6):
        desk.claim(*many(100 * day, 100 * day + 1))
        desk.land(outcome, *desk.send())
        desk.wait(DAY_MS // 2)
        desk.claim(*many(100 * day + 2, 100 * day + 3))
        desk.land(outcome, *desk.send())
        assert [each.endpoint.id for each in desk.of(Disable)] == ([A] if day == 5 else [])
        assert any(each.verb in ("failing", "open") for each in desk.asked if isinstance(each, Change))
        desk.wait(DAY_MS // 2)
        desk.learn(failing_since_ms=NOW)


def test_who_hears_of_it_takes_five_days_from_others() -> None:
    """A worker that has the lane since a moment knows from the store how long there was no success."""
    desk = Desk()
    desk.learn(failing_since_ms=NOW - GIVE_UP_MS)
    desk.claim(*many(1, 2))
    desk.land(REFUSED, desk.send()[0])
    assert len(desk.of(Disable)) == 1


def test_who_was_enabled_again_begins_anew() -> None:
    """Its five days and its breaker are over: the first failure after that disables nobody."""
    desk = Desk()
    desk.claim(*many(1, 8))
    desk.land(DOWN, *desk.send())
    desk.wait(GIVE_UP_MS)
    desk.configure(endpoint(), off=True)
    desk.configure(endpoint())
    desk.claim(*many(11, 12))
    desk.land(DOWN, desk.send()[0])
    assert desk.of(Disable) == []


def test_a_fault_of_ours_rests_this_worker_alone() -> None:
    """A proxy that failed, or a bug: nothing is told to the store, no try is used up, nothing is lost."""
    desk = Desk()
    desk.claim(*many(1, 4))
    first, second, *others = desk.send()
    desk.land(Outcome(error=Failure.LOCAL), first)
    desk.core.broke(second, desk.now_ms)
    desk.land(OK, *others)
    assert desk.of(Change) == []
    assert desk.send() == []
    handed = desk.collect()[A]
    assert sorted(again for _, again in handed.back) == ["a1:2:00001", "a2:2:00002"]
    assert handed.leaving == "park"
