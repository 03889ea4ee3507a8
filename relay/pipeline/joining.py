"""Bringing a slice in line with the routes that its source has now: they can be added and removed while it runs."""

from relay.domain.model import ROUTES, RouteState, Source
from relay.domain.polling import since_when
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
