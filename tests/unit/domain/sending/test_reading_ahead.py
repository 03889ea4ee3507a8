"""What a worker reads ahead of its callbacks takes bounded memory, whatever the size of the events."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.domain.sending.reading_ahead import FEWEST, FIRST_READ, MOST_BYTES, MOST_DELIVERIES, ReadingAhead
from tests.unit.domain.sending.desk import OK, UK, A, Desk, arrival

LANES = st.integers(1, 2000)
SIZES = st.lists(st.integers(0, 4 << 20), max_size=300)


@given(SIZES, st.integers(1, 4 << 20), LANES)
def test_what_all_lanes_may_have_is_bounded_in_number_and_bytes(before: list[int], size: int, lanes: int) -> None:
    """Each lane has its least, so that it is never idle, and beyond that the sum is bounded."""
    ahead = ReadingAhead()
    for each in (*before, size):
        ahead.saw(each)
    of_lane = ahead.of_lane(lanes)
    assert of_lane == FEWEST or of_lane * lanes <= MOST_DELIVERIES
    assert of_lane == FEWEST or of_lane * lanes * size <= MOST_BYTES
    assert ahead.of_claims() == 1 or ahead.of_claims() * FIRST_READ * size <= MOST_BYTES


def test_small_events_are_read_far_ahead_again_after_large_ones() -> None:
    """One large event does not slow the worker down for long."""
    ahead = ReadingAhead()
    ahead.saw(1 << 20)
    few = ahead.of_lane(1)
    for _ in range(400):
        ahead.saw(2000)
    assert (few, ahead.of_lane(1)) == (32, min(MOST_DELIVERIES, MOST_BYTES // 2000))


@pytest.mark.parametrize(("size", "most"), [(100, 256), (1 << 20, 32)])
def test_a_lane_that_runs_dry_reads_no_more_bytes_ahead_than_allowed(size: int, most: int) -> None:
    """With small events it reads twice as far each time, up to its largest number."""
    desk, wanted = Desk(), 0
    lane = desk.claim(arrival(1, text="x" * size))
    for number in range(2, 10):
        desk.land(OK, *desk.send())
        handed = desk.collect()[A]
        wanted = handed.take
        desk.core.answered(UK, handed, state="held", arrivals=[arrival(number, text="x" * size)], now_ms=desk.now_ms)
        lane.exhausted = False
    assert wanted <= most
    assert wanted > most // 2
