"""The fast path: the polling request, answered from encoded lines by bisection, without a look into any row.

It is the upstream of the benchmarks too: a page costs two bisections and one join.
"""

from bisect import bisect_right

from relay.sandbox.queries import Query
from relay.sandbox.rows import Index


def polled_page(index: Index, query: Query) -> list[bytes]:
    """Give the lines of a plain query (`query.plain`)."""
    low = bisect_right(index.ids, query.above)
    high = len(index.ids) if query.until is None else bisect_right(index.ids, query.until)
    return index.lines[low : min(high, low + query.limit)]
