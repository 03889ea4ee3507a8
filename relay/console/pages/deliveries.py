"""The page of one delivery: what became of a message at an endpoint, the request, and each attempt with its answer."""

from typing import Any

from litestar import Response, get
from litestar.params import FromPath

from relay.console.api import Refused, together
from relay.console.pages.applications import AT
from relay.console.pages.signing_in import VisitGiven
from relay.console.rendering import refreshes
from relay.console.visits import Visit
from relay.console.words import segment


@get("/applications/{app:str}/messages/{msg:str}/endpoints/{endpoint:str}")
async def delivery_page(
    visit: VisitGiven, app: FromPath[str], msg: FromPath[str], endpoint: FromPath[str]
) -> Response[bytes]:
    """One delivery."""
    api = visit.api
    application, found, message, explanation, attempts = await together(
        api.get("app", app),
        api.get("app", app, "endpoint", endpoint),
        api.get("app", app, "msg", msg),
        api.get("app", app, "msg", msg, "explanation"),
        api.get("app", app, "attempt", "msg", msg, endpoint_id=endpoint, limit=50),
        needed=(1, 2),
    )
    return visit.page(
        "delivery.html",
        application=application,
        endpoint=found,
        message=message,
        state=_state(explanation, found["id"]),
        explanation=explanation,
        attempts=attempts,
        # A page that refreshes itself does not take the request: nobody pays for a dry run every few seconds.
        asked=None
        if found["type"] == "poller" or refreshes(visit.request)
        else await _request(visit, app, msg, endpoint),
        base=f"{AT}/{segment(app)}",
    )


async def _request(visit: Visit, app: str, msg: str, endpoint: str) -> Any:
    """The request as the relay would send it now; or the Refused that says why there is none."""
    try:
        path = ("app", app, "endpoint", endpoint, "transformation", "test")
        return await visit.api.call("POST", path, body={"message": msg})
    except Refused as refused:
        return refused


def _state(explanation: Any, endpoint: str) -> Any:
    """What became of the message at the endpoint. None: the API did not say it."""
    if isinstance(explanation, Refused):
        return None
    return next((each for each in explanation["deliveries"] if each["endpointId"] == endpoint), None)
