"""Lines that repeat are counted, and what is remembered of them is bounded."""

from hypothesis import given
from hypothesis import strategies as st

from relay.domain.sampling import Sampling

SPAN = 1000


def test_the_first_is_written_at_once_and_the_rest_as_a_count() -> None:
    """One line for each span, with the last thing and how many there were since the line before."""
    sampling: Sampling[str] = Sampling(span_ms=SPAN)
    assert sampling.is_first("down", "1", 0)
    assert [sampling.is_first("down", str(n), n) for n in range(2, 6)] == [False] * 4
    assert sampling.ended(SPAN - 1) == []
    assert sampling.ended(SPAN) == [("5", 4)]
    assert not sampling.is_first("down", "6", SPAN + 1)
    assert sampling.ended(2 * SPAN) == [("6", 1)]


def test_one_key_silences_no_other() -> None:
    """Another endpoint, or another status of the same one, is written at once."""
    sampling: Sampling[str] = Sampling(span_ms=SPAN)
    assert sampling.is_first(("a", 500), "", 0)
    assert sampling.is_first(("b", 500), "", 0)
    assert sampling.is_first(("a", 401), "", 0)
    assert sampling.ended(SPAN) == []


def test_a_thing_that_comes_back_after_a_quiet_span_is_new() -> None:
    """It is written at once, and nothing of it is remembered between."""
    sampling: Sampling[str] = Sampling(span_ms=SPAN)
    sampling.is_first("a", "", 0)
    sampling.is_first("a", "", 1)
    sampling.ended(SPAN)
    assert sampling.ended(2 * SPAN) == []
    assert len(sampling) == 0
    assert sampling.is_first("a", "", 2 * SPAN)


def test_too_many_keys_count_for_their_group() -> None:
    """A flood of keys takes one line for each group, and what was known before keeps its own."""
    sampling: Sampling[str] = Sampling(span_ms=SPAN, most_keys=2)
    assert [sampling.is_first(n, "", 0, group="g") for n in range(10)] == [True, True, True] + [False] * 7
    assert sampling.is_first("x", "", 0, group="h")
    assert sampling.is_first("y", "", 0, group="i")  # all other groups
    assert not sampling.is_first("z", "last", 0, group="j")
    assert not sampling.is_first(0, "", 0)
    assert sampling.ended(SPAN) == [("", 1), ("", 7), ("last", 1)]


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 2 * SPAN))))
def test_everything_is_written_or_counted_and_memory_is_bounded(seen: list[tuple[int, int]]) -> None:
    """For any order of keys and pauses: lines and counts add up, and keys stay below their bound."""
    sampling: Sampling[int] = Sampling(span_ms=SPAN, most_keys=5)
    now = written = counted = 0
    for key, pause in seen:
        now += pause
        counted += sum(times for _, times in sampling.ended(now))
        written += sampling.is_first(key, key, now, group=str(key))
        assert len(sampling) <= 2 * 5 + 1
    now += SPAN
    counted += sum(times for _, times in sampling.ended(now))
    assert written + counted == len(seen)
