"""Trials: what was on the wire when a worker died goes out again one by one, announced (goal G10)."""

from hypothesis import given
from hypothesis import strategies as st

from relay.domain.model import EndpointId
from relay.domain.sending.effects import Announce
from relay.domain.sending.rights import Granted
from tests.unit.domain.sending.desk import DOWN, FR, OK, UK, A, B, Desk, arrival, endpoint, many


def test_what_never_crashed_needs_no_announcement() -> None:
    """It goes out at once."""
    desk = Desk()
    desk.claim(*many(1, 3))
    assert desk.numbers() == [1, 2, 3]
    assert desk.asked_trials() == []


def test_what_crashed_once_goes_out_when_it_is_noted() -> None:
    """Several at a time, and not before the store knows: should this worker die, they are the ones."""
    desk = Desk()
    desk.claim(*many(1, 3, crashes=1))
    assert desk.numbers() == []
    trials = desk.asked_trials()
    assert [each.reference.number for each in trials] == [1, 2, 3]
    for each in trials:
        desk.core.announced(each)
    assert desk.numbers() == [1, 2, 3]


def test_one_suspect_is_tried_at_a_time() -> None:
    """Over all endpoints and sources: whichever takes this worker down is known."""
    desk = Desk(endpoint(A), endpoint(B), sources=(UK, FR))
    desk.claim(*many(1, 2, crashes=2))
    desk.claim(arrival(3, crashes=2), source=FR)
    desk.claim(arrival(4, crashes=4), name=B)
    tried = []
    for _ in range(4):
        assert desk.send() == []
        (suspect,) = desk.asked_trials()
        tried.append(suspect.reference.number)
        desk.core.announced(suspect)
        (sent,) = desk.send()
        assert desk.core.next(desk.now_ms) is None
        desk.land(DOWN if sent.reference.number == 3 else OK, sent)
    assert sorted(tried) == [1, 2, 3, 4]


def test_suspects_that_wait_take_no_slot() -> None:
    """While one hangs, everything else goes on."""
    desk = Desk(endpoint(A), endpoint(B), slots=4)
    desk.claim(*many(1, 5, crashes=2), *many(6, 7))
    desk.claim(*many(8, 9), name=B)
    sent: list[int] = []
    while begun := desk.send():
        sent += [each.reference.number for each in begun]
        desk.land(OK, *begun)
    assert sorted(sent) == [6, 7, 8, 9]


def test_an_announcement_that_fails_is_made_again() -> None:
    """The delivery waits, untried, and its slot is free."""
    desk = Desk(slots=1)
    desk.claim(arrival(1, crashes=1))
    desk.send()
    (trial,) = desk.asked_trials()
    desk.core.untried(trial, desk.now_ms)
    assert desk.send() == []
    (again,) = desk.asked_trials()
    assert again is trial
    desk.core.announced(again)
    assert desk.numbers() == [1]


def test_what_was_announced_too_late_does_not_go_out() -> None:
    """Its endpoint rests by then, or the worker drains: it goes back with the others."""
    desk = Desk()
    desk.claim(*many(1, 2, crashes=1))
    desk.send()
    first, second = desk.asked_trials()
    desk.core.announced(first)
    desk.learn(opens=1, until_ms=desk.now_ms + 5_000)
    assert desk.send() == []
    desk.core.drain(desk.now_ms)
    desk.core.announced(second)
    desk.core.untried(second, desk.now_ms)
    assert desk.send() == []
    handed = desk.collect()[A]
    assert sorted(again for _, again in handed.back) == ["a1:2:00001:0:1", "a2:2:00002:0:1"]
    assert handed.leaving == "park"


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 5)), min_size=1, max_size=20), st.integers(1, 4))
def test_every_suspect_gets_its_trial(deliveries: list[tuple[int, int]], slots: int) -> None:
    """However many there are, of whatever endpoints: none waits for ever, and never are two on the wire."""
    names = [EndpointId(f"ep_{n}") for n in range(3)]
    desk = Desk(*(endpoint(name, order="fifo" if name == names[0] else "unordered") for name in names), slots=slots)
    for index, name in enumerate(names):
        wanted = [arrival(n, crashes=c) for n, (which, c) in enumerate(deliveries) if which == index]
        if wanted:
            desk.claim(*wanted, name=name)
    sent = []
    for _ in range(4 * len(deliveries)):
        begun = desk.send()
        assert sum(each.reference.crashes >= 2 for each in begun) <= 1
        sent += [each.reference.number for each in begun]
        desk.land(OK, *begun)
        for trial in desk.of(Announce):
            desk.core.announced(trial.delivery)
    assert sorted(sent) == list(range(len(deliveries)))


def test_rights_are_fetched_while_one_is_announced() -> None:
    """Whoever used up the last one need not land before the next may go."""
    desk = Desk()
    desk.configure(endpoint(), 20)
    desk.claim(*many(1, 3, crashes=1))
    desk.send()
    assert desk.fetches() == [(A, 2)]
    desk.core.may_send(A, Granted(1, 1), desk.now_ms)
    desk.send()
    desk.wait(1)
    assert desk.fetches() == [(A, 2)]
