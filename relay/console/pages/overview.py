"""`/console`: what the relay does now, and what needs a look first."""

from typing import Any

from litestar import Response, get
from litestar.params import FromQuery

from relay.console.api import Refused, together
from relay.console.pages.endpoints import drawn
from relay.console.pages.signing_in import VisitGiven

LISTED = 8
BAD_FRESHNESS = ("stalled", "lagging")


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
    return visit.page(
        "overview.html",
        sources=sources,
        failing=failing,
        oldest=oldest,
        history=history,
        chart=None if isinstance(history, Refused) else drawn(history),
        span="hour" if span == "hour" else "day",
        rows_per_minute=_rows_per_minute(sources),
        trouble=_trouble(sources),
    )


def routes_of(sources: Any) -> list[dict[str, Any]]:
    """The states of all routes in a list of sources."""
    if isinstance(sources, Refused):
        return []
    return [route for source in sources["data"] for route in (source.get("routeStates") or {}).values()]


def _rows_per_minute(sources: Any) -> float:
    return sum(float(route["rowsPerMinute"]) for route in routes_of(sources))


def _trouble(sources: Any) -> int:
    return sum(route["freshness"] in BAD_FRESHNESS or route["state"] == "stopped" for route in routes_of(sources))
