"""A busy worker leaves work to one that has room: which lanes it gives away, and which it does not claim."""

import pytest

from relay.domain.sending.effects import Exchange
from relay.domain.sending.sharing import COUNTS_FOR_MS, Sharing
from tests.unit.domain.sending.desk import NOW, OK, UK, A, B, Desk, arrival, endpoint, many

HOUR_MS = 3_600_000


def busy(*, takes_rows_in: bool = False) -> Sharing:
    """Of a worker whose thread has no time left, while another worker has room."""
    sharing = Sharing()
    sharing.measured(1.0, takes_rows_in=takes_rows_in)
    sharing.heard(NOW)
    return sharing


@pytest.mark.parametrize(("load", "has_room", "claims"), [(0.0, True, True), (0.6, False, True), (0.9, False, False)])
def test_load(load: float, has_room: bool, claims: bool) -> None:
    """Only a worker that is less than half busy offers help, and only one that is very busy accepts it."""
    sharing = busy()
    sharing.measured(load, takes_rows_in=False)
    assert (sharing.has_room(), sharing.claims(NOW)) == (has_room, claims)


def test_a_busy_worker_claims_when_nobody_has_room() -> None:
    """What it heard counts for a few seconds. It is forgotten when the clock was set back."""
    assert not busy().claims(NOW + COUNTS_FOR_MS - 1)
    assert busy().claims(NOW + COUNTS_FOR_MS)
    sharing = busy()
    sharing.forget()
    assert sharing.claims(NOW - HOUR_MS)


def test_a_worker_keeps_the_last_of_its_tasks() -> None:
    """Taking rows in is one of them: then it gives its only lane away."""
    assert not busy().gives(1, NOW)
    assert busy().gives(2, NOW)
    assert busy(takes_rows_in=True).gives(1, NOW)
    assert not busy(takes_rows_in=True).gives(0, NOW)


def test_one_lane_for_each_time() -> None:
    """It is measured again before the next one."""
    sharing = busy()
    sharing.gave()
    assert not sharing.gives(9, NOW)
    sharing.heard(NOW)
    assert sharing.gives(9, NOW)


def test_a_worker_that_drains_shares_nothing() -> None:
    """It hands everything back anyway."""
    sharing = busy()
    sharing.drain()
    assert not sharing.gives(9, NOW)
    sharing.measured(0.0, takes_rows_in=False)
    assert (sharing.has_room(), sharing.claims(NOW)) == (False, False)


def busy_desk(*, sends: int) -> Desk:
    """A busy worker with two lanes; of B's deliveries it has sent so many, and one of A's."""
    desk = Desk(endpoint(A), endpoint(B, max_in_flight=sends))
    desk.claim(arrival(1), name=A)
    desk.claim(*many(11, 18), name=B)
    desk.core.sharing.measured(1.0, takes_rows_in=False)
    desk.core.sharing.heard(NOW)
    return desk


def test_the_busiest_lane_goes() -> None:
    """Its waiting deliveries go back to the store, in their order."""
    desk = busy_desk(sends=3)
    desk.land(OK, *desk.send())
    handed = desk.collect()
    assert (handed[A].leaving, handed[B].leaving) == ("stay", "go")
    assert [stored for stored, _ in handed[B].back] == [each.stored for each in many(14, 18)]
    desk.answer(handed[B], state="ready")
    assert desk.numbers() == []


def test_it_goes_once_nothing_of_it_is_in_flight() -> None:
    """Until then nothing more of it is begun."""
    desk = busy_desk(sends=3)
    first, *others = desk.send()
    late = others.pop()
    desk.land(OK, first, *others)
    assert desk.collect()[B].leaving == "stay"
    assert desk.numbers() == []
    desk.land(OK, late)
    assert desk.of(Exchange)[-1] == Exchange(UK, urgent=True)
    assert desk.collect()[B].leaving == "go"


def test_nothing_is_claimed_meanwhile() -> None:
    """Lanes that are ready are left to the other worker, and not asked for again and again."""
    desk = busy_desk(sends=3)
    assert desk.core.collect(UK, NOW)[1] == 0
    desk.effects()
    desk.core.claims_answered(UK, 5, NOW)
    assert desk.of(Exchange) == []
    assert desk.core.collect(UK, NOW + COUNTS_FOR_MS)[1] > 0
