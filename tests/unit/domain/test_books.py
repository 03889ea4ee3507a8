"""What the books say of deliveries and rows: half a byte, and seven bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.domain import books
from relay.domain.books import (
    State,
    digits_of,
    entries,
    numbers_of,
    pack_entry,
    place_of,
    row_at,
    set_state,
    state_of,
    states,
)

STATES = st.dictionaries(st.integers(0, 255), st.sampled_from(list(State)[1:]))


@given(given_states=STATES)
def test_states_are_read_as_they_were_set(given_states: dict[int, State]) -> None:
    """Each event of a block has its own, whatever its neighbours have."""
    halves = bytearray(128)
    for offset, state in given_states.items():
        set_state(halves, offset, state)
    assert dict(states(bytes(halves))) == given_states
    assert all(state_of(bytes(halves), n) is given_states.get(n, State.NOT_OWED) for n in range(256))


@given(given_states=STATES, offsets=st.sets(st.integers(0, 255)).map(sorted), end=st.integers(0, 128))
def test_many_states_are_read_at_once(given_states: dict[int, State], offsets: list[int], end: int) -> None:
    """Those of any places, also behind the end of a block that is shorter."""
    halves = bytearray(128)
    for offset, state in given_states.items():
        set_state(halves, offset, state)
    shorter = bytes(halves[:end])
    assert digits_of(shorter, offsets) == "".join(f"{state_of(shorter, offset):x}" for offset in offsets)


def test_a_block_that_is_shorter_has_no_later_events() -> None:
    """What was never owed takes no room."""
    assert state_of(b"\x12", 1) is State.CONFIRMED
    assert state_of(b"\x12", 2) is State.NOT_OWED


def test_a_state_of_another_release_is_an_error() -> None:
    """It must not be taken for one that this release knows."""
    with pytest.raises(ValueError, match="15"):
        state_of(b"\xf0", 0)


@given(row_id=st.integers(0, 2**63 - 1), number=st.integers(1, 2**48 - 1))
def test_a_row_leads_to_its_event(row_id: int, number: int) -> None:
    """From the rowId to the place, and back with the number of the event."""
    shelf, group, place = place_of(row_id)
    assert row_at(shelf, group, place) == row_id
    assert numbers_of(shelf, [(group, pack_entry(place, number))]) == {row_id: [number]}


@given(given_entries=st.lists(st.tuples(st.integers(0, 99), st.integers(1, 2**48 - 1))), cut=st.integers(0, 6))
def test_entries_are_read_in_their_order(given_entries: list[tuple[int, int]], cut: int) -> None:
    """A row has as many as it has events; a damaged end is left out."""
    packed = b"".join(pack_entry(*entry) for entry in given_entries)
    assert list(entries(packed + bytes(cut))) == given_entries
    assert len(packed) == len(given_entries) * books.ENTRY_BYTES
