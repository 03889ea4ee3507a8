"""Freshness: whether a route keeps up with its upstream, and how many rows it brings."""

from math import exp
from typing import Literal

from relay.domain.route_state import RouteState

Freshness = Literal["new", "paused", "fresh", "lagging", "stalled"]
"""`new`: the route has not begun · `fresh`: a page was not full a short time ago · `lagging`: all were for too long,
and its cursor moves · `stalled`: its cursor stands still as well."""

LATE_INTERVALS = 1.5
"""A route that had no empty page for so many poll intervals is late: an alarm comes within two."""
SHORTEST_LATE_MS = 10_000
MINUTE_MS = 60_000
THOUSANDTHS = 1000


def freshness(state: RouteState, *, poll_s: float, is_paused: bool, now_ms: int) -> Freshness:
    """Whether a route keeps up. `poll_s` is the poll interval of its source, which can be paused as a whole."""
    if is_paused or state.paused:
        return "paused"
    if state.cursor is None:
        return "new"
    late_ms = max(SHORTEST_LATE_MS, round(LATE_INTERVALS * poll_s * 1000))
    if now_ms - (level_at_ms(state) or 0) <= late_ms:
        return "fresh"
    return "lagging" if now_ms - (state.moved_at_ms or 0) <= late_ms else "stalled"


def level_at_ms(state: RouteState) -> int | None:
    """When a route was last about where its upstream is; None: it never was.

    A busy route may have no empty page for hours: a page that is not full will do.
    """
    times = [at_ms for at_ms in (state.caught_up_at_ms, state.short_at_ms) if at_ms is not None]
    return max(times, default=None)


def is_short(lines: int, *, limit: int, is_cut: bool) -> bool:
    """Whether a page shows that the route is about where its upstream is: it has room left, and was not cut.

    >>> [is_short(lines, limit=100, is_cut=is_cut) for lines, is_cut in ((99, False), (100, False), (99, True))]
    [True, False, False]
    """
    return lines < limit and not is_cut


def rows_per_minute(state: RouteState, *, now_ms: int) -> float:
    """How many rows a minute a route has brought lately. Older rows count less and less.

    >>> rows_per_minute(RouteState(route="all", rows_counted=60_000, last_poll_at_ms=0), now_ms=0)
    60.0
    """
    since_ms = max(0, now_ms - (state.last_poll_at_ms or 0))
    return state.rows_counted / THOUSANDTHS * exp(-since_ms / MINUTE_MS)


def counted(state: RouteState, rows: int, *, now_ms: int) -> int:
    """The count of a route after a page with so many new rows, in thousandths of a row: see `rows_per_minute`."""
    return round((rows_per_minute(state, now_ms=now_ms) + rows) * THOUSANDTHS)
