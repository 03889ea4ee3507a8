"""Sending chosen messages to an endpoint again: first counted, then sent, with its progress."""

from typing import Any
from urllib.parse import urlencode

from litestar import Response, get, post
from litestar.params import FromPath, FromQuery

from relay.console.api import Refused, together
from relay.console.forms import Entry, names_of
from relay.console.pages.applications import endpoint_at
from relay.console.pages.signing_in import VisitGiven
from relay.console.visits import Visit

TEMPLATE = "endpoint_replay.html"
FIELDS = ("since", "until", "eventTypes", "states")
CHOICES = (("delivered dead", "Delivered and dead"), ("dead", "Dead"), ("delivered", "Delivered"))


@get("/applications/{app:str}/endpoints/{endpoint:str}/replay")
async def replay_page(
    visit: VisitGiven,
    app: FromPath[str],
    endpoint: FromPath[str],
    task: FromQuery[str | None] = None,
    since: FromQuery[str | None] = None,
    until: FromQuery[str | None] = None,
    types: FromQuery[str | None] = None,
    states: FromQuery[str | None] = None,
) -> Response[bytes]:
    """The page. `task`: the task that counts or sends; the others are what its form had."""
    entry = Entry({"since": since, "until": until, "eventTypes": types, "states": states or "dead"})
    known = await visit.api.get("background-task", task) if task else None
    return await replaying_page(visit, TEMPLATE, app, endpoint, entry, known)


@post("/applications/{app:str}/endpoints/{endpoint:str}/replay")
async def begin_replay(visit: VisitGiven, app: FromPath[str], endpoint: FromPath[str]) -> Response[bytes]:
    """Count the messages of the form, or send them again."""
    form = {name: visit.form.get(name, "") for name in FIELDS}
    body: dict[str, Any] = {name: form[name] for name in ("since", "until") if form[name]}
    body |= {name: names_of(form[name]) for name in ("eventTypes", "states") if form[name]}
    body["dryRun"] = visit.form.get("do") == "count"
    path = ("app", app, "endpoint", endpoint, "bulk-replay")
    try:
        task = await visit.api.call("POST", path, body=body, once=visit.once)
    except Refused as refused:
        entry = Entry(form, refused)
        return await replaying_page(visit, TEMPLATE, app, endpoint, entry, None, status=refused.status)
    asked = {"task": task["id"]} | {_short(name): value for name, value in form.items() if value}
    return visit.redirect(f"{endpoint_at(app, endpoint, 'replay')}?{urlencode(asked)}")


def _short(name: str) -> str:
    return "types" if name == "eventTypes" else name


async def replaying_page(
    visit: Visit, template: str, app: str, endpoint: str, entry: Entry, task: Any, *, status: int = 200
) -> Response[bytes]:
    """A page of an endpoint with a form that begins a task, and the task that it began. Raises Refused."""
    application, found = await together(
        visit.api.get("app", app), visit.api.get("app", app, "endpoint", endpoint), needed=(1,)
    )
    return visit.page(
        template,
        status=status,
        application=application,
        endpoint=found,
        entry=entry,
        task=task,
        choices=CHOICES,
        here=visit.request.url.path + (f"?{visit.request.url.query}" if visit.request.url.query else ""),
    )
