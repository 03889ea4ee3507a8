"""Pressure: whether the store has room. When it is nearly full, nothing more is taken in, and operators are told."""

import structlog

from relay.domain.pressure import excess, is_full
from relay.pipeline.clock import Clock
from relay.store.operations import Operations
from relay.store.server import Server

log = structlog.get_logger()

CONDITION = "store"
FULL, WELL = "full", "well"


class Pressure:
    """What this worker knows of the server's memory."""

    def __init__(
        self, *, server: Server, operations: Operations, clock: Clock, shed_share: float, stop_share: float
    ) -> None:
        self._server = server
        self._operations = operations
        self._clock = clock
        self._shed_share = shed_share
        self._stop_share = stop_share
        self._known = False
        self.full = False
        """Whether to take nothing more in."""
        self.said = ""
        """Why, for whoever asks; empty while there is room."""

    async def look(self) -> int:
        """Ask the server; gives the bytes that are to be shed. Raises StoreUnavailable."""
        if not self._known:
            # A worker that starts between the two shares does what the others do.
            self.full = await self._operations.condition(CONDITION) == FULL
            self._known = True
        use = await self._server.memory()
        full = is_full(use.used, use.limit, self._stop_share, was_full=self.full)
        if full != self.full:
            await self._tell(full, {"usedBytes": use.used, "maxBytes": use.limit})
        self.full = full
        self.said = "Redis is nearly full: polling goes on when there is room (see store.full)" if full else ""
        return excess(use.used, use.limit, self._shed_share)

    async def _tell(self, full: bool, data: dict[str, int]) -> None:
        condition, now_ms = (CONDITION, FULL if full else WELL), self._clock.now_ms()
        if full:
            log.warning("store_full", **data, do="polling waits; see docs/runbook.md, Redis is full")
            await self._operations.note("store.full", data, now_ms=now_ms, condition=condition)
        else:
            log.warning("store_recovered", **data)
            await self._operations.note("store.recovered", data, now_ms=now_ms, condition=condition)
