"""Pressure: whether the store has room. When it is nearly full, nothing more is taken in, and operators are told."""

import structlog

from relay.domain.pressure import RESUME_LOWER, excess, is_full
from relay.pipeline.clock import Clock
from relay.store.operations import Operations
from relay.store.server import MemoryUse, Server

log = structlog.get_logger()

CONDITION = "store"
FULL, WELL = "full", "well"
REFUSED_MS = 10_000
"""So long after something was refused it is tried again, however full the server seems to be."""
NEVER_MS = -(2**62)


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
        self._told: bool | None = None
        """What operators were told last; None: not asked yet."""
        self._refused_ms = NEVER_MS
        self._share_refused: float | None = None
        self.full = False
        """Whether to take nothing more in."""
        self.excess = 0
        """Bytes that are to be shed. The chore that sheds sets it to 0, and the next look shows the effect."""

    @property
    def said(self) -> str:
        """Why nothing is taken in; empty while there is room."""
        return "Redis is nearly full: polling continues when there is room (see store.full)" if self.full else ""

    def refused(self) -> None:
        """The server had no room for what it was asked to take in.

        That can be long before its memory is full, for what is on the way to it counts as well.
        """
        self._refused_ms, self._share_refused, self.full = self._clock.now_ms(), None, True

    async def look(self) -> None:
        """Ask the server. Raises StoreUnavailable."""
        if self._told is None:
            # A worker that starts between the two shares does what the others do.
            self._told = await self._operations.condition(CONDITION) == FULL
        use = await self._server.memory()
        full = is_full(use.used, use.limit, self._stop_share, was_full=self._told) or self._still_refused(use)
        if full != self._told:
            await self._tell(full, {"usedBytes": use.used, "maxBytes": use.limit})
        self.full = self._told = full
        self.excess = excess(use.used, use.limit, self._shed_share)

    def _still_refused(self, use: MemoryUse) -> bool:
        """Whether there is no more room than when something was refused, a short time ago."""
        if self._clock.now_ms() - self._refused_ms > REFUSED_MS or not use.limit:
            return False
        share = use.used / use.limit
        if self._share_refused is None:
            self._share_refused = share
        return share >= self._share_refused - RESUME_LOWER

    async def _tell(self, full: bool, data: dict[str, int]) -> None:
        condition, now_ms = (CONDITION, FULL if full else WELL), self._clock.now_ms()
        if full:
            log.warning("store_full", **data, do="polling waits; see docs/runbook.md, Redis is full")
            await self._operations.note("store.full", data, now_ms=now_ms, condition=condition)
        else:
            log.warning("store_recovered", **data)
            await self._operations.note("store.recovered", data, now_ms=now_ms, condition=condition)
