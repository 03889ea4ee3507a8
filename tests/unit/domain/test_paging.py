"""How far a route is after a page."""

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from relay.domain.paging import Advance, advance

ids = st.lists(st.integers(1, 60), max_size=20)


def decided(step: Advance) -> tuple[list[int], int, int | None, str]:
    return step.row_ids, step.cursor, step.ceiling, step.state


def test_a_page_in_order_moves_the_cursor_to_its_last_row() -> None:
    """Full or not, gaps or not (H10); a short page is no proof of the end (H4), so more is asked for."""
    assert decided(advance(5, [7, 9, 12], limit=3)) == ([7, 9, 12], 12, None, "more")
    assert decided(advance(5, [7, 9, 12], limit=1000)) == ([7, 9, 12], 12, None, "more")


def test_only_an_empty_page_means_caught_up() -> None:
    """No rows and no unread lines: the end of what there is (H3)."""
    assert decided(advance(5, [], limit=10)) == ([], 5, None, "caught_up")
    assert advance(5, [], limit=10, truncated=True).state == "stalled"


def test_a_short_page_out_of_order_is_sorted() -> None:
    """It holds all there is, so its highest id is the cursor (H6)."""
    step = advance(5, [12, 7, 9], limit=4)
    assert decided(step) == ([7, 9, 12], 12, None, "more")
    assert not step.in_order


def test_a_full_page_out_of_order_moves_nothing_and_halves_the_range() -> None:
    """It may have left out anything, so what is asked for next ends at its middle."""
    assert decided(advance(5, [12, 7, 9, 30], limit=4)) == ([7, 9, 12, 30], 5, 9, "more")
    assert decided(advance(5, [9, 7], limit=2)) == ([7, 9], 5, 7, "more")


def test_a_cut_page_out_of_order_proves_as_little_as_a_full_one() -> None:
    """Rows that were cut off may be below those that came (H4); in order, what came is a beginning."""
    assert decided(advance(5, [9, 7, 8], limit=1000, truncated=True)) == ([7, 8, 9], 5, 8, "more")
    assert decided(advance(5, [7, 8, 9], limit=1000, truncated=True)) == ([7, 8, 9], 9, None, "more")


def test_below_a_ceiling_the_cursor_climbs_up_to_it() -> None:
    """Row by row, and an empty page proves the rest of the way; then there is no ceiling."""
    assert decided(advance(5, [7, 8], limit=10, ceiling=9)) == ([7, 8], 8, 9, "more")
    assert decided(advance(8, [], limit=10, ceiling=9)) == ([], 9, None, "more")
    assert decided(advance(5, [7, 9], limit=10, ceiling=9)) == ([7, 9], 9, None, "more")
    assert decided(advance(5, [8, 7, 9], limit=3, ceiling=9)) == ([7, 8, 9], 5, 8, "more")


def test_a_page_full_of_one_row_does_not_stall_the_route() -> None:
    """A row that is repeated over a whole page counts once, and the cursor gets past it (H16, H17)."""
    step = advance(5, [7] * 10, limit=10)
    assert decided(step) == ([7], 7, None, "more")
    assert step.duplicates == 9


def test_ids_that_were_not_asked_for_are_left_out_and_counted() -> None:
    """At or before the cursor, above the ceiling: an upstream that ignores its filters moves nothing."""
    step = advance(5, [1, 5, 6, 20], limit=10, ceiling=9)
    assert (decided(step), step.strays) == (([6], 6, 9, "more"), 3)
    assert advance(5, [1, 2, 3], limit=3).state == "stalled"
    assert advance(5, [5], limit=10).state == "caught_up"


def test_a_full_page_of_unreadable_lines_is_told_and_not_passed_over() -> None:
    """Lines without a readable id take up places in a page: nothing can be said of what is behind them."""
    assert advance(5, [], limit=3, rejected=3).state == "stalled"
    assert decided(advance(5, [9, 7], limit=3, rejected=1)) == ([7, 9], 5, 7, "more")
    assert decided(advance(5, [7, 9], limit=3, rejected=1)) == ([7, 9], 9, None, "more")


@given(page=ids, cursor=st.integers(0, 50), limit=st.integers(2, 10), height=st.none() | st.integers(1, 30))
@settings(max_examples=50)
def test_the_cursor_never_goes_back_nor_past_what_was_seen(
    page: list[int], cursor: int, limit: int, height: int | None
) -> None:
    """Whatever a page holds: forward only, within the ceiling, and the ceiling only ever comes down."""
    ceiling = None if height is None else cursor + height
    step = advance(cursor, page, limit=limit, ceiling=ceiling)
    wanted = {row_id for row_id in page if cursor < row_id and (ceiling is None or row_id <= ceiling)}
    assert step.row_ids == sorted(wanted)
    assert len(page) == len(step.row_ids) + step.duplicates + step.strays
    assert cursor <= step.cursor <= max(wanted, default=ceiling or cursor)
    assert step.ceiling is None or (step.cursor < step.ceiling and (ceiling is None or step.ceiling <= ceiling))


class Upstream:
    """Rows, shown as the worst upstream may: repeated, in any order, and where they are too many, any of them.

    What it may not do is to leave out the beginning and show the rest in order: nobody could tell.
    """

    def __init__(self, rows: set[int], draw: st.DataObject, *, sorts: bool) -> None:
        self.rows = rows
        self.draw = draw
        self.sorts = sorts

    def page(self, after: int, until: int | None, limit: int) -> list[int]:
        rows = sorted(row for row in self.rows if after < row and (until is None or row <= until))
        copies = self.draw.draw(st.lists(st.integers(1, 3), min_size=len(rows), max_size=len(rows)))
        shown = [row for row, count in zip(rows, copies, strict=True) for _ in range(count)]
        if self.sorts:
            return shown[:limit]
        page = self.draw.draw(st.permutations(shown))[:limit]
        prefix = sorted(set(page)) == rows[: len(set(page))]
        assume(page != sorted(page) or prefix)
        return list(page)


@given(rows=st.sets(st.integers(1, 1000), max_size=12), limit=st.integers(2, 5), sorts=st.booleans(), draw=st.data())
@settings(max_examples=50)
def test_walking_finds_every_row_and_ends(rows: set[int], limit: int, sorts: bool, draw: st.DataObject) -> None:
    """However the upstream orders, repeats and cuts its rows, none is skipped, and the walk comes to its end."""
    upstream = Upstream(rows, draw, sorts=sorts)
    cursor, ceiling, found, steps = 0, None, set(), 0
    while True:
        steps += 1
        assert steps <= 20 * (len(rows) + 1)
        step = advance(cursor, upstream.page(cursor, ceiling, limit), limit=limit, ceiling=ceiling)
        found |= set(step.row_ids)
        assert {row for row in rows if row <= step.cursor} <= found
        if step.state == "caught_up":
            break
        assert step.state == "more"
        cursor, ceiling = step.cursor, step.ceiling
    assert found == rows
