"""The keys of the books and of reconciliations, one function each, as relay.store.keys has all others."""

from relay.domain.model import SourceUid
from relay.store.keys import prefix


def books(source: SourceUid, block: int) -> str:
    """hash of 256 events: endpoint → what became of each of its deliveries, see relay.domain.books. Lives within a
    time and a budget of bytes."""
    return f"{prefix(source)}books:{block}"


def book_blocks(source: SourceUid) -> str:
    """zset: blocks of the books, by the ms of their newest event: what is shed first. Lives as long as they."""
    return prefix(source) + "book_blocks"


def book_sizes(source: SourceUid) -> str:
    """hash: block of the books → its bytes; the field `total` has their sum. Lives as long as they."""
    return prefix(source) + "book_sizes"


def book_rows(source: SourceUid, space: str, shelf: int) -> str:
    """hash of 100,000 rowIds: group → entries of rows, see relay.domain.books. Lives as long as the blocks of any."""
    return f"{prefix(source)}book_rows:{space}:{shelf}"


def book_shelves(source: SourceUid, space: str) -> str:
    """zset: shelves of rows, by the number of the newest event of any of their rows. Lives as long as they."""
    return f"{prefix(source)}book_shelves:{space}"


def books_from(source: SourceUid) -> str:
    """hash: `number` → events with a lower one are in the books no more, and for each space → nor are rows up to this
    one. Kept until the source is deleted."""
    return prefix(source) + "books_from"


def reconciliation(source: SourceUid, run: str) -> str:
    """string: one reconciliation, see relay.store.reconciliations. Lives while it is among the newest of its source."""
    return f"{prefix(source)}reconciliation:{run}"


def differences(source: SourceUid, run: str) -> str:
    """list: JSON of the differences that a reconciliation found, the first of them. Lives as long as it."""
    return f"{prefix(source)}differences:{run}"


def reconciliations(source: SourceUid) -> str:
    """zset: ids of the newest reconciliations, by the ms when they were asked for. Kept."""
    return prefix(source) + "reconciliations"


def reconciling(source: SourceUid) -> str:
    """zset: ids of the reconciliations that are under way, by the ms when they were asked for."""
    return prefix(source) + "reconciling"
