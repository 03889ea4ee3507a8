"""`/console/failing-endpoints`: every endpoint that fails, the worst first. The overview lists the first of them."""

from litestar import Response, get
from litestar.params import FromQuery

from relay.console.pages.signing_in import VisitGiven

HOURS = 24
"""How long ago a failure counts."""


@get("/failing-endpoints")
async def failing_endpoints(visit: VisitGiven, iterator: FromQuery[str | None] = None) -> Response[bytes]:
    """The list."""
    failing = await visit.api.get("stats", "failing-endpoint", hours=HOURS, limit=50, iterator=iterator)
    return visit.page("failing_endpoints.html", failing=failing)
