"""Routes on the wire."""

from datetime import datetime
from typing import Literal

from relay.api.schemas.common import Out, moment_or_none
from relay.domain.freshness import Freshness, freshness, rows_per_minute
from relay.domain.model import RouteState, Source


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
    """How long ago the route last had no more rows. null: it never had. Negative: the clock was set back."""
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


def show_route(state: RouteState, source: Source, *, now_ms: int) -> RouteOut:
    """A route's state as responses show it."""
    caught_up = state.caught_up_at_ms
    return RouteOut(
        route=state.route,
        cursor=state.cursor,
        state=state.state,
        # Negative if the clock was set back since: that must be visible.
        lag_seconds=None if caught_up is None else (now_ms - caught_up) / 1000,
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
