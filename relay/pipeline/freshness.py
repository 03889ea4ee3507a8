"""Reports routes that do not keep up with their upstream, once each, and their recovery."""

from collections.abc import Sequence

import structlog

from relay.domain.freshness import Freshness, freshness
from relay.domain.model import Source
from relay.domain.route_state import RouteState
from relay.pipeline.quarantine import CONDITION as QUARANTINE
from relay.store.chores import Chores
from relay.store.operations import Operations
from relay.store.routes import Routes
from relay.store.server import Server

log = structlog.get_logger()

LOOK_S = 5.0
LATE_SHARE, MOST_LOOKS_BETWEEN = 0.25, 3
"""A route of a source is looked at each quarter of its poll interval, and at least each 15 s."""
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
        self._looks = 0

    async def look(self, sources: Sequence[Source]) -> None:
        """Note every route that began to lag, or keeps up again. Raises StoreUnavailable."""
        if not await self._chores.take("freshness", seconds=LOOK_S * 0.9):
            return
        now_ms, conditions = await self._server.now_ms(), await self._operations.conditions("")
        held = {name: state for name, state in conditions.items() if name.startswith(CONDITION)}
        chosen = [each for each in sources if self._looks % looks_between(each.poll_interval_s) == 0]
        self._looks += 1
        states = await self._routes.states_of(chosen)
        for source in chosen:
            for state in states[source.uid]:
                found = freshness(state, poll_s=source.poll_interval_s, is_paused=source.paused, now_ms=now_ms)
                await self._tell(source, state, found, held.pop(f"{CONDITION}{source.uid}/{state.route}", None), now_ms)
        # Routes and sources that are not polled any more.
        polled = {f"{CONDITION}{source.uid}/{route}" for source in sources for route in source.routes} if held else ()
        kept = {f"{QUARANTINE}{source.uid}" for source in sources}
        left = [name for name in conditions if name.startswith(QUARANTINE) and name not in kept]
        await self._operations.forget_conditions([*(name for name in held if name not in polled), *left])

    async def _tell(self, source: Source, state: RouteState, found: Freshness, before: str | None, now_ms: int) -> None:
        if found == before or (found not in ALARMS and before not in ALARMS):
            return
        data = {"source": source.uid, "route": state.route, "cursor": state.cursor, "lastError": state.last_error}
        condition = f"{CONDITION}{source.uid}/{state.route}", found
        if found in ALARMS:
            log.warning("route_late", freshness=found, **data, do="see docs/runbook.md, A route lags")
            await self._operations.note(f"source.{found}", data, now_ms=now_ms, condition=condition)
        else:
            log.info("route_recovered", **data)
            await self._operations.note("source.recovered", data, now_ms=now_ms, condition=condition)


def looks_between(poll_s: float) -> int:
    """At which of the looks a source is looked at: a route that is polled rarely is late later, too.

    >>> [looks_between(poll_s) for poll_s in (0.1, 30, 60, 3600)]
    [1, 1, 3, 3]
    """
    return max(1, min(MOST_LOOKS_BETWEEN, int(poll_s * LATE_SHARE / LOOK_S)))
