"""`/console/tail`: attempts as they end. The newest of an application are listed for browsers without JavaScript."""

from typing import Any
from urllib.parse import urlencode

from litestar import Response, get
from litestar.params import FromQuery

from relay.console.api import Api, Refused, together
from relay.console.forms import Entry
from relay.console.listing import MISTAKEN
from relay.console.pages.signing_in import VisitGiven
from relay.console.states import state_of
from relay.console.streaming import ApiStream
from relay.console.visits import Visit
from relay.console.words import spaced
from relay.domain.event_types import CLASSES

OUTCOMES = ("delivered", "skipped", "retry", "dead", "disabled")
ENDPOINTS, ATTEMPTS = 8, 50
"""Endpoints whose newest attempts are listed, and how many of them in all."""


@get("/tail")
async def tail_page(
    visit: VisitGiven,
    source: FromQuery[str | None] = None,
    app: FromQuery[str | None] = None,
    endpoint: FromQuery[str | None] = None,
    event_types: FromQuery[str | None] = None,
    classes: FromQuery[str | None] = None,
    outcomes: FromQuery[str | None] = None,
) -> Response[bytes]:
    """The page. The parameters are those of the operation that streams."""
    chosen = {
        "source": source,
        "app": app if visit.is_operator else None,
        "endpoint": endpoint,
        "event_types": event_types,
        "classes": classes if classes in CLASSES else None,
        "outcomes": outcomes if outcomes in OUTCOMES else None,
    }
    within = app if visit.is_operator else visit.principal["appId"]
    newest = await _newest(visit, within, endpoint) if within else []
    mistaken = newest if isinstance(newest, Refused) and newest.status in MISTAKEN else None
    query = urlencode({name: value for name, value in chosen.items() if value})
    return visit.page(
        "tail.html",
        status=mistaken.status if mistaken else 200,
        entry=Entry(chosen, mistaken),
        stream="/console/tail/stream" + (f"?{query}" if query else ""),
        class_words=[(name, spaced(name)) for name in CLASSES],
        outcome_words=[(name, state_of(name).word) for name in OUTCOMES],
        outcomes=OUTCOMES,
        within=within,
        newest=[] if mistaken else newest,
    )


@get("/tail/stream", media_type="text/event-stream")
async def tail_stream(visit: VisitGiven) -> ApiStream:
    """The stream, as `GET /api/v1/tail` gives it."""
    return ApiStream(visit, "/tail")


async def _newest(visit: Visit, app: str, endpoint: str | None) -> Any:
    """The newest attempts of an application, with the names of their endpoints.

    Refused: the key lacks the scope, or there is no such application or endpoint.
    """
    try:
        return await _attempts(visit.api, app, endpoint)
    except Refused as refused:
        if refused.status not in MISTAKEN:
            raise
        return refused


async def _attempts(api: Api, app: str, endpoint: str | None) -> Any:
    (found,) = await together(
        api.get("app", app, "endpoint", endpoint) if endpoint else api.get("app", app, "endpoint", limit=ENDPOINTS)
    )
    if isinstance(found, Refused):
        return found
    endpoints = [found] if endpoint else found["data"]
    lists = await together(*(api.get("app", app, "attempt", "endpoint", each["id"], limit=20) for each in endpoints))
    names = {each["id"]: each["uid"] or each["id"] for each in endpoints}
    if refused := next((each for each in lists if isinstance(each, Refused)), None):
        return refused
    attempts = [each | {"endpointName": names[each["endpointId"]]} for page in lists for each in page["data"]]
    return sorted(attempts, key=lambda each: str(each["timestamp"]), reverse=True)[:ATTEMPTS]
