"""When a route is polled again, and how far behind its cursor rows are read again."""

from hypothesis import example, given
from hypothesis import strategies as st

from relay.domain.polling import BACKOFF_CAP_MS, FIRST_BACKOFF_MS, backoff_ms, next_poll_ms, overlap_floor


@given(st.floats(0.1, 86_400), st.floats(0, 1))
def test_the_interval_is_jittered_by_a_tenth(interval_s: float, jitter: float) -> None:
    """Polls spread, so that many sources do not ask at the same moment (H29)."""
    assert 900 * interval_s - 1 <= next_poll_ms(interval_s, jitter=jitter) <= 1100 * interval_s + 1


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_backoff_is_bounded(failures: int, jitter: float) -> None:
    """After any number of failures the upstream is asked again within five minutes, and never at once."""
    assert FIRST_BACKOFF_MS // 2 <= backoff_ms(failures, retry_after_s=None, jitter=jitter) <= BACKOFF_CAP_MS


@given(st.integers(1, 20), st.floats(0, 1))
def test_backoff_grows(failures: int, jitter: float) -> None:
    """One more failure never means a shorter wait."""
    shorter = backoff_ms(failures, retry_after_s=None, jitter=jitter)
    assert shorter <= backoff_ms(failures + 1, retry_after_s=None, jitter=jitter)


@given(st.integers(1, 100), st.floats(0, 3600), st.floats(0, 1))
def test_the_upstream_is_obeyed(failures: int, asked_s: float, jitter: float) -> None:
    """A Retry-After is never undercut (H29)."""
    assert backoff_ms(failures, retry_after_s=asked_s, jitter=jitter) >= round(asked_s * 1000)


@given(st.integers(0, 2**63), st.one_of(st.none(), st.integers(0, 2**63)), st.integers(1, 10**9))
@example(cursor=100, before=None, rows=1000)
@example(cursor=100, before=250, rows=1000)
def test_the_floor_is_behind_the_cursor_by_no_more_rows_than_set(cursor: int, before: int | None, rows: int) -> None:
    """Rows are read again from where the cursor was, but at most so many ids back (H11)."""
    floor = overlap_floor(cursor, cursor_before=before, most_rows=rows)
    assert max(0, cursor - rows) <= floor <= cursor
    if before is not None and cursor - rows <= before <= cursor:
        assert floor == before
