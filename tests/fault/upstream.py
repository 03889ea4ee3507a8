"""An upstream whose rows a case offers one by one, and that knows when it first showed each of them.

The project's sandbox behaves more like the real one; this one is a clock: it runs in the process of the case, so the
moment when an answer showed a row is known exactly, and costs next to nothing.
"""

import asyncio
import re
import time
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple
from urllib.parse import unquote

from tests.fault.serving import Exchange, serving

FIRST_ROW_ID = 1_000_001
GROUPS = 7
"""Rows are of so many groups, by their ids: another key that an order can go by."""
_AFTER = re.compile(r"rowId-gt-value-(\d+)")
_UNTIL = re.compile(r"rowId-le-value-(\d+)")
_LIMIT = re.compile(r"limit=(\d+)")
_LINE = (
    '{"rowId":"%d","igrp":"1","act":"call","triggerDatetime":"2026-01-02 03:04:05","callDuration":"42",'
    '"srcPhoneNumber":"+441134960000","c_to":"%s","c_key":"%s","c_group":"%d","c_pad":"%s"}\n'
)


class Offered(NamedTuple):
    """One row: for whom it is, and the key that its order goes by."""

    row: int
    to: str
    key: str


class Upstream:
    """The rows, and what was shown of them."""

    def __init__(self, *, pad_bytes: int = 600, first_row: int = FIRST_ROW_ID) -> None:
        self.port = 0
        self.offered: list[Offered] = []
        self.shown: dict[int, float] = {}
        """When the first answer that has a row was sent, of time.monotonic()."""
        self.requests = 0
        self.amiss: Callable[[Exchange], bool] | None = None
        """Asked with each request; True: it answers the request itself."""
        self._first = first_row
        self._pad = "x" * pad_bytes
        self._ids: list[int] = []
        self._lines: list[bytes] = []

    @property
    def url(self) -> str:
        """The base URL for a source."""
        return f"http://127.0.0.1:{self.port}"

    def offer(self, to: str, *, key: str = "", after_s: float = 0.0) -> int:
        """Make a row visible, at once or some time after its id was taken; gives its id."""
        row = self._first + len(self.offered)
        self.offered.append(Offered(row, to, key))
        line = (_LINE % (row, to, key, row % GROUPS, self._pad)).encode()
        if after_s:
            asyncio.get_running_loop().call_later(after_s, self._show, row, line)
        else:
            self._show(row, line)
        return row

    def show_line(self, row: int, line: bytes) -> None:
        """Show a line as it stands, from now on."""
        self._show(row, line + b"\n")

    def change(self, row: int, **columns: str) -> None:
        """Show a row that is visible with some columns more, under the same id."""
        at = bisect_right(self._ids, row) - 1
        added = "".join(f'"{name}":"{value}",' for name, value in columns.items())
        self._lines[at] = self._lines[at].replace(b'"c_to"', added.encode() + b'"c_to"', 1)

    def _show(self, row: int, line: bytes) -> None:
        at = bisect_right(self._ids, row)
        self._ids.insert(at, row)
        self._lines.insert(at, line)

    def take(self, exchange: Exchange) -> None:
        """Answer a poll, or have it answered amiss."""
        self.requests += 1
        if self.amiss is None or not self.amiss(exchange):
            self.show(exchange)

    def show(self, exchange: Exchange) -> None:
        """Answer a poll with the rows that it asks for."""
        query = unquote(exchange.target)
        after, until, limit = _AFTER.search(query), _UNTIL.search(query), _LIMIT.search(query)
        most = int(limit[1]) if limit else 1000
        if "rowId-desc" in query:
            exchange.answer(200, b"".join(self._lines[-most:][::-1]), "content-type: application/json")
            return
        low = bisect_right(self._ids, int(after[1]) if after else 0)
        high = bisect_right(self._ids, int(until[1])) if until else len(self._ids)
        high = min(high, low + most)
        if "display[]=rowId" in query:
            alone = b"".join(b'{"rowId":"%d"}\n' % row for row in self._ids[low:high])
            exchange.answer(200, alone, "content-type: application/json")
            return
        exchange.answer(200, b"".join(self._lines[low:high]), "content-type: application/json")
        now = time.monotonic()
        for row in self._ids[low:high]:
            self.shown.setdefault(row, now)


@asynccontextmanager
async def upstream(*, pad_bytes: int = 600, first_row: int = FIRST_ROW_ID) -> AsyncIterator[Upstream]:
    """Run one for as long as the block lasts."""
    running = Upstream(pad_bytes=pad_bytes, first_row=first_row)
    async with serving(running.take) as port:
        running.port = port
        yield running
