"""What a commit writes into the books: the rows of events, and which endpoints are owed them."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from relay.domain.books import State, pack_entry, place_of
from relay.domain.model import EndpointId, MessageId
from relay.store import keys

BLOCK_BYTES = keys.EVENTS_PER_BUCKET // 2
OWED = [int(State.WAITING) << 4 * at for at in reversed(range(keys.EVENTS_PER_BUCKET))]
"""For each event of a block, the whole block as one number that says that this event is owed."""
Argument = str | bytes | int


class Owed(Protocol):
    """A row that was committed, as far as the books are concerned."""

    @property
    def row_id(self) -> int:
        """Its rowId."""

    @property
    def message(self) -> MessageId | None:
        """None: it makes no event."""

    @property
    def number(self) -> int:
        """The number of its event."""

    @property
    def lanes(self) -> Sequence[tuple[EndpointId, int]]:
        """The endpoints that want the event."""


def entries_of(rows: Iterable[Owed]) -> list[Argument]:
    """The rows and the blocks, as commit_page.lua takes them."""
    shelves: dict[int, dict[int, list[bytes]]] = {}
    newest: dict[int, int] = {}
    blocks: dict[int, dict[EndpointId, int]] = {}
    for row in rows:
        if row.message is None:
            continue
        number = row.number
        shelf, group, place = place_of(row.row_id)
        shelves.setdefault(shelf, {}).setdefault(group, []).append(pack_entry(place, number))
        newest[shelf] = max(newest.get(shelf, 0), number)
        block, offset = divmod(number, keys.EVENTS_PER_BUCKET)
        owed, event = blocks.setdefault(block, {}), OWED[offset]
        for endpoint, _ in row.lanes:
            owed[endpoint] = owed[endpoint] | event if endpoint in owed else event
    return [*_rows(shelves, newest), *_blocks(blocks)]


def _rows(shelves: dict[int, dict[int, list[bytes]]], newest: dict[int, int]) -> list[Argument]:
    args: list[Argument] = [len(shelves)]
    for shelf, groups in shelves.items():
        args += (shelf, newest[shelf], 2 * len(groups))
        for group, entries in groups.items():
            args += (group, b"".join(entries))
    return args


def _blocks(blocks: dict[int, dict[EndpointId, int]]) -> list[Argument]:
    """Endpoints that are owed the same events of a block are named together."""
    args: list[Argument] = [len(blocks)]
    for block, owed in blocks.items():
        alike: dict[int, list[EndpointId]] = {}
        for endpoint, halves in owed.items():
            alike.setdefault(halves, []).append(endpoint)
        args += (block, len(alike))
        for halves, endpoints in alike.items():
            part = halves.to_bytes(BLOCK_BYTES, "big")
            first = BLOCK_BYTES - len(part.lstrip(b"\0"))
            args += (first, part.strip(b"\0"), len(endpoints), *endpoints)
    return args
