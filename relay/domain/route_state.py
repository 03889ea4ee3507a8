"""What the relay remembers of a route: how far it is, and the result of its last poll."""

from typing import Literal

from relay.domain.model import Struct

Joined = Literal["creation", "given", "later"]
"""Since when a route belongs to its source: since its first poll, or added to one that polled already, with another
`startRowId` or without."""


class RouteState(Struct, frozen=True, kw_only=True):
    """How far a route is, and the result of its last poll."""

    route: str
    cursor: int | None = None
    """None: not started yet."""
    state: Literal["waiting", "polling", "stopped", "failing"] = "waiting"
    caught_up_at_ms: int | None = None
    """When the upstream last said that there is nothing behind the cursor."""
    short_at_ms: int | None = None
    """When a page that was not full came last. It proves nothing, but the route is about where the upstream is."""
    moved_at_ms: int | None = None
    """When a page moved the cursor last."""
    rows_counted: int = 0
    """How many rows came lately, as of the last poll: see relay.domain.freshness."""
    last_poll_at_ms: int | None = None
    last_error: str | None = None
    last_error_at_ms: int | None = None
    failures: int = 0
    limit: int | None = None
    """Rows asked for at once, where the upstream refused the source's batch size."""
    limit_until_ms: int = 0
    """When twice as many are asked for, to see whether the upstream allows more by now."""
    tried_as: int = 0
    """The source's `times_written` when a request failed last."""
    next_poll_at_ms: int = 0
    paused: int = 0
    """1: an operator paused the route."""
    whole_rows_until_ms: int = 0
    """Until when gaps are probed with whole rows, because the upstream showed no rowIds alone."""
    joined: Joined | None = None
    """None: it never ran in this release."""
    anchored: int = 0
    """1: the cursor is the rowId of a row, and not only a number from which the route began (domain.plausibility)."""
    held_from: int | None = None
    """The lowest rowId of the rows far ahead that are held; None: none are."""
    held_first: int = 0
    """How many were held when that one was seen first."""
    held_since: int = 0
    """How many arrived next to it since."""
    start: str | None = None
    """The source's `startRowId` when routes were last added to it or removed, or `none`; None: as `joined`."""
    unreadable: bool = False
    """Whether the stored cursor is damaged: then the route stands still. Never stored."""
