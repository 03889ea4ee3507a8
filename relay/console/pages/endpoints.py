"""The page of an endpoint: its state, its backlog, its attempts, and what can be done about it."""

from typing import Any

from litestar import Response, get, post
from litestar.exceptions import NotFoundException
from litestar.params import FromPath, FromQuery

from relay.console.api import Refused, together
from relay.console.charts import Chart, Series, stacked
from relay.console.pages.applications import endpoint_at
from relay.console.pages.signing_in import VisitGiven

STEPS_S = {"minute": 60, "hour": 3600}
ATTEMPTS = 15
"""Attempts in a page of their list."""
SERIES = (Series("success", "Succeeded", "good"), Series("fail", "Failed", "bad"))
STEPS: dict[str, tuple[dict[str, Any], str]] = {
    "pause": ({"paused": True}, "The endpoint is paused. The relay keeps its events."),
    "resume": ({"paused": False}, "The endpoint is resumed. The relay sends the events that waited."),
    "disable": ({"disabled": True}, "The endpoint is disabled. The relay keeps its events."),
    "enable": ({"disabled": False}, "The endpoint is enabled. The relay sends the events that waited."),
}


@get("/applications/{app:str}/endpoints/{endpoint:str}")
async def endpoint_page(
    visit: VisitGiven, app: FromPath[str], endpoint: FromPath[str], iterator: FromQuery[str | None] = None
) -> Response[bytes]:
    """The page. `iterator`: of the list of attempts."""
    api, path = visit.api, ("app", app, "endpoint", endpoint)
    application, found, stats, history, attempts = await together(
        api.get("app", app),
        api.get(*path),
        api.get(*path, "stats"),
        api.get(*path, "history", unit="hour"),
        api.get("app", app, "attempt", "endpoint", endpoint, limit=ATTEMPTS, iterator=iterator),
        needed=(1,),
    )
    return visit.page(
        "endpoint.html",
        application=application,
        endpoint=found,
        stats=stats,
        health=None if isinstance(stats, Refused) else stats["health"],
        history=history,
        chart=None if isinstance(history, Refused) else drawn(history),
        attempts=attempts,
        event_types=found["eventTypes"] or ["call.created"],
    )


@post("/applications/{app:str}/endpoints/{endpoint:str}/{step:str}")
async def steer_endpoint(
    visit: VisitGiven, app: FromPath[str], endpoint: FromPath[str], step: FromPath[str]
) -> Response[bytes]:
    """Pause, resume, disable or enable the endpoint."""
    if step not in STEPS:
        raise NotFoundException
    body, done = STEPS[step]
    return await visit.act(
        "PATCH", "app", app, "endpoint", endpoint, body=body, to=endpoint_at(app, endpoint), done=done
    )


@post("/applications/{app:str}/endpoints/{endpoint:str}/test")
async def send_test(visit: VisitGiven, app: FromPath[str], endpoint: FromPath[str]) -> Response[bytes]:
    """Send the example of an event type."""
    event_type = visit.form.get("eventType", "")
    return await visit.act(
        "POST", "app", app, "endpoint", endpoint, "send-example",
        body={"eventType": event_type}, to=endpoint_at(app, endpoint),
        done=f"A test event of type {event_type} is on its way. Its attempt appears below.",
    )  # fmt: skip


def drawn(history: Any) -> Chart:
    """The chart of a history by minutes or hours."""
    step_s = STEPS_S[history["unit"]]
    return stacked(history["buckets"], SERIES, since=history["since"], until=history["until"], step_s=step_s)
