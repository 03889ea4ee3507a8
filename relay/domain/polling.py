"""When a route is polled again, and where one begins."""

from collections.abc import Collection

from relay.domain.route_state import Joined, RouteState

BACKOFF_CAP_MS = 300_000
"""However often the upstream failed, it is asked every five minutes."""
FIRST_BACKOFF_MS = 1_000
FIRST_REFUSED_MS, REFUSED_CAP_MS = 600_000, 3_600_000
"""After a 401 or 403: ten minutes, growing to an hour."""
JITTER = 0.1
TRY_MORE_MS = 6 * 3_600_000
"""How long after the upstream refused a limit a larger one is tried."""


def next_poll_ms(interval_s: float, *, jitter: float) -> int:
    """How long until a route that is caught up is polled again; `jitter` from 0 to 1 spreads it by a tenth (H29)."""
    return round(interval_s * 1000 * (1 + JITTER * (2 * jitter - 1)))


def backoff_ms(failures: int, *, retry_after_s: float | None, jitter: float) -> int:
    """How long to wait after `failures` failures in a row: doubling, jittered, never less than the upstream asked for.

    >>> backoff_ms(1, retry_after_s=None, jitter=1.0), backoff_ms(3, retry_after_s=30.0, jitter=1.0)
    (1000, 30000)
    """
    doubled = min(BACKOFF_CAP_MS, FIRST_BACKOFF_MS << min(failures - 1, 16))
    own = round(doubled * (0.5 + jitter / 2))
    return max(own, round((retry_after_s or 0) * 1000))


def refused_ms(refusals: int, *, jitter: float) -> int:
    """How long until a route whose credentials were refused asks again: rarely, for asking more is hammering (H28).

    >>> [refused_ms(n, jitter=1.0) // 60_000 for n in (1, 2, 3, 4, 99)]
    [10, 20, 40, 60, 60]
    """
    doubled = min(REFUSED_CAP_MS, FIRST_REFUSED_MS << min(refusals - 1, 16))
    return round(doubled * (1 - JITTER * (1 - jitter)))


def limit_to_try(state: RouteState, *, batch_size: int, now_ms: int) -> int | None:
    """How many rows to ask for once, to see whether the upstream allows more by now (H7); None: as many as before.

    >>> limit_to_try(RouteState(route="all", limit=250, limit_until_ms=1), batch_size=1000, now_ms=1)
    500
    """
    if state.limit is None or state.limit >= batch_size or now_ms < state.limit_until_ms:
        return None
    return min(2 * state.limit, batch_size)


def overlap_floor(cursor: int, *, cursor_before: int | None, most_rows: int) -> int:
    """From which rowId on the rows behind a cursor are read again: a time back, and at most so many rowIds (H11).

    `cursor_before` is the cursor as it was that time ago; None: the route had none yet.
    """
    floor = cursor if cursor_before is None else min(cursor_before, cursor)
    return max(0, floor, cursor - most_rows)


def start_text(start_row_id: int | None) -> str:
    """A source's `startRowId` as RouteState.start has it."""
    return "none" if start_row_id is None else str(start_row_id)


def since_when(
    states: Collection[RouteState], routes: Collection[str], *, start_row_id: int | None = None
) -> dict[str, Joined]:
    """Since when those of a source's `routes` belong to it for which nobody noted it yet.

    `states` are those of all routes that there are, also of some that were removed a moment ago. As soon as one route
    began, what is added comes `later`: it begins behind the newest row there is, for `startRowId` was meant for the
    routes that the source was made with. If that was changed since routes were last added or removed, it is `given` for
    those that are added now.
    """
    began = any(state.joined or state.cursor is not None or state.unreadable for state in states)
    noted = {state.start for state in states if state.joined or state.cursor is not None or state.unreadable}
    is_given = start_row_id is not None and noted.isdisjoint((None, start_text(start_row_id)))
    new = [s for s in states if s.route in routes and s.joined is None and s.cursor is None and not s.unreadable]
    since: Joined = "creation" if not began else "given" if is_given else "later"
    return dict.fromkeys((state.route for state in new), since)
