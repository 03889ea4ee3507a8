"""Creating an application, changing its settings, and deleting it."""

from collections.abc import Callable, Mapping
from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath

from relay.console.api import Refused
from relay.console.cookies import Notice
from relay.console.forms import (
    DRAWN,
    Entry,
    MalformedError,
    body_of,
    changed,
    json_of,
    names_or_none,
    text_or_none,
    whole_or_none,
)
from relay.console.pages.applications import AT
from relay.console.pages.signing_in import VisitGiven
from relay.console.visits import Visit
from relay.console.words import pretty, segment

FIELDS: dict[str, Callable[[str], Any]] = {
    "name": str, "uid": text_or_none, "sources": names_or_none, "throttleRate": whole_or_none, "filter": json_of,
}  # fmt: skip
"""The fields of the form, and how they are read. An empty one is null, which means: none, or all."""
MALFORMED = 422


@get("/new-application")
async def new_application_page(visit: VisitGiven) -> Response[bytes]:
    """The form for a new application."""
    return _new(visit, Entry(dict.fromkeys(FIELDS, "")))


@post("/new-application")
async def create_application(visit: VisitGiven) -> Response[bytes]:
    """Create an application, and show it."""
    try:
        made = await visit.api.call("POST", ("app",), body=body_of(visit.form, FIELDS), once=visit.once)
    except MalformedError as error:
        return _new(visit, _entry(visit.form).add("filter", str(error)), status=MALFORMED)
    except Refused as refused:
        return _new(visit, _entry(visit.form, refused), status=refused.status)
    said = "The application is created. Give it an endpoint, and the endpoint receives events from then on."
    return visit.redirect(f"{AT}/{segment(made['id'])}", Notice("done", said))


@get("/applications/{app:str}/settings")
async def application_settings_page(visit: VisitGiven, app: FromPath[str]) -> Response[bytes]:
    """The form with what is stored."""
    return await _settings(visit, app, None)


@post("/applications/{app:str}/settings")
async def change_application(visit: VisitGiven, app: FromPath[str]) -> Response[bytes]:
    """Change what was changed in the form."""
    try:
        found = await visit.api.call("PATCH", ("app", app), body=body_of(changed(visit.form), FIELDS))
    except MalformedError as error:
        return await _settings(visit, app, _entry(visit.form).add("filter", str(error)), status=MALFORMED)
    except Refused as refused:
        return await _settings(visit, app, _entry(visit.form, refused), status=refused.status)
    said = "The settings are saved. They apply to events that are stored from now on."
    return visit.redirect(f"{AT}/{segment(found['id'])}/settings", Notice("done", said))


@post("/applications/{app:str}/delete")
async def delete_application(visit: VisitGiven, app: FromPath[str]) -> Response[bytes]:
    """Delete the application."""
    await visit.api.call("DELETE", ("app", app))
    return visit.redirect(AT, Notice("done", "The application is deleted."))


def _entry(form: Mapping[str, str], refused: Refused | None = None) -> Entry:
    return Entry({name: form.get(name, "") for name in FIELDS}, refused, drawn=form.get(DRAWN, ""))


def _new(visit: Visit, entry: Entry, *, status: int = 200) -> Response[bytes]:
    return visit.page("application_new.html", status=status, entry=entry)


async def _settings(visit: Visit, app: str, entry: Entry | None, *, status: int = 200) -> Response[bytes]:
    application = await visit.api.get("app", app)
    shown = {
        "sources": ", ".join(application["sources"] or []),
        "filter": "" if application["filter"] is None else pretty(application["filter"]),
    }
    return visit.page(
        "application_settings.html",
        status=status,
        application=application,
        entry=entry or Entry({name: application.get(name) for name in FIELDS} | shown),
    )
