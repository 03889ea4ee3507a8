"""Forgetting: from which rowId on it must be known which rows were seen."""

from relay.domain.model import RouteState
from relay.domain.polling import overlap_floor


def known_from(state: RouteState, *, oldest_cursor: int | None, shown_up_to: int | None, most_rows: int) -> int:
    """The rowId behind which rows must be known for a route's sake, for it may show them again.

    `oldest_cursor` is the furthest back that its overlap can reach now; `shown_up_to` the furthest cursor of all routes
    at a time at which this one had nothing more to show, or so long ago that nobody waits for it any more. A route
    that shows little has an old cursor, and needs no more of the rows that others showed since than they themselves.
    """
    cursor = state.cursor or 0
    floor = max(cursor, shown_up_to or 0)
    if oldest_cursor is not None and oldest_cursor < cursor:
        floor = min(floor, overlap_floor(cursor, cursor_before=oldest_cursor, most_rows=most_rows))
    if state.overlap_after is not None:
        floor = min(floor, state.overlap_after)
    return floor
