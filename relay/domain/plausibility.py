"""Which rowIds can be true: a row that lies implausibly far ahead must not take the cursor with it.

RowIds come from one sequence that all of the upstream's installations share, so an installation's own rows have gaps
(infinity-api.md 8 and 11, H10): of hundreds between two busy minutes, of millions after a quiet year. A sequence does
not jump by a tenth of all that it ever gave. One row with a rowId of 2^63-1 would end its route for good, because
nothing would ever come behind it.

Rows far ahead are held: set aside, shown, and asked for again by each poll, because the cursor stays before them. If
the sequence has jumped after all, further rows arrive next to them, or a whole page of them. Then the relay believes
them, and they become events. It never believes a rowId beyond FURTHEST by itself: an operator can move the cursor.
"""

from collections.abc import Iterable, Sequence

import msgspec

from relay.domain.route_state import RouteState

NORMAL_GAP = 100_000_000
FIRST_GAP = 10**12
"""What the first row of a route may lie ahead of a cursor that does not come from a row: `startRowId` may be 0."""
UNUSUAL = 10**10
"""A newest row beyond this is looked at twice before a route begins behind it."""
FURTHEST = 10**15
"""No sequence has come so far: at a million rows a second it takes thirty years."""
CONFIRMING = 2
"""Rows that must arrive later next to those that are held."""
ENOUGH = 100
"""Rows next to each other that are believed if they fill a page. A page that shows held rows asks for as many."""
FAR_AHEAD = "the rowId is implausibly far ahead: the row is held until further rows arrive next to it"


class Ahead(msgspec.Struct, frozen=True, kw_only=True):
    """What a page shows of rows far ahead."""

    believed: list[int]
    """The page's rowIds without those that are held, in the page's order."""
    held: frozenset[int] = frozenset()
    released: frozenset[int] = frozenset()
    """Those that were held before, and are believed now."""
    fills_page: bool = False
    """Nothing but rows that are held came, so no row before them is left out."""
    first: int | None = None
    """The lowest rowId that is held."""
    when_first: int = 0
    """How many rows were held when that one was seen first."""
    since: int = 0
    """How many arrived next to it since."""


def is_jump(before: int, row_id: int, *, is_row: bool = True) -> bool:
    """Whether a rowId lies implausibly far ahead of another one; `is_row` says that that one is a row's.

    >>> is_jump(141_248_745, 150_000_000), is_jump(141_248_745, 2**63 - 1), is_jump(0, 141_248_745, is_row=False)
    (False, True, False)
    """
    return row_id - before > (max(NORMAL_GAP, before // 10) if is_row else FIRST_GAP)


def lowest_beside(row_id: int) -> int:
    """How far below a rowId its neighbours reach, however many there are: a row from there is no jump away.

    >>> lowest_beside(1_100_000_000_000), is_jump(lowest_beside(10**12), 10**12)
    (1000000000000, False)
    """
    return row_id - max(NORMAL_GAP, row_id // 11)


def look_ahead(
    state: RouteState, row_ids: Sequence[int], *, limit: int, until: int | None, is_cut: bool = False
) -> Ahead:
    """Tell a page's rows from those that must be held.

    `limit` rows were asked for, up to `until`. `is_cut` says that more rows follow.

    A full page of ENOUGH rows next to each other is believed: the route would stand still before them.
    """
    cursor = state.cursor or 0
    ahead = sorted({row_id for row_id in row_ids if row_id > cursor})
    near = _run(ahead, cursor, is_row=bool(state.anchored))
    far = ahead[len(near) :]
    if until is not None or not far:
        # A range that ends somewhere is a part of what was believed before.
        return Ahead(believed=list(row_ids), released=_released(state, ahead))
    cluster = _run(far, far[0])
    is_full = is_cut or len(row_ids) >= limit
    known = state.held_first if state.held_from == far[0] else 0
    when_first = known or len(cluster)
    since = max(0, len(cluster) - when_first)
    fills_page = is_full and len(cluster) == len(ahead) and len(cluster) >= ENOUGH
    if (since >= CONFIRMING or fills_page) and far[0] <= FURTHEST:
        far = [row_id for row_id in far if row_id > min(cluster[-1], FURTHEST)]
        known = since = 0
    held = frozenset(far)
    return Ahead(
        believed=[row_id for row_id in row_ids if row_id not in held],
        held=held,
        released=_released(state, [row_id for row_id in ahead if row_id not in held]),
        fills_page=len(held) == len(ahead),
        first=far[0] if far else None,
        # How many there are, a full page does not show.
        when_first=known or (0 if is_full or not far else len(_run(far, far[0]))),
        since=since,
    )


def _run(row_ids: Sequence[int], before: int, *, is_row: bool = True) -> list[int]:
    """The ascending rowIds up to the first jump."""
    run: list[int] = []
    for row_id in row_ids:
        if is_jump(before, row_id, is_row=is_row):
            break
        run.append(row_id)
        before, is_row = row_id, True
    return run


def _released(state: RouteState, believed: Iterable[int]) -> frozenset[int]:
    first = state.held_from
    return frozenset() if first is None else frozenset(row_id for row_id in believed if row_id >= first)
