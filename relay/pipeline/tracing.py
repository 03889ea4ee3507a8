"""Asks the upstream what a visitor did: one request at a time for a source, and few that wait.

The upstream gets one request of the poller of a source at a time (hazard H29). A trace does not wait for the poller,
whose slices last for 20 s, and does not take its lease: a subscriber must not be able to delay the events of a source.
So an upstream has two requests in flight at most: one of the poller, and one for a trace.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from relay.domain.model import Source, SourceUid
from relay.domain.tracing import ROWS_AT_MOST, Trace, trace_of
from relay.errors import Absent, NotFound, StoreUnavailable, TooMany
from relay.outbound.reports_api import Page, ReportsApi
from relay.store.trace_turns import TraceTurns

DEADLINE_S = 20.0
"""For one request to the upstream, from its first byte to the last one that is read."""
TURN_S = DEADLINE_S + 10.0
"""A turn that nobody gave back ends after this."""
WAIT_S = 10.0
"""How long a request waits for its turn."""
WAITING_AT_MOST = 20
"""Requests for one source that wait in this process."""
ASK_AGAIN_S = 0.1


class Tracing:
    """Traces of visitors, of all sources."""

    def __init__(self, reports: ReportsApi, turns: TraceTurns, *, wait_s: float = WAIT_S) -> None:
        self._reports = reports
        self._turns = turns
        self._wait_s = wait_s
        self._waiting: dict[SourceUid, int] = defaultdict(int)
        self._places: dict[SourceUid, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def trace(
        self, source: Source, visitor: str, *, until: int, passes: Callable[[dict[str, Any]], bool]
    ) -> Trace:
        """The touch points of a visitor up to the rowId `until` that pass.

        Raises NotFound when the upstream knows no such visitor, Refused (the source's credentials), Late, Retriable for
        all other failures, and TooMany when others wait for the same source.
        """
        page = await self._in_turn(source, visitor, until)
        complete = not page.truncated and len(page.lines) < ROWS_AT_MOST
        return await asyncio.to_thread(
            trace_of, source, page.lines, visitor=visitor, until=until, passes=passes, complete=complete
        )

    async def _in_turn(self, source: Source, visitor: str, until: int) -> Page:
        uid = source.uid
        if self._waiting[uid] >= WAITING_AT_MOST:
            raise _busy(uid)
        self._waiting[uid] += 1
        try:
            async with asyncio.timeout(self._wait_s) as limit, self._places[uid]:
                await self._take(uid)
                limit.reschedule(None)
                return await self._asked(source, visitor, until)
        except TimeoutError:
            raise _busy(uid) from None
        finally:
            self._waiting[uid] -= 1
            if not self._waiting[uid]:
                del self._waiting[uid]
                self._places.pop(uid, None)

    async def _take(self, source: SourceUid) -> None:
        """Wait for the turn. Only the first request of each process asks for it."""
        while True:
            if await self._turns.take(source, lives_ms=round(TURN_S * 1000)):
                return
            await asyncio.sleep(ASK_AGAIN_S)

    async def _asked(self, source: Source, visitor: str, until: int) -> Page:
        try:
            return await self._reports.trace(source, visitor, until=until, limit=ROWS_AT_MOST)
        except Absent:
            raise NotFound("Infinity has no trace of this visitor, or no longer") from None
        finally:
            await asyncio.shield(self._end_turn(source.uid))

    async def _end_turn(self, source: SourceUid) -> None:
        with suppress(StoreUnavailable):  # It ends by itself after a while.
            await self._turns.give_back(source)


def _busy(source: SourceUid) -> TooMany:
    return TooMany(f"other requests wait for traces of source {source}", retry_after_s=5)
