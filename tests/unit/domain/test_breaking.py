"""The breaker: when it opens, how it probes, and how it closes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.domain.breaking import (
    AT_LEAST,
    CONSECUTIVE,
    FIRST_PAUSE_MS,
    GIVE_UP_MS,
    LONGEST_PAUSE_MS,
    SPAN_MS,
    Health,
    speaks_for_receiver,
)
from relay.domain.outcomes import Failure, Outcome

NOW_MS = 1_790_000_000_000


def opened() -> Health:
    health = Health()
    for _ in range(CONSECUTIVE):
        health.failed(NOW_MS)
    return health


def test_failures_in_a_row_open_it() -> None:
    """The fifth failure in a row opens the breaker, none before it does."""
    health = Health()
    assert [health.failed(NOW_MS) for _ in range(CONSECUTIVE)] == [False] * (CONSECUTIVE - 1) + [True]
    assert health.half_open


def test_a_success_between_starts_the_count_again() -> None:
    """Failures that are not in a row open nothing by themselves."""
    health = Health()
    for _ in range(CONSECUTIVE - 1):
        health.failed(NOW_MS)
    health.succeeded(NOW_MS)
    assert not any(health.failed(NOW_MS) for _ in range(CONSECUTIVE - 1))
    assert not health.half_open


def test_a_high_share_of_failures_opens_it() -> None:
    """Half of ten tries within half a minute is enough, even if they alternate."""
    health = Health()
    openings = []
    for at in range(AT_LEAST):
        if at % 2:
            openings.append(health.failed(NOW_MS))
        else:
            health.succeeded(NOW_MS)
    assert openings == [False] * (AT_LEAST // 2 - 1) + [True]


def test_old_failures_do_not_count() -> None:
    """Failures that lie further apart than the span never add up to a share."""
    health = Health()
    for at in range(10 * AT_LEAST):
        now_ms = NOW_MS + at * (SPAN_MS // AT_LEAST + 1_000)
        if at % 2:
            assert not health.failed(now_ms)
        else:
            health.succeeded(now_ms)


def test_a_failed_probe_opens_it_again_for_longer() -> None:
    """Each failed probe doubles the pause, up to its bound: a receiver that is well is found within 35 s (goal G22)."""
    health = opened()
    pauses = []
    for _ in range(6):
        pauses.append(health.pause_ms(0.0))
        health = Health(health.text())
        assert health.failed(NOW_MS)
    assert pauses == [5_000, 10_000, 20_000, 30_000, 30_000, 30_000]


def test_what_was_in_flight_when_it_opened_is_no_probe() -> None:
    """Sixty callbacks that fail together are one piece of news: the first pause stays the shortest."""
    health = opened()
    assert not any(health.failed(NOW_MS + 1) for _ in range(60))
    assert health.pause_ms(0.0) == FIRST_PAUSE_MS


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_a_pause_is_bounded(opens: int, jitter: float) -> None:
    """However often it opened, the next probe goes out within 30 s, and not sooner than 4.5 s."""
    pause = Health(f"{NOW_MS}:{opens}").pause_ms(jitter)
    assert 0.9 * FIRST_PAUSE_MS <= pause <= LONGEST_PAUSE_MS


def test_a_success_closes_it() -> None:
    """One good probe, and the lane is as well as if nothing had been."""
    health = opened()
    assert health.succeeded(NOW_MS + 5_000)
    assert not health.half_open
    assert health.text() == "-"
    assert not health.succeeded(NOW_MS + 5_001)
    assert not health.failed(NOW_MS + 5_002)


@given(st.lists(st.booleans(), max_size=60))
def test_what_is_remembered_is_enough(outcomes: list[bool]) -> None:
    """The next holder of a lane knows whether it is half open, since when it fails, and how long to pause."""
    health = Health()
    for at, success in enumerate(outcomes):
        (health.succeeded if success else health.failed)(NOW_MS + at)
    remembered = health.text()
    heir = Health("" if remembered == "-" else remembered)
    assert heir.half_open == health.half_open
    assert heir.failing_since_ms == health.failing_since_ms
    assert heir.text() == remembered
    if health.half_open:
        assert heir.pause_ms(0.5) == health.pause_ms(0.5)


@given(st.lists(st.booleans(), min_size=1, max_size=60))
def test_it_fails_since_its_first_failure_after_a_success(outcomes: list[bool]) -> None:
    """What is remembered starts with the first failure of the row of failures that goes on."""
    health = Health()
    for at, success in enumerate(outcomes):
        (health.succeeded if success else health.failed)(NOW_MS + at)
    tail = len(outcomes) - next((i for i, success in enumerate(reversed(outcomes)) if success), len(outcomes))
    assert health.failing_since_ms == (NOW_MS + tail if tail < len(outcomes) else 0)


def test_five_days_without_a_success_are_hopeless() -> None:
    """An endpoint is given up after five days of failures, and not a moment sooner."""
    health = Health()
    assert not health.is_hopeless(NOW_MS + 10 * GIVE_UP_MS)
    health.failed(NOW_MS)
    assert not health.is_hopeless(NOW_MS + GIVE_UP_MS - 1)
    assert health.is_hopeless(NOW_MS + GIVE_UP_MS)
    health.succeeded(NOW_MS + GIVE_UP_MS)
    assert not health.is_hopeless(NOW_MS + 2 * GIVE_UP_MS)


@pytest.mark.parametrize(
    ("outcome", "speaks"),
    [
        (Outcome(error=Failure.TIMEOUT), True),
        (Outcome(error=Failure.DNS), True),
        (Outcome(status=500), True),
        (Outcome(status=503), True),
        (Outcome(status=599), True),
        (Outcome(status=408), True),
        (Outcome(status=425), True),
        (Outcome(status=429), True),
        (Outcome(status=301), False),
        (Outcome(status=400), False),
        (Outcome(status=404), False),
        (Outcome(status=422), False),
    ],
)
def test_which_failures_speak_for_the_receiver(outcome: Outcome, speaks: bool) -> None:
    """An answer that refuses one event comes from a receiver that works: it must not stop the rest of the lane."""
    assert speaks_for_receiver(outcome) is speaks
