"""The breaker: when it opens, how it probes, and how it closes; and what the store remembers of it."""

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
    WELL,
    Condition,
    Health,
    parse_condition,
    speaks_for_receiver,
)
from relay.domain.outcomes import Failure, Outcome

NOW_MS = 1_790_000_000_000


def after(*news: bool, health: Health | None = None, from_ms: int = NOW_MS, step_ms: int = 0) -> Health:
    """What is known after successes and failures, one each `step_ms`."""
    known = health or Health()
    for at, success in enumerate(news):
        now_ms = from_ms + at * step_ms
        known = known.succeeded(now_ms) if success else known.failed(now_ms, probing=bool(known.opens))
    return known


OPENED = after(*[False] * CONSECUTIVE)


def test_failures_in_a_row_open_it() -> None:
    """The fifth failure in a row opens the breaker, none before it does."""
    assert [after(*[False] * n).opens for n in range(1, CONSECUTIVE + 1)] == [0] * (CONSECUTIVE - 1) + [1]


def test_a_success_between_starts_the_count_again() -> None:
    """Failures that are not in a row open nothing by themselves."""
    assert after(*[False] * (CONSECUTIVE - 1), True, *[False] * (CONSECUTIVE - 1)).opens == 0


def test_a_refusal_of_one_event_starts_the_count_again() -> None:
    """A receiver that answers 404 works: that is no failure of its own, though it is no success either."""
    refused = after(*[False] * (CONSECUTIVE - 1)).refused(NOW_MS)
    assert after(*[False] * (CONSECUTIVE - 1), health=refused).opens == 0
    assert refused.failing_since_ms == NOW_MS
    assert OPENED.refused(NOW_MS).opens == 0


def test_a_high_share_of_failures_opens_it() -> None:
    """Half of ten tries within half a minute is enough, even if they alternate."""
    news = [bool(at % 2 == 0) for at in range(AT_LEAST)]
    assert after(*news[:-1]).opens == 0
    assert after(*news).opens == 1


def test_old_failures_do_not_count() -> None:
    """Failures that lie further apart than the span never add up to a share."""
    news = [bool(at % 2 == 0) for at in range(10 * AT_LEAST)]
    assert after(*news, step_ms=SPAN_MS // AT_LEAST + 1_000).opens == 0


def test_a_failed_probe_opens_it_again_for_longer() -> None:
    """Each failed probe doubles the pause, up to its bound: a receiver that is well is found within 35 s (goal G22)."""
    health, pauses = OPENED, []
    for _ in range(6):
        pauses.append(health.pause_ms(0.0))
        health = health.failed(NOW_MS, probing=True)
    assert pauses == [5_000, 10_000, 20_000, 30_000, 30_000, 30_000]


def test_what_was_in_flight_when_it_opened_is_no_probe() -> None:
    """Sixty callbacks that fail together are one piece of news: the first pause stays the shortest."""
    health = OPENED
    for _ in range(60):
        health = health.failed(NOW_MS + 1, probing=False)
    assert (health.opens, health.pause_ms(0.0)) == (1, FIRST_PAUSE_MS)


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_a_pause_is_bounded(opens: int, jitter: float) -> None:
    """However often it opened, the next probe goes out within 30 s, and not sooner than 4.5 s."""
    assert 0.9 * FIRST_PAUSE_MS <= Health(NOW_MS, opens).pause_ms(jitter) <= LONGEST_PAUSE_MS


def test_a_success_closes_it() -> None:
    """One good probe, and the endpoint is as well as if nothing had been."""
    health = OPENED.succeeded(NOW_MS + 5_000)
    assert (health.opens, health.failing_since_ms) == (0, 0)
    assert after(*[False] * (CONSECUTIVE - 1), health=health, from_ms=NOW_MS + 5_001).opens == 0


@given(st.lists(st.booleans(), min_size=1, max_size=60))
def test_it_fails_since_its_first_failure_after_a_success(outcomes: list[bool]) -> None:
    """What is known starts with the first failure of the row of failures that goes on."""
    health = after(*outcomes, step_ms=1)
    tail = len(outcomes) - next((i for i, success in enumerate(reversed(outcomes)) if success), len(outcomes))
    assert health.failing_since_ms == (NOW_MS + tail if tail < len(outcomes) else 0)


@pytest.mark.parametrize("status", ["down", "refused"])
def test_five_days_without_a_success_are_hopeless(status: str) -> None:
    """An endpoint is given up after five days without a 2xx, whatever else it answered, and not a moment sooner."""
    assert not Health().is_hopeless(NOW_MS + 10 * GIVE_UP_MS)
    health = Health().refused(NOW_MS) if status == "refused" else Health().failed(NOW_MS, probing=False)
    assert not health.is_hopeless(NOW_MS + GIVE_UP_MS - 1)
    assert health.is_hopeless(NOW_MS + GIVE_UP_MS)
    assert not health.succeeded(NOW_MS + GIVE_UP_MS).is_hopeless(NOW_MS + 2 * GIVE_UP_MS)


NUMBERS = st.integers(0, 2**45)
PROBERS = st.text("abc-:0189", max_size=20)
CONDITIONS = st.builds(Condition, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS, PROBERS, NUMBERS)


@given(CONDITIONS)
def test_what_is_remembered_is_read_as_it_was(condition: Condition) -> None:
    """Every worker knows of an endpoint what another one has learnt."""
    assert parse_condition(condition.text().encode()) == condition


def test_the_release_before_is_read() -> None:
    """It does not say when the breaker opened."""
    assert parse_condition(b"1:5:2:7:8:9:s:1") == Condition(5, 2, 7, 8, 9, "s:1")


@given(
    st.binary(max_size=60) | st.sampled_from([b"2:0:0:0:0:0:s", b"1:0:0:0:0:s", b"1:-1:0:0:0:0:s", b"1:a:0:0:0:0:s"])
)
def test_what_cannot_be_read_counts_as_well(stored: bytes) -> None:
    """A damaged condition, or one of another release, stops nothing: the worst is that a breaker has to open again."""
    condition = parse_condition(stored)
    assert condition == WELL or condition.text().encode() == stored or stored.startswith(b"1:")


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
