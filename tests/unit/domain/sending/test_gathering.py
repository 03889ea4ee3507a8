"""Gathering: when a batch goes, and which deliveries go in it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.domain.outcomes import Failure, Outcome
from relay.domain.rates import Rate
from relay.domain.requests.model import Batch, RequestShape
from relay.domain.sending.delivery import Delivery
from relay.domain.sending.effects import Change
from relay.domain.sending.gathering import MOST_BYTES, gathers_until_ms, room_with
from relay.domain.sending.rights import Granted
from relay.domain.sending.states import EndpointState
from tests.unit.domain.sending.desk import DOWN, FR, NOW, OK, REFUSED, UK, A, Desk, arrival, endpoint, many

WAIT_MS = 4_000


def batching(size: int, *, wait_s: float = WAIT_MS / 1000, sources: tuple[Any, ...] = (UK,), **fields: Any) -> Desk:
    """A desk whose endpoint takes batches."""
    shape = RequestShape(batch=Batch(size=size, wait_s=wait_s))
    return Desk(endpoint(request=shape, **fields), sources=sources)


def batches(desk: Desk) -> list[list[int]]:
    """Begin whatever may begin: the numbers of the events of each request."""
    return [[member.reference.number for member in delivery.members] for delivery in desk.send()]


def land(desk: Desk, outcome: Outcome | None, delivery: Delivery) -> None:
    """A request ends, for all of its events in the same way."""
    size = len(delivery.members)
    marked = Outcome(status=outcome.status, error=outcome.error, batch_id="b", batch_size=size) if outcome else None
    desk.core.landed(delivery, *([marked] * size), now_ms=desk.now_ms, jitter=0.5)


# When it goes


def test_a_full_batch_goes_at_once() -> None:
    """What is left waits for others, for as long as the endpoint says and no longer."""
    desk = batching(4)
    desk.claim(*many(1, 10))
    assert batches(desk) == [[1, 2, 3, 4], [5, 6, 7, 8]]
    desk.wait(WAIT_MS - 1)
    assert (batches(desk), desk.core.turns()) == ([], 0)
    assert desk.core.wake_ms() == NOW + WAIT_MS
    desk.wait(1)
    assert batches(desk) == [[9, 10]]


def test_what_came_later_shortens_no_wait_and_lengthens_none() -> None:
    """The first of a batch has its time."""
    desk = batching(4)
    lane = desk.claim(arrival(1))
    desk.wait(WAIT_MS - 1000)
    desk.answer(desk.collect()[A], arrival(2))
    assert lane.ahead >= 8
    desk.wait(1000)
    assert batches(desk) == [[1, 2]]


def test_a_batch_takes_of_all_lanes() -> None:
    """Events of several sources go in one request."""
    desk = batching(4, sources=(UK, FR))
    desk.claim(*many(1, 2), source=UK)
    assert batches(desk) == []
    desk.claim(*many(11, 12), source=FR)
    assert batches(desk) == [[1, 11, 2, 12]]


def test_a_batch_without_a_wait_takes_what_is_there() -> None:
    """Nothing waits for what may come."""
    desk = batching(4, wait_s=0.0)
    desk.claim(*many(1, 6))
    assert batches(desk) == [[1, 2, 3, 4], [5, 6]]


def test_a_batch_takes_one_place_in_the_window() -> None:
    """And one slot."""
    desk = batching(2, max_in_flight=2)
    desk.claim(*many(1, 8))
    flying = desk.send()
    assert [len(each.members) for each in flying] == [2, 2]
    assert desk.machine().flying == 2
    land(desk, OK, flying[0])
    assert desk.machine().flying == 1
    assert batches(desk) == [[5, 6]]


def test_batches_in_flight_are_bounded_by_their_events() -> None:
    """A worker has no more in its hands than 1,024 of them for one endpoint."""
    desk = batching(200, max_in_flight=64)
    assert desk.machine().window.size == 5


def test_a_batch_uses_one_right() -> None:
    """Rights are fetched for requests, and not before there is one to send."""
    desk = batching(5)
    desk.configure(endpoint(request=RequestShape(batch=Batch(size=5, wait_s=1.0))), 100)
    desk.claim(*many(1, 4))
    assert desk.fetches() == []
    desk.wait(1000)
    assert desk.fetches() == [(A, 1)]
    desk.core.may_send(A, Granted(1, 0), desk.now_ms)
    assert batches(desk) == [[1, 2, 3, 4]]
    assert desk.machine().rights.left == 0


def test_a_lane_reads_the_next_batch_while_one_gathers() -> None:
    """A batch that is larger than what a lane reads ahead of itself fills all the same."""
    desk = batching(100)
    lane = desk.claim(*many(1, 8))
    handed = desk.collect()[A]
    assert handed.take == 200 - 8
    desk.answer(handed, *many(9, 200))
    assert [len(each) for each in batches(desk)] == [100, 100]
    assert lane.is_short()


def test_what_was_in_flight_at_a_crash_goes_alone() -> None:
    """It is announced, and the others go in their batch."""
    desk = batching(4)
    desk.claim(arrival(1), arrival(2, crashes=1), *many(3, 5))
    assert batches(desk) == [[1]]
    (trial,) = desk.asked_trials()
    desk.core.announced(trial)
    assert batches(desk) == [[2]]


def test_a_probe_is_one_event() -> None:
    """Whatever waits: it shall say if the receiver is back, and do no harm."""
    desk = batching(4)
    desk.claim(*many(1, 8))
    for _ in range(6):
        for delivery in desk.send():
            land(desk, DOWN, delivery)
    desk.claim(*many(11, 18))
    machine = desk.machine()
    desk.learn(opens=1, until_ms=desk.now_ms + 5)
    desk.wait(5)
    assert [each.verb for each in desk.of(Change)][-1] == "probe"
    desk.learn(opens=1, prober="me", probe_until_ms=desk.now_ms + 20_000)
    assert machine.state is EndpointState.PROBING
    assert [len(each) for each in batches(desk)] == [1]


def test_one_failed_request_is_one_failure() -> None:
    """A batch of eight that fails does not open the breaker."""
    desk = batching(8)
    desk.claim(*many(1, 8))
    land(desk, DOWN, desk.send()[0])
    assert desk.machine().receiver.health.in_a_row == 1
    assert len(desk.collect()[A].due) == 8


def test_a_refusal_splits_the_batch_and_uses_no_try() -> None:
    """Until the one that is refused is alone: its failure is its own."""
    desk = batching(4)
    lane = desk.claim(*many(1, 4))
    refused = Outcome(status=422)
    (delivery,) = desk.send()
    land(desk, refused, delivery)
    first, second = desk.send()
    assert [[each.reference.number for each in one.members] for one in (first, second)] == [[1, 2], [3, 4]]
    land(desk, refused, first)
    land(desk, OK, second)
    alone = desk.send()
    assert [len(each.members) for each in alone] == [1, 1]
    assert {each.reference.attempt for each in alone} == {1}
    land(desk, refused, alone[0])
    land(desk, OK, alone[1])
    assert len(lane.results.due) == 1


def test_what_is_not_tried_goes_next_and_in_its_order() -> None:
    """Its request was full: it waits for nobody."""
    desk = batching(4)
    desk.claim(*many(1, 4))
    (delivery,) = desk.send()
    done = Outcome(status=204, batch_id="b", batch_size=2)
    desk.core.landed(delivery, done, done, None, None, now_ms=desk.now_ms, jitter=0.5)
    assert batches(desk) == [[3, 4]]


def test_a_request_that_did_not_go_out_is_put_back_whole() -> None:
    """In its order, and its slot and its place are free."""
    desk = batching(2, max_in_flight=1)
    desk.claim(*many(1, 2))
    (delivery,) = desk.send()
    desk.core.untried(delivery, desk.now_ms)
    assert desk.machine().flying == 0
    assert batches(desk) == [[1, 2]]


def test_a_partial_success_is_a_success_of_the_receiver() -> None:
    """The failures of events say nothing of it."""
    desk = batching(2)
    desk.claim(*many(1, 2))
    (delivery,) = desk.send()
    whole = Outcome(status=207, batch_id="b", batch_size=2)
    failed = Outcome(status=207, error=Failure.PARTIAL, batch_id="b", batch_size=2)
    desk.core.landed(delivery, failed, whole, now_ms=desk.now_ms, jitter=0.5)
    assert desk.machine().receiver.health.failing_since_ms == 0
    handed = desk.collect()[A]
    assert (len(handed.ended), len(handed.due)) == (1, 1)


def test_a_change_of_the_endpoint_ends_the_wait() -> None:
    """Without batches each goes alone."""
    desk = batching(4)
    desk.claim(*many(1, 2))
    assert batches(desk) == []
    desk.configure(endpoint())
    assert batches(desk) == [[1], [2]]


def test_a_batch_that_gathers_is_handed_back_at_the_end() -> None:
    """A worker that ends waits for nothing."""
    desk = batching(4)
    desk.claim(*many(1, 2))
    desk.core.drain(desk.now_ms)
    handed = desk.collect()[A]
    assert (len(handed.back), handed.leaving) == (2, "go")


def test_a_clock_that_is_set_back_delays_no_batch() -> None:
    """It waits as long as it would have."""
    desk = batching(4)
    desk.claim(*many(1, 2))
    desk.core.tick(desk.now_ms)
    desk.wait(-3_600_000)
    desk.wait(WAIT_MS)
    assert batches(desk) == [[1, 2]]


# Whatever waits


@given(
    size=st.integers(2, 8),
    waited=st.lists(st.integers(0, 2 * WAIT_MS), max_size=12),
    attempts=st.lists(st.integers(1, 5), min_size=12, max_size=12),
    bytes_each=st.sampled_from([10, MOST_BYTES // 3]),
)
def test_nothing_waits_longer_than_it_may(size: int, waited: list[int], attempts: list[int], bytes_each: int) -> None:
    """A batch gathers only while its first is younger than the wait, it is not full, and it is not too large."""
    desk = batching(size)
    lane = desk.claim()
    lane.ahead = 100
    text = "x" * bytes_each
    for at, ms in enumerate(waited):
        came = arrival(at + 1, attempt=attempts[at], text=text)
        assert came.reference is not None
        assert came.event is not None
        lane.push(Delivery(lane, came.stored, came.reference, came.event, since_ms=NOW - ms))
    batch = Batch(size=size, wait_s=WAIT_MS / 1000)
    until_ms = gathers_until_ms(batch, [lane], NOW)
    bytes_waiting = sum(len(each.event.body) for each in lane.queue.waiting())
    ripe = len(waited) >= size or bytes_waiting >= MOST_BYTES or max(waited, default=0) >= WAIT_MS
    if ripe or not waited:
        assert until_ms == 0
    else:
        assert until_ms == NOW - max(waited) + WAIT_MS
    desk.core._settle(desk.machine(), NOW)
    for delivery in desk.send():
        members = delivery.members
        assert len(members) <= min(room_with(batch, each) for each in members)
        assert len(members) == 1 or sum(len(each.event.body) for each in members) <= MOST_BYTES
        assert len(set(members)) == len(members)
    assert len(lane.flying) + len(lane.queue) == len(waited)


@pytest.mark.parametrize(("attempt", "room"), [(1, 100), (2, 50), (3, 25), (7, 1), (20, 1)])
def test_each_retry_halves_what_a_request_may_have(attempt: int, room: int) -> None:
    """So what fails its neighbours goes alone in the end, whatever the reason is."""
    desk = batching(100)
    lane = desk.claim(arrival(1, attempt=attempt))
    assert room_with(Batch(size=100, wait_s=1.0), lane.waiting()[0]) == room


@pytest.mark.parametrize("outcome", [REFUSED, DOWN, Outcome(status=500), Outcome(status=401)])
def test_failures_that_are_not_of_one_event_split_nothing(outcome: Outcome) -> None:
    """They are retried by the schedule."""
    desk = batching(4)
    desk.claim(*many(1, 4))
    land(desk, outcome, desk.send()[0])
    assert len(desk.collect()[A].due) == 4


def test_windows_are_of_requests() -> None:
    """An endpoint with a window and batches asks for as many rights as it has requests."""
    desk = batching(2, rates=(Rate(limit=9, seconds=1),))
    desk.configure(endpoint(request=RequestShape(batch=Batch(size=2, wait_s=1.0))), 100)
    desk.claim(*many(1, 6))
    assert desk.fetches() == [(A, 3)]
