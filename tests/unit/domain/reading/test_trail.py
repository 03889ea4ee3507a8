"""The trail: few entries, and for every time one that is little older."""

from hypothesis import given
from hypothesis import strategies as st

from relay.domain.reading.trail import Step, tidied

NOW = 10_000_000_000
WEEK = 7 * 86_400_000


def thinned(trail: list[Step], *, now_ms: int = NOW, needed: int = 2**63) -> list[Step]:
    gone, moved = tidied(trail, now_ms=now_ms, longest_ms=WEEK, needed=needed)
    assert moved == []
    return [step for step in trail if step.cursor not in gone]


def at(trail: list[Step], time_ms: int) -> Step | None:
    return max((step for step in trail if step.at_ms <= time_ms), default=None)


@given(st.lists(st.integers(0, NOW), min_size=1, max_size=300, unique=True), st.integers(0, 300))
def test_every_time_has_a_cursor_that_is_little_older(times: list[int], needed: int) -> None:
    """For any time within the longest distance: an eighth of its age at most. The newest entry stays."""
    trail = [Step(time_ms, cursor) for cursor, time_ms in enumerate(sorted(times))]
    kept = thinned(trail, needed=needed)
    assert kept[-1] == trail[-1]
    for time_ms in (NOW - age for age in (0, 1_000, 900_000, 7_200_000, 86_400_000, WEEK)):
        true, told = at(trail, time_ms), at(kept, time_ms)
        assert (true is None) == (told is None)
        if true is not None and told is not None:
            assert true.at_ms - told.at_ms <= max((NOW - true.at_ms) / 8, 1)
    assert kept[0].cursor <= max(needed, trail[0].cursor)


def test_a_trail_stays_short() -> None:
    """A page every ten seconds for three weeks leaves a few dozen entries a factor of ten in age."""
    trail: list[Step] = []
    for number in range(3 * 7 * 8640):
        trail.append(Step(number * 10_000, number))
        if number % 500 == 0:
            trail = thinned(trail, now_ms=number * 10_000)
    assert len(thinned(trail, now_ms=trail[-1].at_ms)) < 200


def test_a_reading_that_is_behind_keeps_the_beginning() -> None:
    """What lies before the place of the last reading can go; the trail tells where that one has come from."""
    trail = [Step(day * 86_400_000, day) for day in range(30)]
    now_ms = 30 * 86_400_000
    assert thinned(trail, now_ms=now_ms)[0].cursor == 23
    assert thinned(trail, now_ms=now_ms, needed=4)[0].cursor == 4
