"""The books: what became of each delivery, and which events each row made.

A block covers the events of 256 numbers. For each endpoint that was owed one of them it has half a byte for each event.
The scripts of the store write the books in the same step as the deliveries themselves (relay/store/scripts/shared).
Rows stand on shelves of 100,000 rowIds, in groups of 100.
"""

from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum

ROWS_PER_GROUP = 100
ROWS_PER_SHELF = 100_000
ENTRY_BYTES = 7
_NUMBER_BITS = 48


class State(IntEnum):
    """What became of one delivery. The values are what the store has."""

    NOT_OWED = 0
    """The endpoint was not owed the event."""
    WAITING = 1
    """It has not ended: it waits, or is in flight."""
    CONFIRMED = 2
    """The receiver has confirmed it."""
    UNWANTED = 3
    """The endpoint's filter did not want it after all."""
    DEAD = 4
    """It was given up, and is listed."""
    DROPPED_FULL = 5
    """It was dropped: the endpoint's backlog was full."""
    DROPPED_OLD = 6
    """It was dropped: it had waited too long."""
    FORGOTTEN = 7
    """It was given up, and is not listed any more."""
    REPLACED = 8
    """Its event was gone, and was stored again under another number."""


DROPPED = frozenset({State.DROPPED_FULL, State.DROPPED_OLD, State.FORGOTTEN})
"""Deliveries that the list of dropped ones can have. A forgotten one was dead before its event was let go."""


def state_of(halves: bytes, offset: int) -> State:
    """The state of the event at a place in a block. Raises ValueError if it is none that this release knows."""
    at, low = divmod(offset, 2)
    if at >= len(halves):
        return State.NOT_OWED
    return State(halves[at] & 15 if low else halves[at] >> 4)


def set_state(halves: bytearray, offset: int, state: State) -> None:
    """Put the state of an event into a block that is long enough and has none for it.

    >>> halves = bytearray(2)
    >>> set_state(halves, 3, State.WAITING)
    >>> halves.hex(), state_of(halves, 3).name
    ('0001', 'WAITING')
    """
    at, low = divmod(offset, 2)
    halves[at] |= state if low else state << 4


def digits_of(halves: bytes, offsets: Sequence[int]) -> str:
    """The states of the events at some places of a block, each as a digit.

    >>> digits_of(b"\\x12\\x30", [0, 2, 9])
    '130'
    """
    digits = halves.hex().ljust(max(offsets, default=-1) + 1, "0")
    if len(offsets) > 1 and offsets[-1] - offsets[0] == len(offsets) - 1:
        return digits[offsets[0] : offsets[-1] + 1]
    return "".join([digits[offset] for offset in offsets])


def states(halves: bytes) -> Iterator[tuple[int, State]]:
    """The places of a block with what became of them, but for those that were not owed."""
    for offset, digit in enumerate(halves.hex()):
        if digit != "0":
            yield offset, State(int(digit, 16))


def place_of(row_id: int) -> tuple[int, int, int]:
    """Where a row stands: its shelf, its group there, and its place in the group."""
    shelf, rest = divmod(row_id, ROWS_PER_SHELF)
    return shelf, *divmod(rest, ROWS_PER_GROUP)


def row_at(shelf: int, group: int, place: int) -> int:
    """The row that stands at a place."""
    return shelf * ROWS_PER_SHELF + group * ROWS_PER_GROUP + place


def pack_entry(place: int, number: int) -> bytes:
    """What a group has of an event: the place of its row, and its number."""
    return (place << _NUMBER_BITS | number).to_bytes(ENTRY_BYTES, "big")


def entries(group: bytes) -> Iterator[tuple[int, int]]:
    """The places of rows in a group with the numbers of their events, in the order in which they were stored."""
    for first in range(0, len(group) - ENTRY_BYTES + 1, ENTRY_BYTES):
        entry = group[first : first + ENTRY_BYTES]
        yield entry[0], int.from_bytes(entry[1:], "big")


def numbers_of(shelf: int, groups: Iterable[tuple[int, bytes]]) -> dict[int, list[int]]:
    """The rows of some groups of a shelf, ascending, with the numbers of their events."""
    found: dict[int, list[int]] = {}
    for group, packed in groups:
        for place, number in entries(packed):
            found.setdefault(row_at(shelf, group, place), []).append(number)
    return dict(sorted(found.items()))
