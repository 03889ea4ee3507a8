"""When which row becomes visible, and what becomes of it: a pure function of the seed, the switches and the clock."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from heapq import heappop, heappush
from itertools import count, islice

from relay.sandbox import journeys, lines
from relay.sandbox.changes import CHANGES
from relay.sandbox.charges import FIRST_ROW_ID, STEP, charge
from relay.sandbox.config import SandboxConfig
from relay.sandbox.hazards import Hazards, Name
from relay.sandbox.membership import CHARGES, routes_of
from relay.sandbox.rows import Rows

Batch = tuple[bytes, ...]
"""What becomes visible at one moment: a row, and if it is a call, its charge."""

_ESCAPED_NOTES = b'"notes":"[{\\"'


def supply(config: SandboxConfig) -> Iterator[Batch]:
    """Give the rows that the sandbox will show, in order: those of the file, or made ones."""
    if config.file is not None:
        with config.file.open("rb") as file:
            yield from ((line,) for line in islice((line for line in file if line.strip()), config.rows))
        return
    charge_ids = count(FIRST_ROW_ID, STEP)
    made = journeys.rows(
        config.seed,
        config.rows,
        igrp=config.igrp,
        first_row_id=config.first_row_id,
        start=config.start,
        pace=config.pace,
    )
    for row in made:
        if row["act"] == "call":
            yield lines.encode(row), lines.encode(charge(row, row_id=next(charge_ids)))
        else:
            yield (lines.encode(row),)


class Production:
    """Shows rows when their time has come. Nothing happens by itself: `advance` catches up with the clock."""

    def __init__(self, config: SandboxConfig, rows: Rows, hazards: Hazards, *, now_s: float) -> None:
        self._supply = supply(config)
        self._rate = config.rate
        self._rows = rows
        self._hazards = hazards
        self._began_s = now_s
        self._made = 0
        self._order = count()
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self.producing = True
        self.advance(now_s)

    @property
    def pending(self) -> int:
        """How many late rows, changes and deletions are still to come."""
        return len(self._later)

    def stop(self) -> None:
        """Make no more rows. What is pending still comes."""
        self.producing = False

    def advance(self, now_s: float) -> None:
        """Show what is due."""
        while self.producing and (at_s := self._due_at()) <= now_s:
            batch = next(self._supply, None)
            if batch is None:
                self.producing = False
                break
            self._made += 1
            for line in batch:
                self.accept(line, at_s=at_s)
        while self._later and self._later[0][0] <= now_s:
            heappop(self._later)[2]()

    def _due_at(self) -> float:
        return self._began_s + (self._made / self._rate if self._rate else 0.0)

    def accept(self, line: bytes, *, at_s: float, visible_after_s: float | None = None) -> None:
        """Take a row in that becomes visible at a time or later, and decide what happens to it.

        `visible_after_s` says how late it is; None leaves that to the hazard. Raises ValueError for a line without a
        rowId.
        """
        line = line if line.endswith(b"\n") else line + b"\n"
        row = lines.entry(line)
        routes = routes_of(row)
        show = partial(self._show, row.number, line, routes)
        if routes == (CHARGES,):
            self._at(at_s + (visible_after_s or 0.0), show, now_s=at_s)
            return
        if visible_after_s is None:
            late = self._hazards.strikes(Name.LATE)
            visible_after_s = late.seconds if late else 0.0
        shown_s = at_s + visible_after_s
        self._at(shown_s, show, now_s=at_s)
        if row.act == "call":
            for name in CHANGES:
                if hazard := self._hazards.strikes(name):
                    self._at(shown_s + hazard.seconds, partial(self._change, row.number, name), now_s=at_s)
        if deleted := self._hazards.strikes(Name.DELETED):
            self._at(shown_s + deleted.seconds, partial(self._rows.remove, row.number), now_s=at_s)

    def _at(self, at_s: float, action: Callable[[], None], *, now_s: float) -> None:
        if at_s <= now_s:
            action()
        else:
            heappush(self._later, (at_s, next(self._order), action))

    def _show(self, row_id: int, line: bytes, routes: Sequence[str]) -> None:
        if _ESCAPED_NOTES in line and self._hazards.strikes(Name.UNESCAPED_NOTES):
            unescaped = lines.encode(lines.decode(line), escaped=False)
            self._rows.remember(unescaped, means=line)
            line = unescaped
        self._rows.put(row_id, line, routes)

    def _change(self, row_id: int, name: Name) -> None:
        line = self._rows.indexes["all"].find(row_id)
        if line is None:
            return  # Deleted in the meantime.
        changed = lines.encode(CHANGES[name](self._hazards.dice(name), self._rows.read(line)))
        self._show(row_id, changed, routes_of(lines.entry(changed)))
