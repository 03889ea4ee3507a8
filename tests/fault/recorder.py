"""A fast receiver that writes down every callback, and answers as its path was told to."""

import asyncio
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import NamedTuple

from tests.fault.serving import Exchange, serving

_MEMBER = re.compile(rb'\{"id":"(msg_[^"]+)","body":')
"""How each event of a batch begins."""
_ROW_ID = re.compile(rb'"rowId":"(\d+)"')
MOST_IN_A_ROW = 3
"""Failures in a row; five open the breaker."""
_KEY = re.compile(rb'"c_key":"([^"]*)"')


class Reply(NamedTuple):
    """What is answered, and when."""

    status: int = 204
    after_s: float = 0.0
    headers: tuple[str, ...] = ()


Habit = Callable[[int, int], Reply | None]
"""From the number of the request at its path, counted from 0, and its row, to the answer; None: there is none, ever."""


def always(status: int = 204, *headers: str, after_s: float = 0.0) -> Habit:
    """The same answer each time."""
    reply = Reply(status, after_s, headers)
    return lambda _number, _row: reply


def never() -> Habit:
    """Take the request and say nothing."""
    return lambda _number, _row: None


def failing_rows(tries: Callable[[int], int], status: int = 422) -> Habit:
    """Refuse the first tries of some rows: as many as `tries` says for a row. Then, and for the others, 204."""
    seen: Counter[int] = Counter()

    def habit(_number: int, row: int) -> Reply:
        seen[row] += 1
        return Reply(status) if seen[row] <= tries(row) else Reply()

    return habit


def sometimes(rng: Random, share: float, status: int = 500, *, after_s: float = 0.0) -> Habit:
    """Fail a share of the requests, but not many in a row: that would open the breaker, and nothing would be sent."""
    in_a_row = 0

    def habit(_number: int, _row: int) -> Reply:
        nonlocal in_a_row
        fails = in_a_row < MOST_IN_A_ROW and rng.random() < share
        in_a_row = in_a_row + 1 if fails else 0
        return Reply(status if fails else 204, after_s)

    return habit


class Arrival(NamedTuple):
    """One event of a request: a line of the log."""

    at: float
    """Of time.monotonic()."""
    wall_ms: int
    path: str
    message: str
    row: int
    status: int
    """What it is answered, now or later; 0: nothing."""
    key: str = ""
    """The key that its row was offered with."""

    @property
    def accepted(self) -> bool:
        """Whether the sender was told that all is well."""
        return 200 <= self.status < 300


class Recorder:
    """The receiver. Every path that has no habit answers 204 at once."""

    def __init__(self, log: Path) -> None:
        self._log = log.open("a")
        self.port = 0
        self.arrivals: list[Arrival] = []
        self.habits: dict[str, Habit] = {}
        self.flying: Counter[str] = Counter()
        """Requests by path that are not answered yet."""
        self.most_flying: Counter[str] = Counter()
        self.requests: Counter[str] = Counter()
        """Those by path that came, of one event or of several."""
        self._counts: Counter[str] = Counter()

    def url(self, path: str) -> str:
        """Where a path is reached: each at an address of its own, as endpoints are."""
        number = int.from_bytes(path.encode()[-3:])
        return f"http://127.{1 + number % 250}.{1 + number // 250 % 250}.1:{self.port}/{path}"

    def set(self, path: str, habit: Habit) -> None:
        """Give a path a habit from now on; its requests are counted anew."""
        self.habits[path] = habit
        self._counts[path] = 0

    def take(self, exchange: Exchange) -> None:
        """Write a request down and answer it."""
        path = exchange.target.lstrip("/").partition("?")[0]
        habit, number = self.habits.get(path), self._counts[path]
        self._counts[path] += 1
        events = _events(exchange)
        reply = _worst([habit(number, row) for _, row, _ in events]) if habit is not None else Reply()
        for message, row, key in events:
            self._note(path, message, row, key, reply.status if reply else 0)
        self.requests[path] += 1
        self.flying[path] += 1
        self.most_flying[path] = max(self.most_flying[path], self.flying[path])
        exchange.ended = lambda: self.flying.subtract((path,))
        if reply is None:
            return
        if reply.after_s:
            loop = asyncio.get_running_loop()
            loop.call_later(reply.after_s, exchange.answer, reply.status, b"", *reply.headers)
        else:
            exchange.answer(reply.status, b"", *reply.headers)

    def of(self, path: str) -> list[Arrival]:
        """What arrived at one path."""
        return [arrival for arrival in self.arrivals if arrival.path == path]

    def close(self) -> None:
        """End the log."""
        self._log.close()

    def _note(self, path: str, message: str, row: int, key: str, status: int) -> None:
        arrival = Arrival(time.monotonic(), time.time_ns() // 1_000_000, path, message, row, status, key)
        self.arrivals.append(arrival)
        self._log.write("\t".join(map(str, arrival)) + "\n")


def _worst(replies: Sequence[Reply | None]) -> Reply | None:
    """What a batch is answered: whatever fails one of its events fails all."""
    failed = [reply for reply in replies if reply is None or reply.status >= 300]
    return [*failed, *replies][0]


def _events(exchange: Exchange) -> list[tuple[str, int, str]]:
    """The id, the row and the key of the events of a request, which are several if it is a batch."""
    bodies = [(exchange.header("webhook-id"), exchange.body)]
    if exchange.body.startswith(b"["):
        _, *parts = _MEMBER.split(exchange.body)
        bodies = [(name.decode(), body) for name, body in zip(parts[::2], parts[1::2], strict=True)]
    rows = [(_ROW_ID.search(body), _KEY.search(body)) for _, body in bodies]
    return [
        (name, int(row[1]) if row else 0, key[1].decode() if key else "")
        for (name, _), (row, key) in zip(bodies, rows, strict=True)
    ]


@asynccontextmanager
async def recorder(folder: Path, *, host: str = "0.0.0.0") -> AsyncIterator[Recorder]:
    """Run one for as long as the block lasts; its log is `arrivals.tsv` in the folder."""
    running = Recorder(folder / "arrivals.tsv")
    try:
        async with serving(running.take, host=host) as port:
            running.port = port
            yield running
    finally:
        running.close()
