"""From the lines of a page to its events: a pure function of bytes, so that any process can do it.

`unread` leaves out the lines whose rows are known, with two comparisons each. `judge_rows` reads the others.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from relay.domain.classifying import classify
from relay.domain.identity import Again, Changed, Known, Seen, is_known, judge_row, raw_digest, stable_digest
from relay.domain.model import ROUTES, MessageId, StoredEvent
from relay.domain.parsing import Message, Rejected, Row, parse_line
from relay.domain.picking import pick
from relay.domain.shapes import shape_of
from relay.domain.telling import Facts, tell


class Sighting(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A line that must be read, with what the relay knows of its row."""

    row_id: int
    number: int
    """The number that its event gets, if it makes one."""
    raw: bytes
    known: bytes = b""
    """The packed `Seen` of the row; empty: the relay does not know the row."""
    repaired: bool = False
    """Whether its row counts as repaired, whatever the line says."""


Sight = Literal["new", "changed", "again"]


class Judged(msgspec.Struct, array_like=True, gc=False):
    """A row that leaves something behind: what the relay knows of it from now on, and mostly an event."""

    row_id: int
    seen: bytes
    message: MessageId = MessageId("")
    number: int = 0
    types: bytes = b""
    event: bytes = b""
    """The packed StoredEvent; empty: the row makes no event."""
    sight: Sight = "new"
    """What made the event."""
    before: int = 0
    """Of a row that is told again, the number of the event that it made before."""
    is_erased: bool = False
    """Whether its event has no content, because it is about somebody who was erased: nobody gets it."""


class Judgement(msgspec.Struct):
    """What some lines of a page are."""

    rows: list[Judged] = []
    data: list[Any] = []
    """For each of `rows`, the `data` that filters are asked about."""
    faults: dict[int, tuple[str, int | None]] = {}
    """By the rowId that a line begins with: why it is not that row, and the rowId that it is shown under."""
    changed: dict[int, int] = {}
    """By rowId, the number of the event that a changed row had before. It must be judged again, with that event."""

    def take(self, other: "Judgement") -> None:
        """Add what further lines are. Rows stay in ascending order."""
        in_order = not (self.rows and other.rows) or self.rows[-1].row_id < other.rows[0].row_id
        self.rows += other.rows
        self.data += other.data
        if not in_order:
            order = sorted(range(len(self.rows)), key=lambda i: self.rows[i].row_id)
            self.rows, self.data = [self.rows[i] for i in order], [self.data[i] for i in order]
        self.faults |= other.faults
        self.changed = other.changed


def unread(
    of: Facts, lines: Iterable[tuple[int, bytes, bool]], known: Mapping[int, bytes], number: int
) -> tuple[list[Sighting], int]:
    """The lines that must be read, and how many of the rows have knowledge that cannot be read.

    A line has a rowId, its bytes, and whether its row counts as repaired. `number` is that of the first line's event.
    What cannot be read is not known: the same row gives the same event id again.
    """
    owner, owners = _indexes(of)
    found: list[Sighting] = []
    damaged = 0
    for at, (row_id, raw, repaired) in enumerate(lines, number):
        packed = known.get(row_id)
        if packed is None:
            found.append(Sighting(row_id, at, raw, repaired=repaired))
            continue
        try:
            seen, digest = Seen.unpack(packed), raw_digest(raw)
            if not is_known(seen, route=owner, routes=owners, raw=digest, tell_again=of.tell_again):
                found.append(Sighting(row_id, at, raw, packed, repaired))
        except ValueError:
            damaged += 1
            found.append(Sighting(row_id, at, raw, repaired=repaired))
    return found, damaged


def judge_rows(
    of: Facts,
    sightings: Sequence[Sighting],
    before: Mapping[int, StoredEvent | None],
    columns: Collection[str] | None,
    *,
    pack: Callable[[StoredEvent], bytes],
) -> Judgement:
    """Read lines, judge their rows, and make their events.

    `before` has the earlier events of changed rows by number, None where there is none. A changed row whose number has
    no entry is only named in `changed`. Of its data, only the `columns` of the trigger are kept (None: all): whole rows
    take ten times the memory of their lines.
    """
    owner, owners = _indexes(of)
    judgement = Judgement()
    for each in sightings:
        row = parse_line(each.raw)
        if not isinstance(row, Row) or row.row_id != each.row_id:
            judgement.faults[each.row_id] = _fault(row, each.row_id)
            continue
        if each.repaired:
            row = msgspec.structs.replace(row, repaired=True)
        seen = Seen.unpack(each.known) if each.known else None
        shape, raw = shape_of(row.columns), raw_digest(each.raw)
        digest, classes = stable_digest(row.columns, shape), classify(row.columns, route=of.route)
        sight = judge_row(
            seen, route=owner, routes=owners, raw=raw, digest=digest, classes=classes, tell_again=of.tell_again
        )
        if isinstance(sight, Known):
            if sight.seen is not None:
                judgement.rows.append(Judged(each.row_id, sight.seen.pack()))
                judgement.data.append(None)
            continue
        earlier = None
        if isinstance(sight, Changed):
            if sight.seen.number not in before:
                judgement.changed[each.row_id] = sight.seen.number
                continue
            earlier = before[sight.seen.number]
        event, data = tell(of, row, shape, sight, digest=digest, classes=classes, before=earlier)
        known = sight.seen.pack(each.number)
        kind: Sight = "changed" if isinstance(sight, Changed) else "again" if isinstance(sight, Again) else "new"
        number = sight.seen.number if isinstance(sight, Again) else 0
        judgement.rows.append(Judged(each.row_id, known, event.id, each.number, event.types, pack(event), kind, number))
        judgement.data.append(pick(data, columns))
    return judgement


def _fault(row: Row | Rejected | Message, row_id: int) -> tuple[str, int | None]:
    if isinstance(row, Message):
        return "a bare message between rows", None
    if isinstance(row, Rejected):
        return row.reason, row.row_id
    return "the row's beginning shows another rowId", row_id


def _indexes(of: Facts) -> tuple[int, frozenset[int]]:
    return ROUTES.index(of.route), frozenset(map(ROUTES.index, of.routes))
