"""`/console/applications`: the list of applications, and the page of one with its endpoints."""

from typing import Any

from litestar import Response, get
from litestar.params import FromPath, FromQuery

from relay.console.api import Refused, together
from relay.console.finding import LARGEST, found, holding
from relay.console.listing import with_query
from relay.console.pages.failing import HOURS
from relay.console.pages.signing_in import VisitGiven
from relay.console.words import segment

AT = "/console/applications"


@get("/applications")
async def list_applications(
    visit: VisitGiven, find: FromQuery[str] = "", iterator: FromQuery[str | None] = None
) -> Response[bytes]:
    """All applications that exist for the key, or those in which a text is found."""
    conditions = holding(find.strip(), ("name", "uid", "id"))
    applications = await found(visit.api, "app", conditions=conditions, iterator=iterator)
    return visit.page("applications.html", applications=applications, find=find, at=with_query(AT, {"find": find}))


@get("/applications/{app:str}")
async def application_page(
    visit: VisitGiven, app: FromPath[str], find: FromQuery[str] = "", iterator: FromQuery[str | None] = None
) -> Response[bytes]:
    """One application and its endpoints, or those endpoints in which a text is found."""
    conditions = holding(find.strip(), ("uid", "description", "url", "id"))
    application, endpoints, failing = await together(
        visit.api.get("app", app),
        found(visit.api, "app", app, "endpoint", conditions=conditions, iterator=iterator),
        visit.api.get("stats", "failing-endpoint", app=app, hours=HOURS, limit=LARGEST),
        needed=(0,),
    )
    return visit.page(
        "application.html",
        application=application,
        endpoints=endpoints,
        states=_states(failing),
        find=find,
        at=with_query(visit.request.url.path, {"find": find}),
    )


def _states(failing: Any) -> dict[str, str]:
    """The states of endpoints that fail, by id. The list of endpoints itself does not say how they are doing."""
    if isinstance(failing, Refused):
        return {}
    states = {each["endpointId"]: each["health"]["state"] for each in failing["data"]}
    return {each: state for each, state in states.items() if state != "working"}


def endpoint_at(app: str, endpoint: str, *more: str) -> str:
    """The address of a page of an endpoint."""
    return "/".join((AT, segment(app), "endpoints", segment(endpoint), *map(segment, more)))
