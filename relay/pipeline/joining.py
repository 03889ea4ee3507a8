"""Bringing a slice in line with the routes that its source has now: they can be added and removed while it runs."""

import msgspec

from relay.domain.model import ROUTES, RouteState, Source
from relay.domain.polling import since_when
from relay.outbound.reports_api import ReportsApi
from relay.pipeline.clock import Clock
from relay.pipeline.route_poll import RoutePoll
from relay.store.routes import Routes, Token


async def join_routes(routes: Routes, source: Source, polls: dict[str, RoutePoll], token: Token) -> None:
    """Begin with routes that were added, and forget those that were removed. Raises Fenced, or Astray.

    What was removed is forgotten with its cursor: a route that is added again is a new one, see
    docs/adr/0005-rows-belong-to-a-route.md.
    """
    states = await routes.states(source.uid, ROUTES)
    joined = since_when(states, source.routes)
    left = [
        state.route for state in states if state.route not in source.routes and state != RouteState(route=state.route)
    ]
    if joined or left:
        await routes.settle(source.uid, joined=joined, left=left, token=token)
    for name in polls.keys() - set(source.routes):
        await polls.pop(name).drop_ahead()
    for state in states:
        if state.route in source.routes and state.route not in polls:
            polls[state.route] = RoutePoll(state, token, joined=joined.get(state.route, state.joined))


async def begin(
    poll: RoutePoll, source: Source, *, reports: ReportsApi, routes: Routes, clock: Clock, overlap_at_ms: int
) -> None:
    """Give a route its first cursor: behind the newest row there is. Raises what the upstream and the store raise.

    A route that the source was made with begins at `startRowId`, if there is one.
    """
    route = poll.state.route
    if source.start_row_id is not None and poll.state.joined != "later":
        cursor = max(0, source.start_row_id - 1)
    else:
        cursor = await reports.newest(source, route)
    changes = {"state": "polling", "next_poll_at_ms": 0, "overlap_at_ms": overlap_at_ms}
    await routes.start(source.uid, route, cursor, token=poll.token, now_ms=clock.now_ms(), changes=changes)
    poll.state = msgspec.structs.replace(poll.state, cursor=cursor, **changes)
