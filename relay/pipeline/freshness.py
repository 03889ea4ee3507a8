"""Reports routes that do not keep up with their upstream, once each, and their recovery."""

from collections.abc import Sequence

import structlog

from relay.domain.freshness import Freshness, freshness
from relay.domain.model import RouteState, Source
from relay.store.chores import Chores
from relay.store.operations import Operations
from relay.store.routes import Routes
from relay.store.server import Server

log = structlog.get_logger()

LOOK_S = 5.0
CONDITION = "route:"
"""How the names of these conditions begin: `route:{source}/{route}`."""
ALARMS = ("lagging", "stalled")


class FreshnessWatch:
    """Looks at all routes. Workers share the work; any of them can do it."""

    def __init__(self, *, routes: Routes, operations: Operations, chores: Chores, server: Server) -> None:
        self._routes = routes
        self._operations = operations
        self._chores = chores
        self._server = server

    async def look(self, sources: Sequence[Source]) -> None:
        """Note every route that began to lag, or keeps up again. Raises StoreUnavailable."""
        if not await self._chores.take("freshness", seconds=LOOK_S * 0.9):
            return
        now_ms, held = await self._server.now_ms(), await self._operations.conditions(CONDITION)
        states = await self._routes.states_of(sources)
        for source in sources:
            for state in states[source.uid]:
                found = freshness(state, poll_s=source.poll_interval_s, is_paused=source.paused, now_ms=now_ms)
                await self._tell(source, state, found, held.pop(f"{CONDITION}{source.uid}/{state.route}", None), now_ms)
        # Routes and sources that are not polled any more.
        await self._operations.forget_conditions(held)

    async def _tell(self, source: Source, state: RouteState, found: Freshness, before: str | None, now_ms: int) -> None:
        if found == before or (found not in ALARMS and before not in ALARMS):
            return
        data = {"source": source.uid, "route": state.route, "cursor": state.cursor, "lastError": state.last_error}
        condition = f"{CONDITION}{source.uid}/{state.route}", found
        if found in ALARMS:
            log.warning("route_late", freshness=found, **data, do="see docs/runbook.md, A route lags")
            await self._operations.note(f"route.{found}", data, now_ms=now_ms, condition=condition)
        else:
            log.info("route_recovered", **data)
            await self._operations.note("route.recovered", data, now_ms=now_ms, condition=condition)
