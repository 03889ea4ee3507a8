"""Pressure: whether the store has room. When it has none, nothing more is taken in, and operators are told.

Room is memory, and a backlog that is not too long. Each worker looks at the memory. One of them counts the backlog, and
the others read what it noted.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from relay.domain.model import SourceUid
from relay.domain.pressure import excess, holds_back
from relay.pipeline.clock import Clock
from relay.store.operations import Operations
from relay.store.outstanding import Outstanding
from relay.store.server import MemoryUse, Server

log = structlog.get_logger()

MEMORY, BACKLOG = "store", "backlog"
"""What operational events and conditions are named after."""
FULL, WELL = "full", "well"
REFUSED_MS = 10_000
"""So long after something was refused it is tried again, however full the server seems to be."""
REFUSED_LOWER = 0.05
"""Or when the share is so much lower than it was then."""
NEVER_MS = -(2**62)
_SAID = {
    MEMORY: "Redis is nearly full: polling continues when there is room (see store.full)",
    BACKLOG: "too many deliveries wait: polling continues when there are fewer (see backlog.full)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """How much may be used. Shares are of the server's `maxmemory`."""

    shed_share: float
    stop_share: float
    resume_share: float
    stop_deliveries: int
    resume_deliveries: int


class Pressure:
    """What this worker knows of the store's room."""

    def __init__(
        self, *, server: Server, operations: Operations, outstanding: Outstanding, clock: Clock, room: Room
    ) -> None:
        self._server = server
        self._operations = operations
        self._outstanding = outstanding
        self._clock = clock
        self._room = room
        self._told: bool | None = None
        """What operators were told of the memory last; None: not asked yet."""
        self._refused_ms = NEVER_MS
        self._share_refused: float | None = None
        self._is_backlogged = False
        self.full = False
        """Whether to take nothing more in."""
        self.excess = 0
        """Bytes that are to be shed. The chore that sheds sets it to 0, and the next look shows the effect."""

    @property
    def said(self) -> str:
        """Why nothing is taken in; empty while there is room."""
        return _SAID[BACKLOG if self._is_backlogged and not self._told else MEMORY] if self.full else ""

    def refused(self) -> None:
        """The server had no room for what it was asked to take in.

        That can be long before its memory is full, for what is on the way to it counts as well.
        """
        self._refused_ms, self._share_refused, self.full = self._clock.now_ms(), None, True

    async def look(self) -> None:
        """Ask the server. Raises StoreUnavailable."""
        if self._told is None:
            # A worker that starts between the two shares does what the others do.
            self._told = await self._operations.condition(MEMORY) == FULL
        use, room = await self._server.memory(), self._room
        share = use.used / use.limit if use.limit else 0.0
        full = holds_back(share, stop=room.stop_share, resume=room.resume_share, held=self._told and use.limit > 0)
        full = full or self._still_refused(use)
        if full != self._told:
            await self._tell(MEMORY, full, {"usedBytes": use.used, "maxBytes": use.limit})
        self._told = full
        self._is_backlogged = await self._operations.condition(BACKLOG) == FULL
        self.full = full or self._is_backlogged
        self.excess = excess(use.used, use.limit, shed=room.shed_share, resume=room.resume_share, is_full=full)

    async def count(self, sources: Sequence[SourceUid]) -> None:
        """Count the backlog, for all workers. Raises StoreUnavailable."""
        deliveries, room = await self._outstanding.count(sources), self._room
        was_full = await self._operations.condition(BACKLOG) == FULL
        full = holds_back(deliveries, stop=room.stop_deliveries, resume=room.resume_deliveries, held=was_full)
        if full != was_full:
            await self._tell(BACKLOG, full, {"deliveries": deliveries, "most": room.stop_deliveries})

    def _still_refused(self, use: MemoryUse) -> bool:
        """Whether there is no more room than when something was refused, a short time ago."""
        if self._clock.now_ms() - self._refused_ms > REFUSED_MS or not use.limit:
            return False
        share = use.used / use.limit
        if self._share_refused is None:
            self._share_refused = share
        return share >= self._share_refused - REFUSED_LOWER

    async def _tell(self, what: str, full: bool, data: dict[str, int]) -> None:
        condition, now_ms = (what, FULL if full else WELL), self._clock.now_ms()
        if full:
            do = "polling waits; see docs/runbook.md, Redis is full"
            if what == MEMORY:
                log.warning("store_full", **data, do=do)
            else:
                log.warning("backlog_full", **data, do=do)
            await self._operations.note(f"{what}.full", data, now_ms=now_ms, condition=condition)
        else:
            if what == MEMORY:
                log.info("store_recovered", **data)
            else:
                log.info("backlog_recovered", **data)
            await self._operations.note(f"{what}.recovered", data, now_ms=now_ms, condition=condition)
