"""Places: how a reading moves, and what is read back from the store."""

from hypothesis import given
from hypothesis import strategies as st

from relay.domain.reading.place import MOST_ROW_ID, Place, read_place, write_place

IDS = st.integers(0, MOST_ROW_ID)
OPTIONAL = st.none() | IDS
PLACES = st.builds(
    Place, after=IDS, until=OPTIONAL, due_ms=IDS, whole_until=IDS, ceiling=OPTIONAL, failures=st.integers(0, 99)
)


@given(PLACES)
def test_a_place_is_read_back(place: Place) -> None:
    """Also with the largest rowIds."""
    assert read_place(write_place(place)) == place


def test_damage_is_no_place() -> None:
    """A reading whose place can't be read begins again where it would be by now."""
    for kept in (b"", b"{}", b"[]", b"[-1]", b"[1,2,3,4,5,-6]", b'["1"]', b"[9223372036854775808]", b"\xff", b"[1.5]"):
        assert read_place(kept) is None


@given(PLACES, IDS, IDS)
def test_a_place_lies_within(place: Place, one: int, other: int) -> None:
    """Not before the beginning of the trail, nor ahead of the cursor; a round that has nothing left has ended."""
    low, high = sorted((one, other))
    moved = place.within(low, high)
    assert low <= moved.after <= high
    assert moved.until is None or moved.after < moved.until <= high
    assert moved.within(low, high) == moved


def test_a_round() -> None:
    """It begins, moves page by page, and drops a ceiling that is its own end."""
    place = Place(10, due_ms=5, whole_until=90, failures=3).begun(20, 100)
    assert place == Place(20, until=100, due_ms=5, whole_until=20, failures=3)
    assert place.moved(40, ceiling=100, now_ms=7) == Place(40, until=100, due_ms=7, whole_until=20)
    assert place.moved(40, ceiling=60, now_ms=7).ceiling == 60
