"""Tallies: what is merged is counted once, and what is shown of durations is at most a quarter too high."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from relay.domain.model import Attempt, EndpointId
from relay.domain.tallies import (
    LONGEST_MS,
    Tally,
    mark_of,
    marks_of,
    merge_into,
    read_ended,
    read_marks,
    summed,
    within,
)

statuses = st.sampled_from([0, 200, 204, 302, 404, 429, 500, 503])
tried = st.lists(st.tuples(statuses, st.integers(0, LONGEST_MS)), max_size=30)


def attempts(some: list[tuple[int, int]]) -> list[Attempt]:
    return [
        Attempt(EndpointId("ep_1"), n, 1, 0, 0, ms, status, "delivered" if status // 100 == 2 else "retry")
        for n, (status, ms) in enumerate(some)
    ]


def tally(some: list[tuple[int, int]]) -> Tally:
    return read_marks((mark, str(count)) for mark, count in marks_of(attempts(some)).items())


@given(st.lists(tried, max_size=5))
def test_merging_counts_everything_once(parts: list[list[tuple[int, int]]]) -> None:
    """However the attempts are spread over minutes, streams and workers; and in any order."""
    together = tally([each for part in parts for each in part])
    tallies = [tally(part) for part in parts]
    assert summed(tallies) == summed(reversed(tallies)) == summed([together])
    classes = Counter(status // 100 for part in parts for status, _ in part)
    assert together.classes == classes
    assert together.total == sum(classes.values())
    assert together.failed == together.total - classes[2]


@given(tried)
def test_a_minute_is_read_as_it_was_written(some: list[tuple[int, int]]) -> None:
    """The text that a script makes of marks says the same; merged into an hour, it counts as well."""
    marks = marks_of(attempts(some))
    at, found = read_ended(f"29847213 {','.join(f'{mark}:{count}' for mark, count in marks.items())}")
    assert (at, found) == (29847213, tally(some))


@given(st.lists(st.integers(0, LONGEST_MS), min_size=1), st.sampled_from([0.5, 0.95, 1.0]))
def test_a_duration_is_at_most_a_quarter_too_high(durations: list[int], share: float) -> None:
    """And never too low."""
    exact = sorted(durations)[max(0, -int(-share * len(durations) // 1) - 1)]
    shown = tally([(200, ms) for ms in durations]).all_durations().at_most(share)
    assert shown is not None
    assert exact <= shown <= exact * 1.25 + 1


@given(st.text() | st.from_regex(r"[0-9]{1,8} ([0-9]{1,6}:[0-9]{1,6},?){0,3}", fullmatch=True))
def test_what_is_damaged_counts_nothing(text: str) -> None:
    """Nothing is raised, and what is read can be merged and shown."""
    _, found = read_ended(text)
    summed([found]).all_durations().at_most(0.95)


def test_a_mark_has_a_bound() -> None:
    """There are few of them, however long attempts take: a hash of them stays small."""
    durations = [*range(2000), *range(2000, 10**6, 999)]
    marks = {mark_of(status, ms, succeeded=ok) for status in range(0, 1000, 50) for ms in durations for ok in (0, 1)}
    assert len(marks) <= 10 * 70
    assert max(map(len, marks)) == 4


def test_the_verdict_counts_and_not_the_status() -> None:
    """A rule can make a 409 a success and a 200 a failure. The classes still show the statuses."""
    tries = [(200, "delivered"), (200, "dead"), (409, "delivered"), (409, "retry"), (503, "delivered"), (302, "retry")]
    made = [Attempt(EndpointId("ep_1"), n, 1, 0, 0, 7, *each) for n, each in enumerate(tries)]
    found = read_marks((mark, str(count)) for mark, count in marks_of(made).items())
    assert (found.succeeded, found.failed, found.total) == (3, 3, 6)
    assert found.classes == {2: 2, 3: 1, 4: 2, 5: 1}
    assert found.all_durations().total == 6


def test_buckets_are_selected_by_their_beginning() -> None:
    """Those that begin within the time, oldest first; empty ones are not there."""
    buckets: dict[int, Tally] = {}
    merge_into(buckets, [(7, tally([(200, 1)])), (5, tally([(500, 1)])), (7, tally([(0, 1)])), (6, Tally())])
    found = within(buckets, "minute", since_ms=5 * 60_000, until_ms=7 * 60_000 + 1)
    assert [(at, each.total, each.failed) for at, each in found] == [(300_000, 1, 1), (420_000, 2, 1)]
    assert within(buckets, "minute", since_ms=300_001, until_ms=420_000) == []
