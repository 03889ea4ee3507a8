"""Creating an application, changing its settings, and deleting it."""

from collections.abc import Mapping
from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath

from relay.console.api import Refused
from relay.console.cookies import Notice
from relay.console.forms import Entry, MalformedError, json_of, names_of, whole
from relay.console.pages.applications import AT
from relay.console.pages.signing_in import VisitGiven
from relay.console.visits import UNAUTHORIZED, Visit
from relay.console.words import pretty, segment

FIELDS = ("name", "uid", "sources", "throttleRate", "filter")
MALFORMED = 422


@get("/new-application")
async def new_application_page(visit: VisitGiven) -> Response[bytes]:
    """The form for a new application."""
    return _new(visit, Entry(dict.fromkeys(FIELDS, "")))


@post("/new-application")
async def create_application(visit: VisitGiven) -> Response[bytes]:
    """Create an application, and show it."""
    try:
        made = await visit.api.call("POST", ("app",), body=_body(visit.form), once=visit.once)
    except MalformedError as error:
        return _new(visit, _entry(visit.form).add("filter", str(error)), status=MALFORMED)
    except Refused as refused:
        if refused.status == UNAUTHORIZED:
            raise
        return _new(visit, _entry(visit.form, refused), status=refused.status)
    said = "The application is created. Give it an endpoint, and the endpoint receives events from then on."
    return visit.redirect(f"{AT}/{segment(made['id'])}", Notice("done", said))


@get("/applications/{app:str}/settings")
async def application_settings_page(visit: VisitGiven, app: FromPath[str]) -> Response[bytes]:
    """The form with what is stored."""
    return await _settings(visit, app, None)


@post("/applications/{app:str}/settings")
async def change_application(visit: VisitGiven, app: FromPath[str]) -> Response[bytes]:
    """Change the application."""
    try:
        await visit.api.call("PATCH", ("app", app), body=_body(visit.form))
    except MalformedError as error:
        return await _settings(visit, app, _entry(visit.form).add("filter", str(error)), status=MALFORMED)
    except Refused as refused:
        if refused.status == UNAUTHORIZED:
            raise
        return await _settings(visit, app, _entry(visit.form, refused), status=refused.status)
    said = "The settings are saved. They apply to events that are stored from now on."
    return visit.redirect(f"{AT}/{segment(app)}/settings", Notice("done", said))


@post("/applications/{app:str}/delete")
async def delete_application(visit: VisitGiven, app: FromPath[str]) -> Response[bytes]:
    """Delete the application."""
    await visit.api.call("DELETE", ("app", app))
    return visit.redirect(AT, Notice("done", "The application is deleted."))


def _body(form: Mapping[str, str]) -> dict[str, Any]:
    """The fields as the API has them. An empty one is null, which means: none, or all. Raises MalformedError."""
    return {
        "name": form.get("name", ""),
        "uid": form.get("uid") or None,
        "sources": names_of(form.get("sources", "")) or None,
        "throttleRate": whole(form["throttleRate"]) if form.get("throttleRate") else None,
        "filter": json_of(form.get("filter", "")),
    }


def _entry(form: Mapping[str, str], refused: Refused | None = None) -> Entry:
    return Entry({name: form.get(name, "") for name in FIELDS}, refused)


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
