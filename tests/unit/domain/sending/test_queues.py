"""Queues: what waits in a held lane, in the order that its endpoint asked for."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.domain.model import StoredEvent
from relay.domain.sending.delivery import Delivery
from relay.domain.sending.effects import HandIn
from relay.domain.sending.lane import Lane
from relay.domain.sending.queues import ByKey, InOrder, Queue, Unordered, key_reader, queue_for
from tests.unit.domain.sending.desk import OK, A, Desk, arrival, endpoint, event

KEYED = endpoint(order="keyed", order_key="visitorId")
FIFO = endpoint(order="fifo")


def delivery(number: int, *, attempt: int = 1, key: str | None = None) -> Delivery:
    """One delivery that no lane has."""
    came = arrival(number, attempt=attempt, **({} if key is None else {"visitorId": key}))
    assert came.reference is not None
    assert came.event is not None
    return Delivery(None, came.stored, came.reference, came.event)  # type: ignore[arg-type]


def numbers(deliveries: Sequence[Delivery]) -> list[int]:
    """Their events' numbers."""
    return [each.reference.number for each in deliveries]


def drained(queue: Queue) -> list[int]:
    """Everything that can be popped."""
    popped = []
    while queue:
        popped.append(queue.pop())
    return numbers(popped)


def by_key(**blocked: int) -> ByKey:
    """A queue of events by their visitor."""
    return ByKey(key_reader("visitorId"), dict(blocked))


def test_an_endpoint_gets_the_queue_of_its_order() -> None:
    """One that is not known, or has no key to go by, gets the one that can do no harm."""
    assert queue_for(None, {}).order == queue_for(FIFO, {}).order == "fifo"
    assert queue_for(KEYED, {}).order == "keyed"
    assert queue_for(endpoint(order="keyed"), {}).order == queue_for(endpoint(), {}).order == "unordered"


def test_retries_go_first_but_are_rationed() -> None:
    """A receiver that is well again is not drowned by what it missed: five new ones go for each retry (goal G23)."""
    queue = Unordered()
    for number in range(1, 101):
        queue.push(delivery(number, attempt=2), HandIn(A))
        queue.push(delivery(100 + number), HandIn(A))
    popped = [queue.pop().reference.attempt for _ in range(108)]
    assert popped[:8] == [2] * 8
    assert sum(attempt == 2 for attempt in popped[8:]) == pytest.approx(17, abs=1)


def test_what_was_not_tried_is_first_again() -> None:
    """In every order."""
    for queue in (Unordered(), InOrder(), by_key()):
        for number in (1, 2, 3):
            queue.push(delivery(number), HandIn(A))
        first = queue.pop()
        queue.push_first(first)
        assert numbers(queue.waiting()) == [1, 2, 3]
        assert queue.pop() is first


def test_one_of_a_key_goes_after_the_other() -> None:
    """Of each key one is free; events without a key have no order."""
    queue, results = by_key(), HandIn(A)
    deliveries = [delivery(n, key=key) for n, key in enumerate(["x", "x", "y", None, "x", None, ""], start=1)]
    for each in deliveries:
        queue.push(each, results)
    assert len(queue) == 5
    assert numbers(queue.waiting()) == [1, 2, 3, 4, 5, 6, 7]
    assert drained(queue) == [1, 3, 4, 6, 7]
    queue.ended(deliveries[0], results)
    assert drained(queue) == [2]
    assert results == HandIn(A)


def test_a_key_whose_first_must_be_tried_again_is_blocked() -> None:
    """What is here of it, and what comes, waits in the store, until that first has ended and was handed in."""
    queue, results = by_key(), HandIn(A)
    for number in (1, 2, 3):
        queue.push(delivery(number, key="x"), results)
    queue.postponed(queue.pop(), results)
    queue.push(delivery(4, key="x"), results)
    key = results.behind[0][1]
    assert [name for _, name in results.behind] == [key] * 3
    assert not queue
    again = delivery(1, attempt=2, key="x")
    queue.push(again, results)
    assert queue.pop() is again
    queue.ended(again, results)
    assert results.freed == [key]
    queue.push(delivery(5, key="x"), results)
    assert len(results.behind) == 4
    queue.handed_in(results)
    queue.push(delivery(2, key="x"), HandIn(A))
    assert drained(queue) == [2]


def test_keys_of_another_order_are_none_of_its_keys() -> None:
    """What was blocked by the same text in an order that the endpoint had before blocks nothing."""
    before, after = (ByKey(key_reader("visitorId"), {}, order_version=version) for version in (1, 2))
    results = HandIn(A)
    for queue in (before, after):
        queue.push(delivery(1, key="x"), results)
        queue.postponed(queue.pop(), results)
        queue.push(delivery(2, key="x"), results)
    first, second = (key for _, key in results.behind)
    assert first.partition(".")[0] == "1"
    assert second.partition(".")[0] == "2"


def test_a_key_whose_blocker_never_comes_is_free() -> None:
    """Its event is not kept any more, or is not wanted: nothing waits for it."""
    queue, results = by_key(k=7, other=8), HandIn(A)
    queue.given_up(7, results)
    assert results.freed == ["k"]


@pytest.mark.parametrize(
    "body", [b"", b"nonsense", b'"data":3}', b'"data":{}}', b'"data":{"trigger":null}}', b"\xff\xff"]
)
def test_a_damaged_event_has_no_key(body: bytes) -> None:
    """It is sent as it is; it stops no lane."""
    damaged = event(1)
    damaged = StoredEvent(damaged.id, damaged.row_id, 0, 1, damaged.types, body)
    assert key_reader("visitorId")(damaged) is None
    assert key_reader("previous.visitorId")(damaged) is None


@given(st.lists(st.tuples(st.sampled_from("xyz"), st.sampled_from(["end", "fail", "back"])), max_size=40))
def test_no_key_overtakes_itself(steps: list[tuple[str, str]]) -> None:
    """Whatever comes of them, events of a key leave in their order, and all of them are somewhere."""
    queue, results, ended = by_key(), HandIn(A), dict.fromkeys("xyz", 0)
    keys = {}
    for number, (key, what) in enumerate(steps, start=1):
        keys[number] = key
        queue.push(delivery(number, key=key), results)
        if not queue:
            continue
        popped = queue.pop()
        if what == "back":
            queue.push_first(popped)
        elif what == "end":
            assert popped.reference.number > ended[keys[popped.reference.number]]
            ended[keys[popped.reference.number]] = popped.reference.number
            queue.ended(popped, results)
        else:
            queue.postponed(popped, results)
    waiting = numbers(queue.waiting())
    assert waiting == sorted(waiting)
    behind = {stored for stored, _ in results.behind}
    assert len(behind) == len(results.behind)


def suspects(desk: Desk, *crashed: int, **about: str) -> Lane:
    """A lane whose events 1 to 4 were claimed, of which some were on the wire when workers died."""
    return desk.claim(*(arrival(n, crashes=3 if n in crashed else 0, **about) for n in range(1, 5)))


@pytest.mark.parametrize("known", [FIFO, KEYED], ids=["fifo", "keyed"])
def test_a_suspect_that_is_put_back_keeps_its_place(known: object) -> None:
    """While another one is tried it waits, and nothing of its key, or of its lane, goes before it."""
    desk = Desk(known, endpoint("ep_b"))  # type: ignore[arg-type]
    desk.claim(arrival(9, crashes=3), name="ep_b")  # type: ignore[arg-type]
    assert desk.send() == []
    suspects(desk, 1, visitorId="x")
    assert desk.numbers() == []
    tried, *_ = desk.asked_trials()
    desk.core.announced(tried)
    (first,) = desk.send()
    assert first.reference.number == 9
    desk.land(OK, first)
    assert desk.send() == []
    (suspect,) = desk.asked_trials()
    assert suspect.reference.number == 1
    desk.core.announced(suspect)
    desk.land(OK, *desk.send())
    assert desk.numbers() == [2]


@pytest.mark.parametrize("known", [FIFO, KEYED], ids=["fifo", "keyed"])
def test_a_suspect_that_is_handed_back_blocks_nothing_for_good(known: object) -> None:
    """Its endpoint rests before it is tried: it goes back first, and the lane can go on with its key when it comes."""
    desk = Desk(known, endpoint("ep_b"))  # type: ignore[arg-type]
    desk.claim(arrival(9, crashes=3), name="ep_b")  # type: ignore[arg-type]
    desk.send()
    suspects(desk, 1, visitorId="x")
    desk.send()
    desk.learn(opens=1, until_ms=desk.now_ms + 5_000)
    handed = desk.collect()[A]
    assert [again.partition(":")[0] for _, again in handed.back] == ["a1", "a2", "a3", "a4"]
    assert handed.leaving == "park"
