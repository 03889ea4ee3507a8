"""Bringing a slice in line with the routes that its source has now: they can be added and removed while it runs."""

from collections.abc import Iterable
from typing import Any

import msgspec
import structlog

from relay.domain.model import ROUTES, Source, SourceUid
from relay.domain.plausibility import FURTHEST, UNUSUAL, is_jump, lowest_beside
from relay.domain.polling import since_when, start_text
from relay.domain.route_state import RouteState
from relay.outbound.reports_api import ReportsApi
from relay.pipeline.catalogue import Catalogue
from relay.pipeline.clock import Clock
from relay.pipeline.route_poll import RoutePoll, SourcePoll
from relay.store.readings import Footing, Readings
from relay.store.routes import Routes, Token

log = structlog.get_logger()

MOST_LOOKS = 10
"""How many rows far ahead of all others are looked behind, before a route begins behind one of them after all."""


async def join_routes(
    routes: Routes, readings: Readings, catalogue: Catalogue, uid: SourceUid, polls: SourcePoll, token: Token
) -> tuple[Footing, list[RoutePoll]]:
    """Begin with routes that were added, and forget those that were removed. Raises Fenced, or Astray.

    What was removed is forgotten with its cursor: a route that is added again is a new one, see
    docs/adr/0005-rows-belong-to-a-route.md. By the newest configuration: who polled before may have known a newer one
    than this process, and begun with a route that is not known here yet. Gives what the store
    says, and the routes that are new in this slice.
    """
    known = catalogue.sources.get(uid)
    footing = await readings.footing(uid, ROUTES, trails_of=() if known is None else known.routes)
    states = footing.states
    if _left(states, catalogue.sources.get(uid)):
        await catalogue.refresh()
    if (source := catalogue.sources.get(uid)) is None:
        return footing, []
    joined, left = since_when(states, source.routes, start_row_id=source.start_row_id), _left(states, source)
    if joined or left:
        noted = {state.route: joined.get(state.route, state.joined) for state in states if state.route in source.routes}
        await routes.settle(uid, joined=noted, start=start_text(source.start_row_id), left=left, token=token)
    for name in polls.routes.keys() - set(source.routes):
        await polls.routes.pop(name).drop_ahead()
    places = footing.places
    polls.budget.due_ms = max(polls.budget.due_ms, places.budget_ms)
    new = [
        RoutePoll(
            state, token,
            joined=joined.get(state.route, state.joined), places=places.of.get(state.route, {}), budget=polls.budget,
            trail=footing.trails.get(state.route),
        )
        for state in states
        if state.route in source.routes and state.route not in polls.routes
    ]  # fmt: skip
    polls.routes |= {poll.state.route: poll for poll in new}
    return footing, new


def _left(states: Iterable[RouteState], source: Source | None) -> list[str]:
    known = source.routes if source is not None else ()
    return [state.route for state in states if state.route not in known and state != RouteState(route=state.route)]


async def begin(poll: RoutePoll, source: Source, *, reports: ReportsApi, routes: Routes, clock: Clock) -> None:
    """Give a route its first cursor: behind the newest row there is. Raises what the upstream and the store raise.

    A route that the source was made with, or with which another one was given, begins at `startRowId`.
    """
    route = poll.state.route
    changes: dict[str, Any] = {"state": "polling", "next_poll_at_ms": 0}
    if source.start_row_id is not None and poll.state.joined != "later":
        cursor = max(0, source.start_row_id - 1)
    else:
        cursor = await _newest(source, route, reports)
        changes["anchored"] = int(cursor > 0)
    await routes.start(source.uid, route, cursor, token=poll.token, now_ms=clock.now_ms(), changes=changes)
    poll.state = msgspec.structs.replace(poll.state, cursor=cursor, **changes)
    poll.trail = None
    log.info("route_begun", source=source.uid, route=route, cursor=cursor)


async def _newest(source: Source, route: str, reports: ReportsApi) -> int:
    """The newest rowId that is plausible: the route would never show a row behind one that is not."""
    newest = await reports.newest(source, route)
    if newest > FURTHEST:
        newest = await reports.newest(source, route, until=FURTHEST)
    for _ in range(MOST_LOOKS):
        if newest <= UNUSUAL:
            break
        # Below all of its neighbours, because false rows can come in numbers.
        lowest = lowest_beside(newest)
        before = await reports.newest(source, route, until=lowest)
        if not is_jump(before, lowest if before else newest, is_row=before > 0):
            break
        newest = before
    return newest
