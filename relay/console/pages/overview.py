"""`/console`: what the relay does now, and what needs a look first."""

from typing import Any

from litestar import Response, get
from litestar.params import FromQuery

from relay.console.api import Refused, together
from relay.console.pages.endpoints import drawn
from relay.console.pages.signing_in import VisitGiven
from relay.console.pages.sources import Polled, is_behind, polled, worst_first

LISTED = 8
ROUTES_LISTED = 10
"""Routes of sources, those that are furthest behind first. The page of sources lists the others."""


@get("/")
async def overview(visit: VisitGiven, span: FromQuery[str | None] = None) -> Response[bytes]:
    """The overview. `span`: of the chart, `hour` or `day`."""
    api = visit.api
    unit = "minute" if span == "hour" else "hour"
    sources, failing, history, oldest = await together(
        api.get("source", limit=250),
        api.get("stats", "failing-endpoint", hours=24, limit=LISTED),
        api.get("stats", "history", unit=unit),
        api.get("stats", "oldest-undelivered", limit=LISTED),
    )
    routes = _routes(sources)
    return visit.page(
        "overview.html",
        sources=sources,
        failing=failing,
        oldest=oldest,
        history=history,
        chart=None if isinstance(history, Refused) else drawn(history),
        span="hour" if span == "hour" else "day",
        rows_per_minute=sum(float(each.route["rowsPerMinute"]) for each in routes),
        trouble=sum(is_behind(each) for each in routes),
        routes=worst_first(routes)[:ROUTES_LISTED],
        more_routes=len(routes) > ROUTES_LISTED,
    )


def _routes(sources: Any) -> list[Polled]:
    return [] if isinstance(sources, Refused) else polled(sources["data"])
