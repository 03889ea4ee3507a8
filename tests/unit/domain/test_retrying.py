"""When a delivery is tried again, whatever the receiver answers."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from relay.config import STANDARD_SCHEDULE
from relay.domain.breaking import Health
from relay.domain.judging import Verdict, judge
from relay.domain.outcomes import Outcome
from relay.domain.retrying import JITTER, RETRY_AFTER_CAP_MS, delay_ms, retry_after_ms

NOW_MS = 1_790_000_000_000
HOUR_MS = 3_600_000

DATE_LIKE = st.from_regex(
    r"\A[A-Za-z]{0,9},? {0,2}-?\d{0,12}[ -][A-Za-z0-9]{0,9}[ -]-?\d{0,20} \d{0,6}:\d{0,6}:\d{0,6} ?[A-Z+-]?\d{0,9}\Z"
)
HOSTILE = st.one_of(
    st.text(max_size=64),
    st.integers().map(str),
    st.floats().map(str),
    st.integers(0, 10**400).map(str),
    st.datetimes().map(lambda moment: format_datetime(moment.replace(tzinfo=UTC))),
    DATE_LIKE,
    st.text(st.characters(categories=["Nd", "No", "Zs"]), max_size=20),
)


@given(st.lists(st.floats(0.01, 31_536_000), min_size=1, max_size=20), st.floats(0, 1), st.data())
def test_a_delay_stays_near_its_step(schedule: list[float], jitter: float, data: st.DataObject) -> None:
    """A delay is its step of the schedule, stretched or shrunk by no more than a tenth."""
    attempt = data.draw(st.integers(1, len(schedule)))
    step_ms = schedule[attempt - 1] * 1000
    delay = delay_ms(schedule, attempt, jitter=jitter)
    assert delay is not None
    assert step_ms * (1 - JITTER) - 1 <= delay <= step_ms * (1 + JITTER) + 1


@given(st.lists(st.floats(0.01, 100), max_size=20), st.integers(1, 100), st.floats(0, 1))
def test_a_schedule_ends(schedule: list[float], beyond: int, jitter: float) -> None:
    """After the last step there is no further try."""
    assert delay_ms(schedule, len(schedule) + beyond, jitter=jitter) is None


@given(st.lists(st.floats(0, 1), min_size=9, max_size=9))
@example([0.0] * 9)
@example([1.0] * 9)
def test_the_standard_schedule_is_ten_tries_over_three_days(jitters: list[float]) -> None:
    """Standard Webhooks: ten tries, the last one 75 h 35 m after the first, give or take the jitter (goal G24)."""
    now_ms, tries = NOW_MS, 1
    verdict = judged(Outcome(status=500), attempt=1, jitter=jitters[0], now_ms=now_ms)
    while verdict.kind == "retry":
        step_ms = STANDARD_SCHEDULE[tries - 1] * 1000
        assert 0.8 * step_ms <= verdict.due_ms - now_ms <= 1.2 * step_ms
        now_ms, tries = verdict.due_ms, tries + 1
        jitter = jitters[min(tries, 9) - 1]
        verdict = judged(Outcome(status=500), attempt=tries, jitter=jitter, now_ms=now_ms)
    assert (tries, verdict.kind) == (10, "dead")
    whole_ms = 75 * HOUR_MS + 35 * 60_000
    assert 0.9 * whole_ms <= now_ms - NOW_MS <= 1.1 * whole_ms + 10_000


@given(HOSTILE)
@settings(max_examples=200)
@example("9" * 100_000)
@example("Fri, 31 Dec 9999 23:59:59 -2359")
@example("Mon, 01 Jan 0001 00:00:00 +2359")
@example("Mon, 01 Jan 0000 00:00:00 GMT")
@example("Mon, 99 Foo 2026 99:99:99 +999999999")
@example("٣٤")
@example("²")
@example("-5")
@example("1e9")
@example("\0")
def test_a_hostile_retry_after_is_bounded(value: str) -> None:
    """Whatever stands in the header: no exception, and nothing but None or a wait from 0 to 24 h (goal G25)."""
    asked = retry_after_ms(value, now_ms=NOW_MS)
    assert asked is None or (type(asked) is int and 0 <= asked <= RETRY_AFTER_CAP_MS)


@given(HOSTILE, st.sampled_from([301, 400, 429, 500, 503]), st.integers(1, 9), st.floats(0, 1))
@settings(max_examples=200)
def test_a_retry_after_never_hastens_a_try(value: str, status: int, attempt: int, jitter: float) -> None:
    """A next try is due no sooner than the schedule says, and no later than that or 24 h from now (goal G25)."""
    outcome = Outcome(status=status, retry_after=value)
    verdict = judged(outcome, attempt=attempt, jitter=jitter, now_ms=NOW_MS)
    own = delay_ms(STANDARD_SCHEDULE, attempt, jitter=jitter)
    assert own is not None
    assert NOW_MS + own <= verdict.due_ms <= NOW_MS + max(own, RETRY_AFTER_CAP_MS)
    assert verdict.asked_until_ms <= NOW_MS + RETRY_AFTER_CAP_MS


@given(st.integers(0, 86_400))
def test_seconds_are_honoured_exactly(seconds: int) -> None:
    """A Retry-After in seconds, within the cap, is what it says."""
    assert retry_after_ms(f" {seconds} ", now_ms=NOW_MS) == seconds * 1000


@given(st.integers(-100_000, 86_400))
def test_a_date_is_honoured_exactly(seconds: int) -> None:
    """A Retry-After that is a date, within the cap, is the time until then; one that has passed asks for nothing."""
    until = datetime.fromtimestamp(NOW_MS / 1000, UTC) + timedelta(seconds=seconds)
    assert retry_after_ms(format_datetime(until, usegmt=True), now_ms=NOW_MS) == max(0, seconds * 1000)


@pytest.mark.parametrize("value", [None, "", "soon", "1.5", "-5", "٣٤", "Mon, 99 Foo"])
def test_what_cannot_be_understood_asks_for_nothing(value: str | None) -> None:
    """Only the two forms of RFC 9110 count."""
    assert retry_after_ms(value, now_ms=NOW_MS) is None


def judged(outcome: Outcome, *, attempt: int, jitter: float, now_ms: int) -> Verdict:
    """The verdict about an endpoint that was well before, in any order."""
    return judge(
        outcome,
        attempt=attempt,
        health=Health(),
        probing=False,
        order="unordered",
        schedule=STANDARD_SCHEDULE,
        jitter=jitter,
        now_ms=now_ms,
    )
