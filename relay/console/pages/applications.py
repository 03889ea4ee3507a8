"""`/console/applications`: the list of applications, and the page of one with its endpoints."""

from litestar import Response, get
from litestar.params import FromPath, FromQuery

from relay.console.api import together
from relay.console.pages.signing_in import VisitGiven
from relay.console.words import segment

AT = "/console/applications"


@get("/applications")
async def list_applications(visit: VisitGiven, iterator: FromQuery[str | None] = None) -> Response[bytes]:
    """All applications that exist for the key."""
    found = await visit.api.get("app", limit=50, iterator=iterator)
    return visit.page("applications.html", applications=found)


@get("/applications/{app:str}")
async def application_page(
    visit: VisitGiven, app: FromPath[str], iterator: FromQuery[str | None] = None
) -> Response[bytes]:
    """One application and its endpoints."""
    application, endpoints = await together(
        visit.api.get("app", app), visit.api.get("app", app, "endpoint", limit=50, iterator=iterator), needed=(0,)
    )
    return visit.page("application.html", application=application, endpoints=endpoints)


def endpoint_at(app: str, endpoint: str, *more: str) -> str:
    """The address of a page of an endpoint."""
    return "/".join((AT, segment(app), "endpoints", segment(endpoint), *map(segment, more)))
