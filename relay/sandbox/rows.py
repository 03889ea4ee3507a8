"""The rows that are visible now: for every list the ids in order, and for each the line that is sent."""

from bisect import bisect_left
from collections.abc import Sequence

from relay.sandbox import lines
from relay.sandbox.columns import Row
from relay.sandbox.membership import CHARGES, TRIGGERS


class Index:
    """The rows of one list: `ids` ascending, `lines[i]` the line of `ids[i]`."""

    __slots__ = ("ids", "lines")

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.lines: list[bytes] = []

    def put(self, row_id: int, line: bytes) -> None:
        """Show a row, or show it with another content."""
        if not self.ids or row_id > self.ids[-1]:
            self.ids.append(row_id)
            self.lines.append(line)
            return
        at = bisect_left(self.ids, row_id)
        if self.ids[at] == row_id:
            self.lines[at] = line
        else:
            self.ids.insert(at, row_id)
            self.lines.insert(at, line)

    def find(self, row_id: int) -> bytes | None:
        """Give the line of a row."""
        at = bisect_left(self.ids, row_id)
        return self.lines[at] if at < len(self.ids) and self.ids[at] == row_id else None

    def remove(self, row_id: int) -> None:
        """Show a row no longer."""
        at = bisect_left(self.ids, row_id)
        if at < len(self.ids) and self.ids[at] == row_id:
            del self.ids[at], self.lines[at]


class Rows:
    """All lists together. Charges have an id space of their own, all the others share one."""

    def __init__(self) -> None:
        self.indexes = {route: Index() for route in (*TRIGGERS, CHARGES)}
        self._escaped: dict[bytes, bytes] = {}

    def put(self, row_id: int, line: bytes, routes: Sequence[str]) -> None:
        """Show a line on the lists that are named, and on no other of its id space."""
        space = (CHARGES,) if CHARGES in routes else TRIGGERS
        if self.indexes[space[0]].find(row_id) is not None:
            for route in space:
                if route not in routes:
                    self.indexes[route].remove(row_id)
        for route in routes:
            self.indexes[route].put(row_id, line)

    def remove(self, row_id: int) -> None:
        """Delete a trigger row, as the upstream does after its retention period (hazard H19)."""
        for route in TRIGGERS:
            self.indexes[route].remove(row_id)

    def remember(self, line: bytes, *, means: bytes) -> None:
        """Note what a line that is no JSON stands for."""
        self._escaped[line] = means

    def meaning(self, line: bytes) -> bytes:
        """Give the JSON that a line stands for: itself, mostly."""
        return self._escaped.get(line, line)

    def read(self, line: bytes) -> Row:
        """Read a line as a row, whatever it looks like."""
        return lines.decode(self.meaning(line))

    def is_unescaped(self, line: bytes) -> bool:
        """Whether a line shows its notes without escapes."""
        return line in self._escaped
