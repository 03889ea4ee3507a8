"""A small reports API behind httpx.MockTransport: it shows what it is told to, and answers amiss on demand."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from random import Random
from typing import Any

import httpx
import msgspec

Answer = Callable[["FakeUpstream", httpx.Request], httpx.Response]


def make_row(row_id: int, **columns: Any) -> dict[str, Any]:
    """A row as the upstream sends it: every value a string, rowId first."""
    row = {
        "rowId": str(row_id),
        "igrp": "1",
        "triggerDatetime": "2026-11-24 10:00:00",
        "act": "call",
        "callDuration": "61",
        "callerPhoneNumber": "01632960001",
        "visitorPageCount": "3",
    }
    return row | columns


class FakeUpstream:
    """Rows by route, a log of requests, and a queue of answers that go before the right ones."""

    def __init__(self) -> None:
        self.lines: dict[str, dict[int, bytes]] = defaultdict(dict)
        self.requests: list[httpx.QueryParams] = []
        self.routes: list[str] = []
        self.amiss: deque[Answer] = deque()
        self.always: Answer | None = None
        """Answers whatever is not answered amiss; None: the rows."""
        self.in_flight = self.most_in_flight = 0
        self.gate = asyncio.Event()
        """Answers wait while it is not set."""
        self.gate.set()
        self._held: asyncio.Event | None = None

    def hold_next(self) -> asyncio.Event:
        """The next answer is on its way until the event is set, whatever is shown meanwhile."""
        self._held = asyncio.Event()
        return self._held

    def transport(self) -> httpx.AsyncBaseTransport:
        """A transport that can reach nothing else."""
        return httpx.MockTransport(self._answer)

    def show(self, *rows: dict[str, Any], route: str = "all") -> None:
        """Show rows from now on; one with a rowId that is shown already takes its place."""
        for row in rows:
            self.lines[route][int(row["rowId"])] = msgspec.json.encode(row)

    def show_line(self, row_id: int, line: bytes, *, route: str = "all") -> None:
        """Show a line as it stands."""
        self.lines[route][row_id] = line

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request.url.params)
        self.routes.append(request.url.path.rpartition("/")[2])
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await asyncio.sleep(0)
            await self.gate.wait()
            held, self._held = self._held, None
            response = (self.amiss.popleft() if self.amiss else self.always or page)(self, request)
            if held is not None:
                await held.wait()
            return response
        finally:
            self.in_flight -= 1

    def select(self, request: httpx.Request) -> list[bytes]:
        """The lines that a request asks for, in order."""
        params = request.url.params
        low, high = 0, 2**63
        for condition in params.get_list("filter[]"):
            _, operator, _, value = condition.split("-")
            low, high = (int(value), high) if operator == "gt" else (low, int(value))
        shown = self.lines[request.url.path.rpartition("/")[2]]
        ids = sorted((i for i in shown if low < i <= high), reverse=params["sort[]"].endswith("desc"))
        return [shown[i] for i in ids[: int(params["limit"])]]


def body(lines: Iterable[bytes]) -> bytes:
    """NDJSON."""
    return b"".join(line + b"\n" for line in lines)


def answer(content: bytes = b"", *, status: int = 200, headers: dict[str, str] | None = None) -> httpx.Response:
    """A response that is still to be read, as one from a socket is."""
    return httpx.Response(status, headers=headers, stream=httpx.ByteStream(content))


def page(upstream: FakeUpstream, request: httpx.Request) -> httpx.Response:
    """The right answer."""
    return answer(body(upstream.select(request)))


def says(status: int, text: str = "", **headers: str) -> Answer:
    """A bare message (H2), with any status."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _u, _r: answer(msgspec.json.encode(text) + b"\n", status=status, headers=named)


def cut(bytes_short: int) -> Answer:
    """A page whose last bytes are missing (H4)."""
    return lambda upstream, request: answer(body(upstream.select(request))[:-bytes_short])


def shuffled(upstream: FakeUpstream, request: httpx.Request) -> httpx.Response:
    """A page of rows that are neither sorted nor the first ones (H6), in another disorder each time."""
    unlimited = httpx.Request("GET", request.url.copy_set_param("limit", 10**6))
    lines = upstream.select(unlimited)
    Random(len(upstream.requests)).shuffle(lines)
    return answer(body(lines[: int(request.url.params["limit"])]))


def refuses_above(most: int) -> Answer:
    """A limit that is too high is an error (H7)."""

    def choose(upstream: FakeUpstream, request: httpx.Request) -> httpx.Response:
        if int(request.url.params["limit"]) > most:
            return says(400, f"The maximum limit is {most}")(upstream, request)
        return page(upstream, request)

    return choose
