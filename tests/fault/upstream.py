"""An upstream whose rows a case offers one by one, and that knows when it first showed each of them.

The project's sandbox behaves more like the real one; this one is a clock: it runs in the process of the case, so the
moment when an answer showed a row is known exactly, and costs next to nothing.
"""

import re
import time
from bisect import bisect_right
from collections.abc import AsyncIterator
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
        self._first = first_row
        self._pad = "x" * pad_bytes
        self._ids: list[int] = []
        self._lines: list[bytes] = []

    @property
    def url(self) -> str:
        """The base URL for a source."""
        return f"http://127.0.0.1:{self.port}"

    def offer(self, to: str, *, key: str = "") -> int:
        """Make a row visible; gives its id."""
        row = self._first + len(self._ids)
        self.offered.append(Offered(row, to, key))
        self._ids.append(row)
        self._lines.append((_LINE % (row, to, key, row % GROUPS, self._pad)).encode())
        return row

    def take(self, exchange: Exchange) -> None:
        """Answer a poll."""
        query = unquote(exchange.target)
        after, until, limit = _AFTER.search(query), _UNTIL.search(query), _LIMIT.search(query)
        most = int(limit[1]) if limit else 1000
        if "rowId-desc" in query:
            exchange.answer(200, b"".join(self._lines[-most:][::-1]), "content-type: application/json")
            return
        low = bisect_right(self._ids, int(after[1]) if after else 0)
        high = bisect_right(self._ids, int(until[1])) if until else len(self._ids)
        high = min(high, low + most)
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
