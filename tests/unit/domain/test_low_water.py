"""From where a route is polled again."""

from hypothesis import given
from hypothesis import strategies as st

from relay.domain.low_water import low_water

row_ids = st.integers(0, 10**18)


@given(cursor=row_ids, floor=row_ids, lowest=st.none() | row_ids, oldest=row_ids)
def test_nothing_is_left_out(cursor: int, floor: int, lowest: int | None, oldest: int) -> None:
    """It is never in front of the cursor, nor of the overlap, nor of a row that somebody waits for and that counts."""
    mark = low_water(cursor, floor=floor, lowest=lowest, oldest=oldest)
    assert mark <= cursor
    assert mark <= floor
    assert lowest is None or lowest <= oldest or mark < max(lowest, 1)


@given(cursor=row_ids, lowest=row_ids, oldest=row_ids)
def test_it_is_no_further_back_than_is_needed(cursor: int, lowest: int, oldest: int) -> None:
    """An endpoint that has been down for weeks does not make a restored relay send everything again."""
    assert low_water(cursor, floor=cursor, lowest=lowest, oldest=oldest) >= min(cursor, oldest)
    assert low_water(cursor, floor=cursor, lowest=None, oldest=oldest) == cursor
