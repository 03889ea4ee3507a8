"""The general path: any filter, any order, any columns. It reads the rows, so it is as slow as they are many."""

from bisect import bisect_right
from collections.abc import Callable, Iterator
from itertools import islice

from relay.sandbox.columns import PERSONAL, Row
from relay.sandbox.filters import sort_key
from relay.sandbox.local_time import moved
from relay.sandbox.queries import Query
from relay.sandbox.rows import Index

Read = Callable[[bytes], Row]
REDACTED = "REDACTED"
"""The replacement for personal data; the real one is not known (hazard H23)."""


def select(index: Index, query: Query, read: Read) -> list[bytes]:
    """Give the lines of the rows that a query asks for, in its order."""
    low = bisect_right(index.ids, query.above)
    high = len(index.ids) if query.until is None else bisect_right(index.ids, query.until)
    kept = index.lines[low:high]
    field, descends = query.sort[0] if query.sort else ("rowId", False)
    if field == "rowId":  # Unique, so whatever else is sorted by changes nothing.
        found: Iterator[bytes] = _passing(reversed(kept) if descends else iter(kept), query, read)
    else:
        found = _sorted(_passing(iter(kept), query, read), query, read)
    return list(islice(found, query.offset, query.offset + query.limit))


def shape(row: Row, query: Query) -> Row:
    """Give a row as the query wants to see it: redacted, in its time zone, with its columns under their aliases."""
    if query.redacted:
        row = {name: REDACTED if name in PERSONAL and value else value for name, value in row.items()}
    if query.zone is not None:
        row = moved(row, query.zone)
    if query.display:
        return {alias: row[name] for name, alias in query.display if name in row}
    return row


def passes(row: Row, query: Query) -> bool:
    """Whether a row passes every test of a query."""
    return all(test(row) for test in query.tests)


def _passing(lines: Iterator[bytes], query: Query, read: Read) -> Iterator[bytes]:
    if not query.tests:
        return lines
    return (line for line in lines if passes(read(line), query))


def _sorted(lines: Iterator[bytes], query: Query, read: Read) -> Iterator[bytes]:
    # From the lightest field to the heaviest: each sort keeps the order of what is equal to it.
    rows = [(read(line), line) for line in lines]
    for field, descends in reversed(query.sort):
        rows.sort(key=lambda pair: sort_key(str(pair[0].get(field, ""))), reverse=descends)
    return (line for _, line in rows)
