"""Recovering an endpoint after an outage: everything dead since a time is counted, and resent when you confirm."""

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from litestar import Response, get, post
from litestar.params import FromPath, FromQuery

from relay.console.api import Refused
from relay.console.forms import Entry
from relay.console.pages.applications import endpoint_at
from relay.console.pages.endpoint_replays import replaying_page
from relay.console.pages.signing_in import VisitGiven
from relay.console.visits import Visit

FIELDS = ("since", "until")
TEMPLATE = "endpoint_recover.html"
LOOKS_BACK = timedelta(days=1)


@get("/applications/{app:str}/endpoints/{endpoint:str}/recover")
async def recovery_page(
    visit: VisitGiven,
    app: FromPath[str],
    endpoint: FromPath[str],
    task: FromQuery[str | None] = None,
    since: FromQuery[str | None] = None,
    until: FromQuery[str | None] = None,
) -> Response[bytes]:
    """The page. `task`: the task that counts or sends; the others are what its form had."""
    entry = Entry({"since": since or _a_day_ago(visit), "until": until})
    known = await visit.api.get("background-task", task) if task else None
    return await replaying_page(visit, TEMPLATE, app, endpoint, entry, known)


@post("/applications/{app:str}/endpoints/{endpoint:str}/recover")
async def begin_recovery(visit: VisitGiven, app: FromPath[str], endpoint: FromPath[str]) -> Response[bytes]:
    """Count the dead messages, or send them again after they were counted."""
    form = {name: visit.form.get(name, "") for name in FIELDS}
    body: dict[str, Any] = {name: value for name, value in form.items() if value}
    body["dryRun"] = visit.form.get("do") != "send"
    path = ("app", app, "endpoint", endpoint, "recover")
    try:
        task = await visit.api.call("POST", path, body=body, once=visit.once)
    except Refused as refused:
        entry = Entry(form, refused)
        return await replaying_page(visit, TEMPLATE, app, endpoint, entry, None, status=refused.status)
    asked = {"task": task["id"]} | {name: value for name, value in form.items() if value}
    return visit.redirect(f"{endpoint_at(app, endpoint, 'recover')}?{urlencode(asked)}")


def _a_day_ago(visit: Visit) -> str:
    now = datetime.fromtimestamp(visit.now_ms / 1000, UTC)
    return f"{now - LOOKS_BACK:%Y-%m-%dT%H:%M:%SZ}"
