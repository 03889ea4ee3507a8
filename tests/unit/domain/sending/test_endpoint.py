"""The machine of an endpoint: one breaker, window, rate and order over its lanes of all sources."""

import pytest

from relay.domain.breaking import CONSECUTIVE
from relay.domain.outcomes import Outcome
from relay.domain.sending.effects import Change, Exchange, Unpark
from relay.domain.sending.endpoint import ASIDE_MS
from relay.domain.sending.rights import Granted
from relay.domain.sending.states import EndpointState, LaneState
from tests.unit.domain.sending.desk import DOWN, FR, NOW, OK, REFUSED, UK, A, Desk, arrival, endpoint, many


def both(desk: Desk) -> None:
    """Lanes of two sources, with ten events each."""
    desk.claim(*many(1, 10), source=UK)
    desk.claim(*many(11, 20), source=FR)


@pytest.fixture
def two() -> Desk:
    return Desk(sources=(UK, FR))


def breaker_opens(desk: Desk) -> None:
    """Everything in flight fails."""
    desk.land(DOWN, *desk.send())
    assert desk.machine().state is EndpointState.RESTING


# Over its lanes


def test_one_window_for_all_lanes(two: Desk) -> None:
    """The sources of an endpoint share what it may have in flight, and take turns."""
    both(two)
    assert two.numbers() == [1, 11, 2, 12, 3, 13, 4, 14]


def test_a_lane_that_was_passed_over_is_looked_at_again(two: Desk) -> None:
    """The window was full: whoever lands, whichever lane has something sends next, without any other news."""
    two.claim(*many(1, 8), source=UK)
    flying = two.send()
    two.claim(arrival(11), source=FR)
    assert two.send() == []
    two.land(OK, flying.pop())
    assert two.numbers() == [11]


def test_one_breaker_for_all_lanes(two: Desk) -> None:
    """What fails for one source rests all of them, and is told once."""
    both(two)
    breaker_opens(two)
    assert [(each.verb, each.opens) for each in two.of(Change)] == [("open", 0)]
    assert two.numbers() == []
    assert [two.collect(source)[A].leaving for source in (UK, FR)] == ["park", "park"]


def test_a_retry_after_rests_all_lanes(two: Desk) -> None:
    """To the ms, over every source, and for every worker."""
    both(two)
    first, *others = two.send()
    two.land(Outcome(status=503, retry_after="90"), first)
    assert [(each.verb, each.until_ms) for each in two.of(Change)] == [("rest", NOW + 90_000)]
    two.land(OK, *others)
    assert two.send() == []
    assert [two.collect(source)[A].until_ms for source in (UK, FR)] == [NOW + ASIDE_MS] * 2


def test_one_rate_for_all_lanes(two: Desk) -> None:
    """Rights are fetched for the endpoint, and used up by whichever lane is next."""
    two.configure(endpoint(), 20)
    both(two)
    assert two.send() == []
    assert two.fetches() == [(A, 2)]
    two.core.may_send(A, Granted(2, 0), two.now_ms)
    assert two.numbers() == [1, 11]
    assert two.fetches() == []
    two.wait(1)
    assert two.fetches() == [(A, 2)]
    two.core.may_send(A, Granted(0, 50), two.now_ms)
    assert two.core.wake_ms() == two.now_ms + 50


def test_each_lane_of_an_order_waits_for_its_own_first(two: Desk) -> None:
    """One callback after the other in each source; what one waits for does not stop the other."""
    two.configure(endpoint(order="fifo"))
    both(two)
    first, other = two.send()
    assert {first.lane.source, other.lane.source} == {UK, FR}
    two.land(REFUSED, first)
    two.land(OK, other)
    assert two.numbers() == [12]
    handed = two.collect(UK)[A]
    assert (handed.leaving, handed.until_ms) == ("park", NOW + 5_000)
    assert [again for _, again in handed.back][:2] == ["a1:2:00001:2", "a2:2:00002"]


# Its configuration


@pytest.mark.parametrize("limits", [(), (7,), (7, 20)])
def test_new_limits_reach_a_held_lane(limits: tuple[int, ...]) -> None:
    """Also while rights by the old ones are being fetched, whose answer may never come (an application's limit too)."""
    desk = Desk()
    desk.configure(endpoint(), 100)
    desk.claim(*many(1, 30))
    desk.send()
    assert desk.fetches() == [(A, 10)]
    desk.configure(endpoint(), *limits)
    if limits:
        assert desk.send() == []
        assert desk.fetches() == [(A, 1)]
    else:
        assert desk.numbers() == [1, 2, 3, 4, 5, 6, 7, 8]


def test_a_new_maximum_applies_at_once() -> None:
    """To what is sent next; one that is raised is grown into."""
    desk = Desk(endpoint(max_in_flight=8))
    desk.claim(*many(1, 100))
    flying = desk.send()
    assert len(flying) == 8
    desk.configure(endpoint(max_in_flight=2))
    desk.land(OK, *flying)
    assert len(desk.send()) == 2


def test_what_was_claimed_for_an_endpoint_that_was_not_known_goes_back() -> None:
    """Nobody knew its order: it is claimed anew, and not sent in none."""
    desk = Desk()
    desk.configure(None)
    desk.claim(*many(1, 3, visitorId="x"))
    desk.configure(endpoint(order="keyed", order_key="visitorId"))
    assert desk.send() == []
    assert desk.collect()[A].leaving == "go"


@pytest.mark.parametrize("through", ["at once", "while it was unknown"])
def test_another_order_gives_back_what_waits(through: str) -> None:
    """What is in flight lands first, and is judged by the order in which it was sent."""
    desk = Desk(endpoint(order="fifo"))
    lane = desk.claim(*many(1, 3))
    (first,) = desk.send()
    if through == "while it was unknown":
        desk.configure(None)
    desk.configure(endpoint(order="unordered", order_version=1))
    assert desk.send() == []
    desk.land(REFUSED, first)
    handed = desk.collect()[A]
    assert [again for _, again in handed.back] == ["a1:2:00001:2", "a2:2:00002", "a3:2:00003"]
    assert (handed.leaving, lane.state) == ("park", LaneState.LEAVING)


@pytest.mark.parametrize(("order", "sends"), [("fifo", []), ("keyed", []), ("unordered", [1, 2, 3])])
def test_nothing_is_sent_while_older_events_wait_behind_keys_of_an_older_order(order: str, sends: list[int]) -> None:
    """What was claimed goes back to the lane, where what is released gets its place among it."""
    desk = Desk(endpoint(order=order, order_key="visitorId", order_version=2))
    desk.claim(*many(1, 3, visitorId="x"), blocked={"1.k": 7, "2.k": 9})
    assert desk.numbers() == sends
    if not sends:
        handed = desk.collect()[A]
        assert ([again for _, again in handed.back], handed.leaving) == (
            ["a1:2:00001", "a2:2:00002", "a3:2:00003"],
            "go",
        )


@pytest.mark.parametrize("blocked", [{"2.k": 7}, {"3.k": 7}, {"damaged": 7}])
def test_keys_of_its_own_order_and_of_a_newer_one_hold_up_nothing(blocked: dict[str, int]) -> None:
    """A newer order was not heard of yet: who knows it releases what waits."""
    desk = Desk(endpoint(order="keyed", order_key="visitorId", order_version=2))
    desk.claim(*many(1, 2), blocked=blocked)
    assert desk.numbers() == [1, 2]


def test_what_is_parked_goes_on_if_the_reason_is_gone() -> None:
    """The answer says that it is parked, and the endpoint is on by now: whoever switched it on may have come before."""
    desk = Desk()
    desk.claim(*many(1, 3))
    desk.configure(endpoint(), off=True)
    handed = desk.collect()[A]
    assert handed.leaving == "park"
    desk.configure(endpoint())
    desk.effects()
    desk.answer(handed, state="parked")
    assert desk.of(Unpark) == [Unpark(UK, A)]


def test_consecutive_failures_are_counted_over_sources(two: Desk) -> None:
    """The breaker opens with the fifth, whichever source it is of."""
    both(two)
    flying = two.send()
    two.land(DOWN, *flying[: CONSECUTIVE - 1])
    assert two.machine().state is EndpointState.FLOWING
    two.land(DOWN, flying[CONSECUTIVE - 1])
    assert two.machine().state is EndpointState.RESTING


def test_nothing_is_exchanged_for_nothing() -> None:
    """While a callback hangs, and nothing more waits, nobody asks the store again and again."""
    desk = Desk()
    desk.claim(arrival(1))
    desk.send()
    desk.effects()
    handed = desk.collect()
    desk.answer(handed[A])
    assert desk.of(Exchange) == []
    desk.learn(opens=1, until_ms=NOW + 5_000)
    assert desk.of(Exchange) == []
