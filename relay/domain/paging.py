"""How far a route is after a page: the rule by which no row is ever left out.

The upstream promises ascending ids and says that ids have gaps (H10), repeat (H16) and can come late (H11); it does not
promise the order (H6). A page in order is believed to be the first of what lies behind the cursor. One that is not in
order, and full, may have left out anything: it moves no cursor, but halves the range that is asked for next.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import msgspec


class Advance(msgspec.Struct, frozen=True, kw_only=True):
    """What a page means."""

    row_ids: list[int]
    """The page's rowIds behind the cursor and up to the ceiling, ascending, each once. All are safe to store; one above
    `cursor` will be shown again."""
    cursor: int
    ceiling: int | None
    """Ask for rowIds up to this one next; None: without a bound."""
    state: Literal["more", "caught_up", "stalled"]
    """`more`: ask again at once. `caught_up`: nothing is behind the cursor. `stalled`: the page proves nothing and
    moves nothing, so asking again at once would run in circles: back off, and say so."""
    in_order: bool
    duplicates: int
    strays: int
    """Ids that were not asked for: at or before the cursor, or above the ceiling."""


def advance(
    cursor: int,
    row_ids: Sequence[int],
    *,
    limit: int,
    ceiling: int | None = None,
    rejected: int = 0,
    truncated: bool = False,
) -> Advance:
    """Decide where a route stands after a page that was asked for with `gt cursor`, `le ceiling` and `limit`.

    `row_ids` are those of the page's rows as they came, `rejected` counts its lines that have no readable rowId,
    `truncated` says that the body was cut (H4). Only an empty page proves that the end is reached, never a short one.
    A limit of 1 cannot show whether the upstream sorts, so ask for 2 rows or more.
    """
    wanted = [row_id for row_id in row_ids if cursor < row_id and (ceiling is None or row_id <= ceiling)]
    fresh = sorted(set(wanted))
    in_order = all(before <= after for before, after in pairwise(wanted))
    complete = not truncated and len(row_ids) + rejected < limit
    next_cursor, next_ceiling, state = _next(cursor, fresh, ceiling, complete=complete, trusted=in_order or complete)
    return Advance(
        row_ids=fresh,
        cursor=next_cursor,
        ceiling=None if next_ceiling == next_cursor else next_ceiling,
        state=state,
        in_order=in_order,
        duplicates=len(wanted) - len(fresh),
        strays=len(row_ids) - len(wanted),
    )


def _next(
    cursor: int, fresh: list[int], ceiling: int | None, *, complete: bool, trusted: bool
) -> tuple[int, int | None, Literal["more", "caught_up", "stalled"]]:
    if fresh and trusted:
        return fresh[-1], ceiling, "more"
    if fresh:
        # Out of order means two ids at least, so the lower middle is below the highest: the range always shrinks.
        return cursor, fresh[(len(fresh) - 1) // 2], "more"
    if not complete:
        return cursor, ceiling, "stalled"
    return (cursor, None, "caught_up") if ceiling is None else (ceiling, None, "more")
