"""What an operator can do about one route: poll it now, pause it, resume it, and look at its readings."""

from litestar import Controller, get, post
from litestar.params import FromPath

from relay.api.access import needs
from relay.api.dependencies import ClockGiven, StoresGiven
from relay.api.schemas.backfills import ReadingsOut, show_reading
from relay.api.schemas.routes import RouteOut, show_route
from relay.api.schemas.sources import SourceOut, show_source
from relay.domain.model import Source
from relay.domain.names import source_uid
from relay.domain.principals import Resource
from relay.errors import NotFound
from relay.pipeline.clock import Clock
from relay.wiring import Stores


class SteeringController(Controller):
    """`/api/v1/source/{uid}/poll` and `/api/v1/source/{uid}/route/{route}/…`."""

    path = "/source/{uid:str}"
    tags = ["source"]  # noqa: RUF012 - the framework's own attribute
    opt = needs(Resource.SOURCE)

    @post("/poll", summary="Poll a source now", status_code=200)
    async def poll_source(self, uid: FromPath[str], stores: StoresGiven, clock: ClockGiven) -> SourceOut:
        """Poll every route at once, also one that waits after a failure or was stopped. Paused routes stay paused."""
        source = await stores.sources.get(source_uid(uid))
        for route in source.routes:
            await stores.routes.steer(source.uid, route, {"next_poll_at_ms": 0})
        return await shown_source(source, stores, clock)

    @post("/route/{route:str}/poll", summary="Poll a route now", status_code=200)
    async def poll_route(
        self, uid: FromPath[str], route: FromPath[str], stores: StoresGiven, clock: ClockGiven
    ) -> RouteOut:
        """Poll a route at once, also if it waits after a failure, or was stopped because of its credentials."""
        return await _steered(stores, uid, route, clock, next_poll_at_ms=0)

    @post("/route/{route:str}/pause", summary="Pause a route", status_code=200)
    async def pause_route(
        self, uid: FromPath[str], route: FromPath[str], stores: StoresGiven, clock: ClockGiven
    ) -> RouteOut:
        """Stop polling one route, and all its readings. Stored events are still delivered."""
        return await _steered(stores, uid, route, clock, paused=1)

    @post("/route/{route:str}/resume", summary="Resume a route", status_code=200)
    async def resume_route(
        self, uid: FromPath[str], route: FromPath[str], stores: StoresGiven, clock: ClockGiven
    ) -> RouteOut:
        """Continue with a route from its cursor, at once."""
        return await _steered(stores, uid, route, clock, paused=0, next_poll_at_ms=0)

    @get("/route/{route:str}/reading", summary="List the readings of a route")
    async def list_readings(self, uid: FromPath[str], route: FromPath[str], stores: StoresGiven) -> ReadingsOut:
        """List the readings of rows that the cursor has passed: how far each is, and what it has found."""
        source = await _source(stores, uid, route)
        places = (await stores.readings.load(source.uid)).of.get(route, {})
        return ReadingsOut(data=[show_reading(name, places[name]) for name in sorted(places)])


async def shown_source(source: Source, stores: Stores, clock: Clock) -> SourceOut:
    """A source with the states of its routes."""
    now_ms, states = clock.now_ms(), await stores.routes.states(source.uid, source.routes)
    return show_source(source, states, await stores.lags.read(source.uid, now_ms=now_ms), now_ms=now_ms)


async def shown_route(source: Source, route: str, stores: Stores, clock: Clock) -> RouteOut:
    """The state of a route."""
    now_ms, (state,) = clock.now_ms(), await stores.routes.states(source.uid, [route])
    lags = await stores.lags.read(source.uid, now_ms=now_ms)
    return show_route(state, source, lags.get(route), now_ms=now_ms)


async def _source(stores: Stores, uid: str, route: str) -> Source:
    source = await stores.sources.get(source_uid(uid))
    if route not in source.routes:
        raise NotFound(f"source {uid} has no route {route}; it has {', '.join(source.routes)}")
    return source


async def _steered(stores: Stores, uid: str, route: str, clock: Clock, **fields: int) -> RouteOut:
    source = await _source(stores, uid, route)
    await stores.routes.steer(source.uid, route, fields)
    return await shown_route(source, route, stores, clock)
