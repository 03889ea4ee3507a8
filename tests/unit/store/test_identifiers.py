"""Ids of applications and endpoints."""

from hypothesis import given
from hypothesis import strategies as st

from relay.store.identifiers import new_id


@given(earlier=st.integers(0, 2**47), later=st.integers(1, 2**40))
def test_ids_sort_by_the_time_they_were_made(earlier: int, later: int) -> None:
    """An id that was made a millisecond later or more sorts behind, whatever its random part."""
    assert new_id("app_", now_ms=earlier) < new_id("app_", now_ms=earlier + later)


def test_ids_have_the_shape_that_clients_expect() -> None:
    """A prefix and 27 letters and digits, different each time."""
    ids = {new_id("ep_", now_ms=2**48 - 1) for _ in range(100)}
    assert len(ids) == 100
    assert all(len(i) == 30 and i[3:].isalnum() and i.isascii() for i in ids)
