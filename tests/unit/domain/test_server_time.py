"""How far the server's clock is ahead: what is known after each answer."""

from hypothesis import given
from hypothesis import strategies as st

from relay.domain.server_time import corrected

NS = st.integers(-(10**12), 10**12)
WAITS = st.integers(0, 10**9)


@given(NS, st.lists(st.tuples(WAITS, WAITS, WAITS), min_size=1, max_size=20), NS)
def test_no_answer_contradicts_what_is_believed(
    believed: int, answers: list[tuple[int, int, int]], true_offset: int
) -> None:
    """However slow answers are: the belief never moves away from the truth, and is as good as the quickest answer."""
    now, errors = 0, [abs(believed - true_offset)]
    for pause, there, back in answers:
        asked, told, answered = now + pause, now + pause + there + true_offset, now + pause + there + back
        now = answered
        believed = corrected(believed, asked=asked, answered=answered, told=told)
        errors.append(abs(believed - true_offset))
        assert errors[-1] <= min(errors[-2], there + back)


@given(NS, NS, WAITS)
def test_a_clock_that_was_set_is_followed_at_once(before: int, after: int, wait: int) -> None:
    """In either direction, and no further than it went."""
    believed = corrected(before, asked=0, answered=wait, told=after + wait // 2)
    assert abs(believed - after) <= wait
    assert min(before, after - wait) <= believed <= max(before, after + wait)
