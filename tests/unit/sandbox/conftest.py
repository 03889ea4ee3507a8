"""A sandbox on a clock of the test's own, asked in memory."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from relay.sandbox.app import create_sandbox
from relay.sandbox.config import SandboxConfig

LISTS = "/reports/v2.1/igrps/1/triggers"


@dataclass
class Clock:
    """Seconds that move when the test says so."""

    now_s: float = 100.0

    def __call__(self) -> float:
        return self.now_s


@dataclass
class Sandbox:
    """A running sandbox and the few questions that tests ask."""

    http: httpx.AsyncClient
    clock: Clock = field(default_factory=Clock)

    async def ask(self, route: str = "all", query: str = "", **kwargs: Any) -> httpx.Response:
        """Ask for a list."""
        return await self.http.get(f"{LISTS}/{route}?{query}", **kwargs)

    async def rows(self, route: str = "all", query: str = "limit=10000") -> list[dict[str, Any]]:
        """Ask for a list that must be given, and read it."""
        response = await self.ask(route, query)
        assert response.status_code == 200, response.text
        return [json.loads(line) for line in response.text.splitlines() if line]

    async def ids(self, route: str = "all", query: str = "limit=10000") -> list[int]:
        """Give the rowIds of a list."""
        return [int(row["rowId"]) for row in await self.rows(route, query)]

    async def add(self, *rows: dict[str, Any]) -> None:
        """Post rows."""
        body = "".join(json.dumps(row) + "\n" for row in rows)
        assert (await self.http.post("/sandbox/rows", content=body)).status_code == 201

    async def switch(self, **hazards: dict[str, float]) -> None:
        """Switch hazards."""
        assert (await self.http.post("/sandbox/hazards", json=hazards)).status_code == 200

    async def state(self) -> dict[str, Any]:
        """Ask how far it is."""
        return (await self.http.get("/sandbox/state")).json()

    async def shown(self) -> list[dict[str, Any]]:
        """Ask what was shown."""
        return [json.loads(line) for line in (await self.http.get("/sandbox/shown")).text.splitlines()]


@pytest.fixture
async def make_sandbox() -> AsyncIterator[Callable[..., Any]]:
    """Start sandboxes; arguments are those of SandboxConfig."""
    async with AsyncExitStack() as stack:

        async def make(**config: Any) -> Sandbox:
            settings, clock = SandboxConfig(**config), Clock()
            transport = httpx.ASGITransport(create_sandbox(settings, clock=clock))
            http = httpx.AsyncClient(
                transport=transport,
                base_url="http://sandbox",
                headers={"Authorization": f"ApiKey {settings.api_key}"},
            )
            return Sandbox(await stack.enter_async_context(http), clock)

        yield make


@pytest.fixture
async def sandbox(make_sandbox: Callable[..., Any]) -> Sandbox:
    """One with 400 rows that are all there."""
    made: Sandbox = await make_sandbox(rows=400)
    return made
