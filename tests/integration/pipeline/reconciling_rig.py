"""What the tests of reconciliations stand on: the real parts over a rig."""

import asyncio
from typing import Any

from relay.domain.model import EndpointId
from relay.domain.reconciling import REPAIRED, Difference
from relay.outbound.reports_api import ReportsApi
from relay.pipeline.reconciling.reconciling import Reconciling
from relay.store.books import Books
from relay.store.reconciliations import Range, Reconciliations, Run
from relay.store.undelivered import Undelivered
from tests.integration.pipeline.rig import UK, Rig

DAY_S = 86_400.0


class Stores:
    """The parts of the store that reconciliations work with."""

    def __init__(self, runs: Reconciliations, rig: Rig) -> None:
        self.reconciliations = runs
        self.books, self.undelivered = Books(rig.redis), Undelivered(rig.redis)
        self.routes, self.pages, self.events, self.operations = rig.routes, rig.pages, rig.events, rig.operations


class Desk:
    """A worker's reconciliations of one source."""

    def __init__(self, rig: Rig, *, settled_s: float = 720.0) -> None:
        self.rig = rig
        self.runs, self.reports = Reconciliations(rig.redis), ReportsApi(rig.upstream.transport())
        self.reconciling = Reconciling(
            reports=self.reports, ingest=rig.ingest(), kept=Stores(self.runs, rig), catalogue=rig.catalogue,
            pressure=rig.pressure, clock=rig.clock, every_s=DAY_S, settled_s=settled_s, stopping=asyncio.Event(),
        )  # fmt: skip
        self.comparing = self.reconciling._comparing

    async def ask(self, **wanted: Any) -> Run:
        """Ask for a reconciliation."""
        return await self.runs.ask(UK, Range(**wanted), now_ms=self.rig.clock.at_ms)

    async def run(self, **wanted: Any) -> Run:
        """Ask for one, and see it through."""
        return await self.ended(await self.ask(**wanted))

    async def repaired(self, run: Run, *kinds: str) -> Run:
        """Have its differences repaired."""
        return await self.ended(await self.runs.repair(UK, run.id, kinds or REPAIRED, now_ms=self.rig.clock.at_ms))

    async def ended(self, run: Run) -> Run:
        """Let turns pass until it is not under way any more."""
        for _ in range(30):
            await self.reconciling.turn(UK)
            if not (run := await self.runs.get(UK, run.id)).is_under_way:
                return run
            self.rig.clock.advance(61)
        raise AssertionError(f"it does not end: {run}")

    async def differences(self, run: Run) -> list[Difference]:
        """What it lists."""
        return await self.runs.differences(UK, run.id, first=0, limit=1000)

    async def listed(self, run: Run) -> list[tuple[str, int, EndpointId | str]]:
        """The same: kind, rowId and endpoint."""
        return [(each.kind, each.row_id, each.endpoint) for each in await self.differences(run)]
