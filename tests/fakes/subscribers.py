"""Subscribers behind httpx.AsyncBaseTransport: each answers as it is told, and keeps what it got."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import msgspec

from relay.outbound.http.messages import WireRequest

Answer = Callable[["Got"], httpx.Response | Awaitable[httpx.Response]]


@dataclass(frozen=True)
class Got:
    """One request, as a subscriber sees it."""

    host: str
    headers: dict[str, str]
    body: bytes
    method: str = "POST"
    path: str = ""
    """With the query."""

    @property
    def id(self) -> str:
        """Its webhook-id."""
        return self.headers["webhook-id"]

    @property
    def row_id(self) -> int:
        """The row that it tells of."""
        return int(msgspec.json.decode(self.body)["data"]["rowId"])

    @property
    def type(self) -> str:
        """Its event type."""
        return str(msgspec.json.decode(self.body)["type"])


def status(code: int, **headers: str) -> Answer:
    """Always the same answer."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _: httpx.Response(code, headers=named, stream=httpx.ByteStream(b"said so"))


OK = status(204)


async def _got(request: httpx.Request) -> Got:
    if isinstance(request, WireRequest):
        return Got(request.target.host, dict(request.wire_headers), request.body, request.method, request.target.path)
    # A request for a token.
    body = b"".join([chunk async for chunk in request.stream])  # type: ignore[union-attr]
    return Got(request.url.host, dict(request.headers), body, request.method, request.url.path)


class Subscribers(httpx.AsyncBaseTransport):
    """Every host is one. `got` has all requests in the order in which they came."""

    def __init__(self) -> None:
        self.got: list[Got] = []
        self.answers: dict[str, Answer] = defaultdict(lambda: OK)
        self.in_flight: dict[str, int] = defaultdict(int)
        self.most_in_flight: dict[str, int] = defaultdict(int)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        got = await _got(request)
        self.got.append(got)
        self.in_flight[got.host] += 1
        self.most_in_flight[got.host] = max(self.most_in_flight[got.host], self.in_flight[got.host])
        try:
            await asyncio.sleep(0)
            answer: Any = self.answers[got.host](got)
            return await answer if asyncio.iscoroutine(answer) else answer
        finally:
            self.in_flight[got.host] -= 1

    def rows(self, host: str) -> list[int]:
        """The rowIds that a host got, in order."""
        return [got.row_id for got in self.got if got.host == host]

    def ids(self, host: str) -> list[str]:
        """The webhook-ids that a host got, in order."""
        return [got.id for got in self.got if got.host == host]
