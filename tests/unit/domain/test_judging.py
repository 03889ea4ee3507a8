"""What is done about an outcome."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.domain.breaking import CONSECUTIVE, GIVE_UP_MS, Health, speaks_for_receiver
from relay.domain.judging import AFTER_THE_REST_MS, BLAMELESS_REST_MS, LEAST_REST_MS, SLOWING, Verdict, judge
from relay.domain.outcomes import BLAMELESS, FINAL, Failure, Outcome
from relay.domain.retrying import RETRY_AFTER_CAP_MS

NOW_MS = 1_790_000_000_000
SCHEDULE = (5.0, 300.0)
DOWN = Health(NOW_MS - 60_000, 1)


def verdict(outcome: Outcome, *, attempt: int = 1, **about: Any) -> Verdict:
    given = {"health": Health(), "probing": False, "order": "unordered"} | about
    return judge(outcome, attempt=attempt, schedule=SCHEDULE, jitter=0.5, now_ms=NOW_MS, **given)


@given(st.integers(200, 299), st.integers(1, 100), st.sampled_from([None, "60", "never"]), st.booleans())
def test_2xx_is_delivered(status: int, attempt: int, retry_after: str | None, probing: bool) -> None:
    """Every 2xx is a success at any try, whatever else its headers say, and closes the breaker."""
    outcome = Outcome(status=status, retry_after=retry_after)
    found = verdict(outcome, attempt=attempt, health=DOWN, probing=probing)
    assert found == Verdict("delivered", "ended", DOWN.succeeded(NOW_MS))


@given(st.integers(100, 599).filter(lambda status: not 200 <= status < 300 and status != 410))
def test_nothing_else_is(status: int) -> None:
    """Whatever is no 2xx is tried again, redirects too, until the schedule is used up (goal G26)."""
    assert verdict(Outcome(status=status)).kind == "retry"
    assert verdict(Outcome(status=status), attempt=2).due_ms == NOW_MS + 300_000
    last = verdict(Outcome(status=status), attempt=3)
    assert (last.kind, last.place, last.reason) == ("dead", "dead", "schedule_used_up")


OTHERS = set(Failure) - BLAMELESS - FINAL - {Failure.NONE, Failure.CREDENTIALS}


@pytest.mark.parametrize("failure", sorted(OTHERS))
def test_no_answer_is_tried_again(failure: Failure) -> None:
    """Whatever kept the answer away, the next try comes by the schedule, and fewer go out at once."""
    found = verdict(Outcome(error=failure))
    assert (found.kind, found.place, found.due_ms, found.uses_try) == ("retry", "due", NOW_MS + 5_000, True)
    assert found.slows


def test_refused_credentials_disable() -> None:
    """The endpoint is disabled with the reason, and the event is not given up."""
    refused = verdict(Outcome(error=Failure.CREDENTIALS, detail="invalid_grant"), attempt=3)
    assert (refused.kind, refused.place, refused.reason, refused.uses_try) == (
        "disabled",
        "head",
        "invalid_grant",
        False,
    )


@pytest.mark.parametrize("failure", sorted(FINAL))
def test_what_would_fail_again_is_given_up(failure: Failure) -> None:
    """It is listed with the reason at once, and says nothing about the receiver."""
    found = verdict(Outcome(error=failure), health=DOWN)
    assert (found.kind, found.place, found.reason, found.health) == ("dead", "dead", failure, DOWN)


@pytest.mark.parametrize("failure", sorted(BLAMELESS))
@pytest.mark.parametrize("order", ["unordered", "fifo", "keyed"])
def test_a_fault_of_ours_is_nobodys(failure: Failure, order: str) -> None:
    """It uses up no try, teaches the breaker nothing, and gives this worker alone a rest."""
    found = verdict(Outcome(error=failure), order=order, health=DOWN)
    assert (found.kind, found.place, found.uses_try, found.health) == ("retry", "head", False, DOWN)
    assert (found.rest_until_ms, found.breaker_until_ms, found.slows) == (NOW_MS + BLAMELESS_REST_MS, 0, False)
    longer = verdict(Outcome(error=failure, rest_ms=BLAMELESS_REST_MS + 1), order=order, health=DOWN)
    assert (longer.due_ms, longer.rest_until_ms) == (NOW_MS + BLAMELESS_REST_MS + 1,) * 2


@pytest.mark.parametrize("attempt", [1, 2, 3, 100])
def test_410_disables(attempt: int) -> None:
    """Gone disables the endpoint at any try, and the event is not given up (goal G26)."""
    gone = verdict(Outcome(status=410, retry_after="60"), attempt=attempt)
    assert (gone.kind, gone.place, gone.uses_try) == ("disabled", "head", False)
    assert "410" in gone.reason


@pytest.mark.parametrize("status", [404, 500])
def test_five_days_without_a_success_disable(status: int) -> None:
    """Also an endpoint that answers 404 to everything, whose receiver works."""
    before = Health(NOW_MS - GIVE_UP_MS)
    hopeless = verdict(Outcome(status=status), health=before)
    assert (hopeless.kind, hopeless.place) == ("disabled", "head")
    assert verdict(Outcome(status=status), health=Health(NOW_MS - GIVE_UP_MS + 1)).kind == "retry"


@pytest.mark.parametrize("status", sorted(SLOWING))
def test_a_busy_receiver_gets_a_rest(status: int) -> None:
    """429, 502, 503 and 504 speak for the receiver: nothing is sent to it for a while."""
    assert verdict(Outcome(status=status)).asked_until_ms == NOW_MS + LEAST_REST_MS
    assert verdict(Outcome(status=status, retry_after="90")).asked_until_ms == NOW_MS + 90_000


@pytest.mark.parametrize("status", [301, 400, 404, 500])
def test_other_statuses_ask_for_a_rest_in_words_only(status: int) -> None:
    """A failure of one event leaves the endpoint alone, unless a Retry-After asks for a rest."""
    assert verdict(Outcome(status=status)).asked_until_ms == 0
    assert verdict(Outcome(status=status, retry_after="0")).asked_until_ms == 0
    assert verdict(Outcome(status=status, retry_after="90")).asked_until_ms == NOW_MS + 90_000


def test_a_retry_after_counts_when_it_asks_for_more() -> None:
    """The later of the schedule's time and the asked one is taken."""
    assert verdict(Outcome(status=503, retry_after="2")).due_ms == NOW_MS + 5_000
    assert verdict(Outcome(status=503, retry_after="60")).due_ms == NOW_MS + 60_000


def test_the_last_failure_still_asks_for_a_rest() -> None:
    """An event that is given up does not unsay that its receiver is busy."""
    last = verdict(Outcome(status=503, retry_after="60"), attempt=3)
    assert (last.kind, last.asked_until_ms, last.reason) == ("dead", NOW_MS + 60_000, "schedule_used_up")


def test_the_breaker_opens_with_the_failure_that_opens_it() -> None:
    """The verdict says until when, and no failure before it does."""
    health = Health()
    for _ in range(CONSECUTIVE - 1):
        found = verdict(Outcome(status=500), health=health)
        assert found.breaker_until_ms == 0
        health = found.health
    assert verdict(Outcome(status=500), health=health).breaker_until_ms > NOW_MS


@pytest.mark.parametrize("order", ["unordered", "fifo", "keyed"])
def test_a_failed_probe_uses_up_no_try(order: str) -> None:
    """It comes back after the endpoint's next probe, so that an event which its receiver cannot bear blocks nothing."""
    found = verdict(Outcome(status=500), attempt=3, health=DOWN, probing=True, order=order)
    assert (found.kind, found.uses_try) == ("retry", False)
    assert found.due_ms == found.breaker_until_ms + AFTER_THE_REST_MS
    assert found.place == ("head" if order == "fifo" else "due")


@given(
    st.builds(
        Outcome,
        status=st.integers(0, 599),
        error=st.sampled_from(list(Failure)),
        retry_after=st.none() | st.sampled_from(["", "0", "7", "-1", "9" * 40, "Wed, 21 Oct 2099 07:28:00 GMT", "x"]),
    ),
    st.integers(1, 4),
    st.booleans(),
    st.sampled_from(["unordered", "fifo", "keyed"]),
    st.integers(0, 9),
)
def test_every_verdict_is_complete(outcome: Outcome, attempt: int, probing: bool, order: str, opens: int) -> None:
    """A delivery has one place; what waits has a time that is to come and bounded; nothing that ended rests anybody."""
    health = Health(NOW_MS - 1000 if opens else 0, opens)
    found = verdict(outcome, attempt=attempt, probing=probing and opens > 0, order=order, health=health)
    if found.place == "due":
        assert order != "fifo"
        assert NOW_MS < found.due_ms <= NOW_MS + RETRY_AFTER_CAP_MS + 300_000
    if found.kind == "dead":
        assert found.reason
    if found.place == "ended":
        assert found.breaker_until_ms == found.asked_until_ms == found.rest_until_ms == 0
    if found.breaker_until_ms:
        assert speaks_for_receiver(outcome)
