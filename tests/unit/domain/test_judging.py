"""What is done about an outcome."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.domain.judging import LANE_PAUSE_MS, SLOWING, Verdict, judge
from relay.domain.outcomes import Failure, Outcome

NOW_MS = 1_790_000_000_000
SCHEDULE = (5.0, 300.0)


def verdict(outcome: Outcome, *, attempt: int = 1) -> Verdict:
    return judge(outcome, attempt=attempt, schedule=SCHEDULE, jitter=0.5, now_ms=NOW_MS)


@given(st.integers(200, 299), st.integers(1, 100), st.sampled_from([None, "60", "never"]))
def test_2xx_is_delivered(status: int, attempt: int, retry_after: str | None) -> None:
    """Every 2xx is a success at any try, whatever else its headers say."""
    outcome = Outcome(status=status, retry_after=retry_after)
    assert verdict(outcome, attempt=attempt) == Verdict("delivered")


@given(st.integers(100, 599).filter(lambda status: not 200 <= status < 300 and status != 410))
def test_nothing_else_is(status: int) -> None:
    """Whatever is no 2xx is tried again, redirects too, until the schedule is used up (goal G26)."""
    assert verdict(Outcome(status=status)).kind == "retry"
    assert verdict(Outcome(status=status), attempt=2).due_ms == NOW_MS + 300_000
    last = verdict(Outcome(status=status), attempt=3)
    assert (last.kind, last.reason) == ("dead", "schedule_used_up")


@pytest.mark.parametrize("failure", [failure for failure in Failure if failure])
def test_no_answer_is_tried_again(failure: Failure) -> None:
    """Whatever kept the answer away, the next try comes by the schedule."""
    assert verdict(Outcome(error=failure)) == Verdict("retry", due_ms=NOW_MS + 5_000)


@pytest.mark.parametrize("attempt", [1, 2, 3, 100])
def test_410_disables(attempt: int) -> None:
    """Gone disables the endpoint at any try, and the event is not given up (goal G26)."""
    gone = verdict(Outcome(status=410, retry_after="60"), attempt=attempt)
    assert gone.kind == "disabled"
    assert "410" in gone.reason


@pytest.mark.parametrize("status", sorted(SLOWING))
def test_a_busy_receiver_pauses_its_lane(status: int) -> None:
    """429, 502, 503 and 504 speak for the receiver: nothing is sent to it for a while."""
    assert verdict(Outcome(status=status)).pause_until_ms == NOW_MS + LANE_PAUSE_MS
    assert verdict(Outcome(status=status, retry_after="90")).pause_until_ms == NOW_MS + 90_000


@pytest.mark.parametrize("status", [301, 400, 404, 500])
def test_other_statuses_pause_only_when_they_ask(status: int) -> None:
    """A failure of one event leaves the lane alone, unless a Retry-After asks for a pause."""
    assert verdict(Outcome(status=status)).pause_until_ms == 0
    assert verdict(Outcome(status=status, retry_after="0")).pause_until_ms == 0
    assert verdict(Outcome(status=status, retry_after="90")).pause_until_ms == NOW_MS + 90_000


def test_a_retry_after_counts_when_it_asks_for_more() -> None:
    """The later of the schedule's time and the asked one is taken."""
    assert verdict(Outcome(status=503, retry_after="2")).due_ms == NOW_MS + 5_000
    assert verdict(Outcome(status=503, retry_after="60")).due_ms == NOW_MS + 60_000


def test_the_last_failure_still_pauses() -> None:
    """An event that is given up does not unsay that its receiver is busy."""
    assert verdict(Outcome(status=503, retry_after="60"), attempt=3) == Verdict(
        "dead", pause_until_ms=NOW_MS + 60_000, reason="schedule_used_up"
    )
