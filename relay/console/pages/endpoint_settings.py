"""Creating an endpoint, changing what people change most, and deleting it."""

from collections.abc import Callable, Mapping
from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath

from relay.console.api import Refused, together
from relay.console.cookies import Notice
from relay.console.forms import DRAWN, Entry, body_of, changed, names_or_none, text_or_none, whole_or_none
from relay.console.pages.applications import AT, endpoint_at
from relay.console.pages.signing_in import VisitGiven
from relay.console.visits import Visit
from relay.console.words import segment

FIELDS: dict[str, Callable[[str], Any]] = {
    "url": str, "uid": text_or_none, "description": str, "eventTypes": names_or_none, "throttleRate": whole_or_none,
}  # fmt: skip
"""The fields of the form, and how they are read. An empty one is null, which means: none, or all."""


@get("/applications/{app:str}/new-endpoint")
async def new_endpoint_page(visit: VisitGiven, app: FromPath[str]) -> Response[bytes]:
    """The form for a new endpoint."""
    return await _new(visit, app, Entry(dict.fromkeys(FIELDS, "")))


@post("/applications/{app:str}/new-endpoint")
async def create_endpoint(visit: VisitGiven, app: FromPath[str]) -> Response[bytes]:
    """Create an endpoint, and show it."""
    body = {name: value for name, value in body_of(visit.form, FIELDS).items() if value is not None}
    try:
        made = await visit.api.call("POST", ("app", app, "endpoint"), body=body, once=visit.once)
    except Refused as refused:
        return await _new(visit, app, _entry(visit.form, refused), status=refused.status)
    said = "The endpoint is created. It receives events from now on. Send a test event, and verify it with its key."
    return visit.redirect(endpoint_at(app, made["id"]), Notice("done", said))


@get("/applications/{app:str}/endpoints/{endpoint:str}/settings")
async def settings_page(visit: VisitGiven, app: FromPath[str], endpoint: FromPath[str]) -> Response[bytes]:
    """The form with what is stored."""
    return await _settings(visit, app, endpoint, None)


@post("/applications/{app:str}/endpoints/{endpoint:str}/settings")
async def change_settings(visit: VisitGiven, app: FromPath[str], endpoint: FromPath[str]) -> Response[bytes]:
    """Change what was changed in the form. A URL that is a secret is shown masked, and stays if it is not typed."""
    try:
        changes = body_of(changed(visit.form), FIELDS)
        found = await visit.api.call("PATCH", ("app", app, "endpoint", endpoint), body=changes)
    except Refused as refused:
        return await _settings(visit, app, endpoint, _entry(visit.form, refused), status=refused.status)
    to = endpoint_at(app, found["id"], "settings")
    return visit.redirect(to, Notice("done", "The settings are saved. The next attempt uses them."))


@post("/applications/{app:str}/endpoints/{endpoint:str}/delete")
async def delete_endpoint(visit: VisitGiven, app: FromPath[str], endpoint: FromPath[str]) -> Response[bytes]:
    """Delete the endpoint."""
    await visit.api.call("DELETE", ("app", app, "endpoint", endpoint))
    return visit.redirect(f"{AT}/{segment(app)}", Notice("done", "The endpoint is deleted."))


def _entry(form: Mapping[str, str], refused: Refused) -> Entry:
    return Entry({name: form.get(name, "") for name in FIELDS}, refused, drawn=form.get(DRAWN, ""))


async def _new(visit: Visit, app: str, entry: Entry, *, status: int = 200) -> Response[bytes]:
    application = await visit.api.get("app", app)
    return visit.page("endpoint_new.html", status=status, application=application, entry=entry)


async def _settings(
    visit: Visit, app: str, endpoint: str, entry: Entry | None, *, status: int = 200
) -> Response[bytes]:
    application, found = await together(
        visit.api.get("app", app), visit.api.get("app", app, "endpoint", endpoint), needed=(1,)
    )
    stored = Entry({**found, "eventTypes": ", ".join(found["eventTypes"] or [])})
    return visit.page(
        "endpoint_settings.html", status=status, application=application, endpoint=found, entry=entry or stored
    )
