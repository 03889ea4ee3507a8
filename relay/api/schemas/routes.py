"""Routes on the wire."""

from datetime import datetime
from typing import Literal

from relay.api.schemas.common import Out, moment_or_none
from relay.domain.freshness import Freshness, freshness, level_at_ms, rows_per_minute
from relay.domain.lags import Histogram, Lags
from relay.domain.model import Source
from relay.domain.route_state import RouteState


class LagOut(Out, frozen=True, kw_only=True):
    """How long confirmed deliveries took in the last five minutes, retries included. Up to an eighth too high."""

    deliveries: int
    """How many deliveries were confirmed. Those of backfills, and those that somebody resent, do not count."""
    p50_seconds: float
    """What half of them did not exceed."""
    p99_seconds: float
    """What 99 % of them did not exceed."""
    max_seconds: float
    """What none of them exceeded."""


class RouteOut(Out, frozen=True, kw_only=True):
    """The state of a route."""

    route: str
    """The name of the route."""
    cursor: int | None
    """The rowId of the last row that the relay stored. null: the route has not begun."""
    state: Literal["waiting", "polling", "stopped", "failing"]
    """`waiting` for the next poll, `polling` now, `failing` with an error that the relay retries, or `stopped` because
    Infinity refused the credentials."""
    lag_seconds: float | None
    """How far the route is behind Infinity at most: the age of the last page that was not full, so that no more rows
    waited behind it. It grows up to the poll interval between two polls. null: every page was full. Negative: the clock
    was set back."""
    lag_from_row: LagOut | None
    """How long it took lately from a row's own time (`triggerDatetime`) to the answer of its callback. Only new rows
    count, and of these only rows whose time can be read. null: there was none in the last five minutes."""
    lag_from_sight: LagOut | None
    """How long it took lately from when the relay first saw a row, or its change, to the answer of its callback. null:
    there was no delivery in the last five minutes."""
    caught_up_at: datetime | None
    """When the route last had no more rows."""
    freshness: Freshness
    """`fresh`: a page was not full a short time ago. `lagging`: all were full for one and a half poll intervals, and
    its cursor moves. `stalled`: its cursor stands still as well. `new`: it has not begun. `paused`: the route, or
    its source, is paused."""
    cursor_moved_at: datetime | None
    """When a page last moved the cursor. null: none has."""
    rows_per_minute: float
    """How many rows a minute the route has brought lately."""
    last_poll_at: datetime | None
    """When the relay last polled the route."""
    last_error: str | None
    """Why the last failed poll failed."""
    last_error_at: datetime | None
    """When the last failed poll failed."""
    failures: int
    """How many polls failed since the last successful one."""
    paused: bool = False
    """Whether the route is paused by itself. A paused source pauses all its routes."""
    held_rows: int = 0
    """How many rows the relay holds because their rowIds are implausibly far ahead. The quarantine lists them. They
    become events when rows with neighbouring rowIds arrive."""


def show_route(state: RouteState, source: Source, lags: Lags | None, *, now_ms: int) -> RouteOut:
    """A route's state as responses show it, with the lags of its last deliveries."""
    caught_up, level = state.caught_up_at_ms, level_at_ms(state)
    return RouteOut(
        route=state.route,
        cursor=state.cursor,
        state=state.state,
        # Negative if the clock was set back since: that must be visible.
        lag_seconds=None if level is None else (now_ms - level) / 1000,
        lag_from_row=None if lags is None else _show_lag(lags.row),
        lag_from_sight=None if lags is None else _show_lag(lags.sight),
        caught_up_at=moment_or_none(caught_up),
        freshness=freshness(state, poll_s=source.poll_interval_s, is_paused=source.paused, now_ms=now_ms),
        cursor_moved_at=moment_or_none(state.moved_at_ms),
        rows_per_minute=round(rows_per_minute(state, now_ms=now_ms), 1),
        last_poll_at=moment_or_none(state.last_poll_at_ms),
        last_error=state.last_error,
        last_error_at=moment_or_none(state.last_error_at_ms),
        failures=state.failures,
        paused=bool(state.paused),
        held_rows=state.held_first + state.held_since,
    )


def _show_lag(lag: Histogram) -> LagOut | None:
    half, most, all_of = (lag.at_most(share) for share in (0.5, 0.99, 1.0))
    if half is None or most is None or all_of is None:
        return None
    return LagOut(deliveries=lag.total, p50_seconds=half / 1000, p99_seconds=most / 1000, max_seconds=all_of / 1000)
