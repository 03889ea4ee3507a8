"""The core: what it asks of a driver, and that no driver has to remember anything."""

import pytest

from relay.domain.model import EndpointId, SourceUid
from relay.domain.outcomes import Outcome
from relay.domain.sending import machines
from relay.domain.sending.arrivals import Arrival, Claim
from relay.domain.sending.effects import Exchange
from tests.unit.domain.sending.desk import FR, NOW, OK, REFUSED, UK, A, B, Desk, arrival, endpoint, many

FIFTY = [SourceUid(f"s{number}") for number in range(50)]


@pytest.mark.parametrize("sources", [FIFTY[:2], FIFTY], ids=["two", "fifty"])
@pytest.mark.parametrize("order", ["unordered", "fifo"])
def test_an_endpoint_of_many_sources_stands_still_for_none(sources: list[SourceUid], order: str) -> None:
    """With a full window and no other news each landing starts the next, until all is sent."""
    desk = Desk(endpoint(order=order, max_in_flight=1), sources=sources)
    for place, source in enumerate(sources):
        desk.claim(*many(10 * place + 1, 10 * place + 3), source=source)
    flying, sent = desk.send(), 0
    while flying:
        assert len(flying) == 1
        desk.land(OK, flying.pop())
        sent += 1
        flying = desk.send()
    assert sent == 3 * len(sources)


def test_after_drain_everything_is_handed_back() -> None:
    """What waits, what was to be announced, and what lands later; nothing new is begun or claimed."""
    desk = Desk(endpoint(A), endpoint(B), sources=(UK, FR))
    desk.claim(*many(1, 20))
    desk.claim(*many(21, 22, crashes=1), source=FR)
    desk.claim(*many(31, 32, crashes=2), name=B)
    flying = desk.send()
    desk.core.drain(desk.now_ms)
    assert desk.core.turns() == 0
    assert desk.core.next(desk.now_ms) is None
    assert desk.core.collect(FR, desk.now_ms)[1] == 0
    assert desk.collect()[B].leaving == "go"
    desk.land(OK, *flying[1:])
    desk.core.untried(flying[0], desk.now_ms)
    assert {each.source for each in desk.of(Exchange)} >= {UK}
    handed = desk.collect()[A]
    assert handed.leaving == "go"
    assert len(handed.ended) + len(handed.back) == 20
    desk.answer(handed, state="ready")
    assert desk.core.held(UK) == 1


def test_what_is_claimed_while_it_drains_goes_back() -> None:
    """A call whose answer was lost brings lanes when it is made again."""
    desk = Desk()
    desk.core.drain(desk.now_ms)
    desk.claim(*many(1, 3))
    assert desk.send() == []
    assert desk.collect()[A].leaving == "go"


def test_a_wish_is_kept_until_something_is_collected() -> None:
    """A call that is made again takes nothing along of what was asked for meanwhile: it is asked for anew."""
    desk = Desk()
    desk.core.collect(UK, desk.now_ms)
    desk.effects()
    # The answer is lost; a notice comes meanwhile, and then the answer of the same call.
    desk.core.noticed(UK)
    assert desk.of(Exchange) == [Exchange(UK, urgent=True)]
    desk.core.claims_answered(UK, 0, NOW)
    assert desk.of(Exchange) == [Exchange(UK, urgent=True)]
    desk.core.collect(UK, desk.now_ms)
    desk.core.claims_answered(UK, 0, NOW)
    assert desk.of(Exchange) == []


def test_lanes_that_are_ready_are_asked_for() -> None:
    """As long as there are some, and this worker may hold more."""
    desk = Desk()
    desk.core.collect(UK, desk.now_ms)
    desk.effects()
    desk.core.claims_answered(UK, 3, NOW)
    assert desk.of(Exchange) == [Exchange(UK, urgent=True)]


def test_a_lane_that_runs_dry_takes_more_at_once() -> None:
    """And reads further ahead; one of which the store has no more waits for a notice."""
    desk = Desk()
    desk.claim(*many(1, 2))
    desk.land(OK, *desk.send())
    assert Exchange(UK, urgent=True) in desk.of(Exchange)
    handed = desk.collect()[A]
    assert handed.take == 32
    desk.answer(handed, arrival(3))
    desk.land(OK, *desk.send())
    assert desk.of(Exchange) == [Exchange(UK, urgent=False)]


def test_what_cannot_be_sent_is_given_up() -> None:
    """Unreadable references and missing events are given up with their reason, and stop nothing."""
    desk = Desk()
    unreadable = Arrival(b"nonsense", None, None)
    missing = arrival(1)._replace(event=None)
    desk.claim(unreadable, missing, arrival(2), arrival(3)._replace(is_wanted=False))
    assert desk.numbers() == [2]
    handed = desk.collect()[A]
    assert handed.dead == [(b"nonsense", "unreadable"), (missing.stored, "event_not_kept")]
    assert handed.unwanted == [arrival(3).stored]


@pytest.mark.parametrize("what", ["unreadable", "missing", "not wanted"])
def test_a_key_is_free_when_its_blocker_never_comes(what: str) -> None:
    """Whatever became of it: what waits behind it goes on."""
    desk = Desk(endpoint(order="keyed", order_key="visitorId"))
    blocker = {
        "unreadable": Arrival(b"a7:damaged", None, None),
        "missing": arrival(7)._replace(event=None),
        "not wanted": arrival(7)._replace(is_wanted=False),
    }[what]
    desk.claim(blocker, blocked={"0.k": 7, "0.l": 8})
    assert desk.collect()[A].freed == ["0.k"]


def test_a_lost_answer_is_made_up_for_in_order() -> None:
    """What the store has in flight and this worker does not know of comes behind what it has, by its numbers."""
    desk = Desk(endpoint(order="fifo"))
    desk.claim(*many(1, 2))
    handed = desk.collect()[A]
    held = {A: [each.stored for each in (arrival(10), arrival(2), arrival(4), arrival(1), arrival(3))]}
    missing = desk.core.missing(UK, held, ())
    assert missing == {A: [arrival(n).stored for n in (3, 4, 10)]}
    assert desk.core.missing(UK, held, [handed])[A] == missing[A]
    claim = Claim(A, [arrival(3), arrival(4), arrival(10)], {})
    desk.core.recovered(UK, [claim], is_astray=False, now_ms=desk.now_ms)
    sent = []
    while begun := desk.send():
        sent += [each.reference.number for each in begun]
        desk.land(OK, *begun)
    assert sent == [1, 2, 3, 4, 10]


def test_after_the_store_went_back_nothing_is_believed() -> None:
    """Lanes that it still knows are let go when nothing of them is in flight, the others are forgotten."""
    desk = Desk(endpoint(A, max_in_flight=1), endpoint(B))
    desk.claim(*many(1, 3))
    desk.claim(*many(4, 5), name=B)
    first = desk.core.next(desk.now_ms)
    assert first is not None
    desk.core.recovered(UK, [Claim(A, [], {})], is_astray=True, now_ms=desk.now_ms)
    assert desk.core.held(UK) == 1
    assert desk.send() == []
    assert [(each.leaving, each.take) for each in desk.collect().values()] == [("stay", 0)]
    desk.land(OK, first)
    handed = desk.collect()[A]
    assert (handed.leaving, handed.back, handed.ended) == ("go", [], [first.stored])


def test_ten_thousand_endpoints_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """And then the one that was used longest ago is forgotten; one of which a lane is claimed all the same is off."""
    monkeypatch.setattr(machines, "REMEMBERED", 3)
    names = [EndpointId(f"ep_{n}") for n in range(6)]
    desk = Desk(*(endpoint(name) for name in names))
    assert [desk.core.is_known(name) for name in names] == [False, False, False, True, True, True]
    desk.learn(names[3])
    desk.configure(endpoint(B))
    assert [desk.core.is_known(name) for name in names] == [False, False, False, True, False, True]
    desk.claim(arrival(9), name=names[4])
    assert desk.send() == []
    assert desk.collect()[names[4]].leaving == "park"
    assert not desk.core.is_known(names[4])


def test_a_source_that_is_gone_sends_nothing_more() -> None:
    """What is in flight lands, and counts for nothing."""
    desk = Desk(sources=(UK, FR))
    desk.claim(*many(1, 20))
    desk.claim(*many(21, 22), source=FR)
    flying = desk.send()
    desk.core.forget(UK)
    desk.land(Outcome(status=500), *(each for each in flying if each.lane.source == UK))
    assert {each.lane.source for each in desk.send()} <= {FR}
    assert desk.core.held() == 1


def test_alarms_do_not_pile_up() -> None:
    """However often a rest is prolonged or cut short, each endpoint has few alarms, and none is missed."""
    desk = Desk()
    desk.claim(*many(1, 2))
    for n in range(200):
        desk.learn(opens=1, until_ms=NOW + 100_000 - 100 * n)
        desk.learn(opens=1, until_ms=NOW + 200_000 + n)
    desk.wait(100_000)
    assert desk.machine().alarm_ms == desk.core.wake_ms() == NOW + 200_199


def test_what_is_ordered_stands_still_without_a_lease() -> None:
    """Somebody else may have the lane by then; as soon as the store renews it, it goes on by itself."""
    desk = Desk(endpoint(A, order="fifo"), endpoint(B))
    desk.claim(*many(1, 2))
    desk.claim(*many(3, 4), name=B)
    desk.core.renewed(UK, NOW + 9_000, NOW)
    desk.now_ms += 9_000
    assert desk.numbers() == [3, 4]
    desk.core.renewed(UK, desk.now_ms + 9_000, desk.now_ms)
    assert desk.numbers() == [1]


def test_a_retry_of_what_is_ordered_waits_in_the_store() -> None:
    """No worker has to stay awake for it."""
    desk = Desk(endpoint(order="fifo"))
    desk.claim(*many(1, 2))
    desk.land(REFUSED, *desk.send())
    handed = desk.collect()[A]
    assert (handed.leaving, handed.until_ms, len(handed.back)) == ("park", NOW + 5_000, 2)


def test_a_notice_reaches_a_lane_that_had_everything() -> None:
    """It asks for nothing more by itself, until somebody says that there may be something."""
    desk = Desk()
    desk.claim(arrival(1))
    desk.send()
    handed = desk.collect()[A]
    desk.effects()
    desk.answer(handed)
    assert desk.of(Exchange) == []
    desk.core.noticed(UK)
    assert desk.of(Exchange) == [Exchange(UK, urgent=True)]
    assert desk.collect()[A].take > 0
