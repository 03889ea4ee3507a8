"""Which rowIds can be true, and when a row far ahead is believed after all."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.domain.plausibility import CONFIRMING, ENOUGH, FIRST_GAP, FURTHEST, NORMAL_GAP, Ahead, is_jump, look_ahead
from relay.domain.route_state import RouteState

MOST = 2**63 - 1
NOW = 141_248_745


def state(cursor: int = NOW, **fields: int | None) -> RouteState:
    return RouteState(route="all", cursor=cursor, **{"anchored": 1} | fields)  # type: ignore[arg-type]


def after(held: Ahead, cursor: int = NOW) -> RouteState:
    """The state as the next poll finds it."""
    return state(cursor, held_from=held.first, held_first=held.when_first, held_since=held.since)


def look(route: RouteState, *row_ids: int, limit: int = 1000, until: int | None = None) -> Ahead:
    return look_ahead(route, row_ids, limit=limit, until=until)


@pytest.mark.parametrize("gap", [1, 1458, 5_000_000, NORMAL_GAP])
def test_gaps_of_millions_are_normal(gap: int) -> None:
    """Other installations take the rowIds between (H10): no row is delayed for that."""
    assert look(state(), NOW + gap) == Ahead(believed=[NOW + gap])
    assert not is_jump(NOW, NOW + gap)


@pytest.mark.parametrize("row_id", [MOST, MOST - 1, 2**62, 2**53 + 1, 10**15, 10**12, 10**10, 10**9])
@pytest.mark.parametrize("near", [(), (NOW + 1, NOW + 7)])
def test_one_row_implausibly_far_ahead_is_held(row_id: int, near: tuple[int, ...]) -> None:
    """Alone or behind others, in whatever place of the page it stands: the others are believed."""
    for page in ((*near, row_id), (row_id, *near)):
        held = look(state(), *page)
        assert (held.believed, held.held, held.first) == (list(near), {row_id}, row_id)
        assert held.fills_page is (not near)


@pytest.mark.parametrize("together", [2, 3, 500, 999])
def test_rows_far_ahead_that_come_together_are_held_together(together: int) -> None:
    """They do not confirm each other: what makes one makes two."""
    page = range(MOST - together + 1, MOST + 1)
    held = look(state(), NOW + 1, *page)
    for _ in range(5):
        held = look(after(held), NOW + 1, *page)
        assert (held.believed, len(held.held), held.since) == ([NOW + 1], together, 0)


def test_a_row_far_ahead_is_believed_when_others_come_beside_it() -> None:
    """Then the sequence did jump: all of them are released, and no row is lost."""
    far = [10**12 + n * 50 for n in range(10)]
    held = look(state(), far[0])
    for come in range(2, 2 + CONFIRMING):
        assert (held.believed, held.released) == ([], frozenset())
        held = look(after(held), *far[:come])
    assert (held.believed, held.released, held.held) == (far[:come], frozenset(far[:come]), frozenset())
    assert (held.first, held.when_first, held.since) == (None, 0, 0)
    assert look(state(far[come - 1]), *far[come:]).believed == far[come:]


def test_a_page_that_is_full_of_rows_far_ahead_is_believed() -> None:
    """There are as many rows as were asked for, and behind them more: the route would stand still before them."""
    page = range(10**12, 10**12 + 1000)
    assert look(state(), *page).believed == list(page)
    assert look(state(), *page[:-1]).believed == []
    assert look_ahead(state(), page[:-1], limit=1000, until=None, is_cut=True).believed == list(page[:-1])
    assert look(state(), *page[:-1], MOST).believed == []


@pytest.mark.parametrize("size", [2, 10, ENOUGH - 1])
def test_a_small_page_is_full_soon(size: int) -> None:
    """A few false rows next to each other fill a page of few rows: that confirms nothing."""
    page = range(10**12, 10**12 + size)
    held = look(state(), *page, limit=size)
    assert look(after(held), *page, limit=size).believed == []


@pytest.mark.parametrize("first", [FURTHEST + 1, 2**53, MOST - 1000])
def test_no_page_confirms_what_no_sequence_can_have_reached(first: int) -> None:
    """However many rows there are, and whatever comes later."""
    page = range(first, first + 1000)
    held = look(state(), NOW + 1, *page[:10])
    held = look(after(held), NOW + 1, *page[:20])
    assert (held.believed, len(held.held)) == ([NOW + 1], 20)
    assert look(after(held, NOW + 1), *page).believed == []
    assert look(state(), *range(FURTHEST - 500, FURTHEST + 500)).believed == list(range(FURTHEST - 500, FURTHEST + 1))


def test_rows_beside_each_other_are_believed_without_those_still_further_ahead() -> None:
    """What is confirmed is the jump to the first of them."""
    far = [10**12, 10**12 + 1, 10**12 + 2]
    held = look(after(look(state(), far[0], MOST)), *far, MOST)
    assert (held.believed, held.held, held.first, held.when_first, held.since) == (far, {MOST}, MOST, 1, 0)


def test_a_lower_row_far_ahead_begins_anew() -> None:
    """What came beside the one confirms nothing of the other."""
    held = look(after(look(state(), MOST)), 10**12, MOST)
    assert (held.first, held.when_first, held.since) == (10**12, 1, 0)


def test_a_route_that_began_at_a_number_may_have_its_first_row_far_from_it() -> None:
    """With a startRowId of 0 the first row is the oldest one that the upstream still has."""
    assert look(state(0, anchored=0), NOW, NOW + 5).believed == [NOW, NOW + 5]
    assert look(state(0, anchored=0), FIRST_GAP).believed == [FIRST_GAP]
    assert look(state(0, anchored=0), FIRST_GAP + 1).believed == []
    assert look(state(0, anchored=0), NOW, MOST).believed == [NOW]
    assert look(state(2**53, anchored=0), 2**53 + 1, 2**53 + 2).believed == [2**53 + 1, 2**53 + 2]


def test_a_bounded_range_holds_nothing() -> None:
    """It is asked for within what was believed before."""
    assert look(state(), 10**12, until=10**13).believed == [10**12]


def test_rows_behind_the_cursor_are_not_judged() -> None:
    """They were, or were not asked for."""
    assert look(state(), 5, NOW, NOW + 1).believed == [5, NOW, NOW + 1]


row_ids = st.integers(1, MOST) | st.integers(NOW - 5, NOW + 5) | st.integers(10**12, 10**12 + 5)


@given(page=st.lists(row_ids, max_size=12), limit=st.integers(2, 12), anchored=st.integers(0, 1))
@settings(max_examples=300)
def test_every_row_of_a_page_is_believed_or_held(page: list[int], limit: int, anchored: int) -> None:
    """None is forgotten, none is both, and the state says which are held."""
    route = state(anchored=anchored)
    for _ in range(2):
        held = look(route, *page, limit=limit)
        assert sorted([*held.believed, *(each for each in page if each in held.held)]) == sorted(page)
        assert held.held.isdisjoint(held.believed)
        assert all(each > NOW for each in held.held)
        assert (held.first is None) is (not held.held)
        route = state(anchored=anchored, held_from=held.first, held_first=held.when_first, held_since=held.since)
