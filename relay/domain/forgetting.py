"""Forgetting: from which rowId on it must be known which rows were seen."""

from collections.abc import Iterable

from relay.domain.reading.place import Place
from relay.domain.route_state import RouteState


def known_from(state: RouteState, *, shown_up_to: int | None, overlap_from: int | None, places: Iterable[Place]) -> int:
    """The rowId behind which rows must be known for a route's sake, for it may show them again.

    `shown_up_to` is the furthest cursor of all routes at a time at which this one had nothing more to show, or so long
    ago that nobody waits for it any more. A route that shows little has an old cursor, and needs no more of the rows
    that others showed since than they themselves. `overlap_from` is the furthest back that its overlap can reach, and
    `places` are those of readings that read each rowId behind them once more.
    """
    cursor = state.cursor or 0
    behind = [place.after for place in places] + ([] if overlap_from is None else [overlap_from])
    # A reading that is where the cursor is has nothing to read.
    return min([max(cursor, shown_up_to or 0), *(row_id for row_id in behind if row_id < cursor)])


BUCKET_BYTES, ROW_BYTES = 160, 33
"""What a bucket of known rows and each row in it take of the server's memory; tests/bench prints what they do."""


def most_buckets(sizes: Iterable[int], *, most_bytes: int) -> int:
    """How many buckets may be kept, judged by the rows that some of them have; at least one.

    >>> most_buckets([100, 100], most_bytes=34_600), most_buckets([1, 2], most_bytes=2_100)
    (10, 10)
    """
    sampled = list(sizes)
    rows = sum(sampled) / len(sampled) if sampled else 0.0
    return max(1, int(most_bytes / (BUCKET_BYTES + ROW_BYTES * rows)))
