"""Creating a source, changing its settings, and deleting it."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath

from relay.console.api import Refused
from relay.console.cookies import Notice
from relay.console.forms import DRAWN, Entry, body_of, changed, decimal, drawn_in, whole, whole_or_none
from relay.console.pages.signing_in import VisitGiven
from relay.console.pages.source_credentials import SECRETS, VERSIONS, auth_of, faults_of
from relay.console.pages.sources import AT, at
from relay.console.visits import Visit
from relay.console.words import moment
from relay.domain.model import ROUTES
from relay.domain.names import source_uid
from relay.errors import Invalid

NOT_FOUND, TAKEN, MALFORMED = 404, 409, 422
READERS: dict[str, Callable[[str], Any]] = {
    "name": str, "baseUrl": str, "igrp": whole, "version": str, "pollIntervalSeconds": decimal,
    "startRowId": whole_or_none,
}  # fmt: skip
"""The fields of the form that are fields of the API, and how they are read."""
FIELDS = ("uid", "username", *READERS)
REPEATED_WITHIN_MS = 60_000
"""How long after a source was made the same form counts as one that was sent twice."""
EMPTY = {"baseUrl": "https://api.infinitycloud.com", "version": "v2.1", "pollIntervalSeconds": "60"}


@get("/new-source")
async def new_source_page(visit: VisitGiven) -> Response[bytes]:
    """The form for a new source."""
    return visit.page("source_new.html", entry=_entry(EMPTY | {"routes": ["callsGoalsTransactions"]}), routes=ROUTES)


@post("/new-source")
async def create_source(visit: VisitGiven) -> Response[bytes]:
    """Create a source, and show it. A uid that is taken is a fault: the form must not change another source.

    A form that is sent twice makes one source. If the second one has a corrected secret, the source has that one.
    """
    uid, entry = visit.form.get("uid", ""), _typed(visit.form)
    try:
        source_uid(uid)
    except Invalid as error:
        return _new(visit, entry.add("uid", error.faults[0].message), status=MALFORMED)
    if faults := faults_of(visit.form, visit.form):
        return _new(visit, entry.note(faults), status=MALFORMED)
    try:
        body = _body(visit.form) | {"routes": _routes(visit.form)} | auth_of(visit.form, visit.form, None)
        found = await _existing(visit, uid)
        if found is not None and not _is_repeated(found, body, visit.now_ms):
            return _new(visit, entry.add("uid", "is the uid of another source"), status=TAKEN)
        await visit.api.call("PUT", ("source", uid), body=body)
    except Refused as refused:
        return _new(visit, _typed(visit.form, refused), status=refused.status)
    said = "The source is created, and its routes are polled at once. Errors of the first poll appear below."
    return visit.redirect(at(uid), Notice("done", said))


@get("/sources/{uid:str}/settings")
async def source_settings_page(visit: VisitGiven, uid: FromPath[str]) -> Response[bytes]:
    """The form with what is stored."""
    return await _settings(visit, uid, None)


@post("/sources/{uid:str}/settings")
async def change_source(visit: VisitGiven, uid: FromPath[str]) -> Response[bytes]:
    """Change what was changed in the form. The rest stays as it is now, and so do credentials that are not typed."""
    stored, typed = await visit.api.get("source", uid), changed(visit.form)
    fields = _shown(stored) | typed
    shown = _shown(stored) | dict(visit.form)
    if faults := faults_of(fields, typed):
        return await _settings(visit, uid, _typed(shown).note(faults), status=MALFORMED)
    body = _body(fields) | {"routes": _routes_after(visit.form, stored["routes"]), "batchSize": stored["batchSize"]}
    try:
        saved = await visit.api.call("PUT", ("source", uid), body=body | auth_of(fields, typed, stored["auth"]))
    except Refused as refused:
        return await _settings(visit, uid, _typed(shown, refused), status=refused.status)
    return visit.redirect(at(uid, "settings"), Notice("done", _said(stored, saved)))


@post("/sources/{uid:str}/delete")
async def delete_source(visit: VisitGiven, uid: FromPath[str]) -> Response[bytes]:
    """Delete the source. One that applications name stays, and the page says which applications do."""
    try:
        await visit.api.call("DELETE", ("source", uid))
    except Refused as refused:
        return visit.redirect(at(uid, "settings"), Notice("error", refused.sentence))
    return visit.redirect(AT, Notice("done", "The source is deleted."))


async def _existing(visit: Visit, uid: str) -> Any:
    """The source of a uid. None: there is none."""
    try:
        return await visit.api.get("source", uid)
    except Refused as refused:
        if refused.status != NOT_FOUND:
            raise
        return None


def _is_repeated(found: Mapping[str, Any], body: Mapping[str, Any], now_ms: int) -> bool:
    """Whether a source was made by the same form a moment ago, such as by a double click. Secrets are not compared."""
    wanted = {"name": found["uid"], **body, "baseUrl": body.get("baseUrl", "").rstrip("/")}
    wanted["auth"] = {name: value for name, value in body.get("auth", {}).items() if name not in SECRETS}
    age_ms = now_ms - moment(found["createdAt"]).timestamp() * 1000
    return age_ms <= REPEATED_WITHIN_MS and all(found[name] == value for name, value in wanted.items())


def _body(fields: Mapping[str, str]) -> dict[str, Any]:
    """The fields as the API has them, without routes and credentials. Without a name, a source has its uid as one."""
    return {name: value for name, value in body_of(fields, READERS).items() if name != "name" or value}


def _routes(form: Mapping[str, str]) -> list[str]:
    return [route for route in ROUTES if form.get(f"route-{route}")]


def _routes_after(form: Mapping[str, str], stored: Iterable[str]) -> list[str]:
    """The routes that the source has now, with those that were ticked, and without those that were unticked."""
    before, after = _routes(drawn_in(form)), _routes(form)
    kept = [route for route in stored if route in after or route not in before]
    return kept + [route for route in after if route not in before and route not in kept]


def _shown(source: Mapping[str, Any]) -> dict[str, str]:
    """The texts of a source's fields."""
    values = {**source, "username": source["auth"].get("username", "")}
    return {name: "" if values[name] is None else str(values[name]) for name in FIELDS}


def _said(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """What is said after the settings are saved. A new `startRowId` counts only for routes that came with it."""
    row_id, added = after["startRowId"], [route for route in after["routes"] if route not in before["routes"]]
    if row_id == before["startRowId"]:
        return "The settings are saved. The next poll uses them."
    if not added:
        return "The settings are saved. No route moved: to move a route, open it and move its cursor."
    begins = "rows that appear from now on" if row_id is None else f"the rows after {row_id}"
    return f"The settings are saved. The routes that you added begin with {begins}: {', '.join(added)}."


def _typed(form: Mapping[str, str], refused: Refused | None = None) -> Entry:
    return _entry({**form, "routes": _routes(form)}, refused, drawn=form.get(DRAWN, ""))


def _entry(values: Mapping[str, Any], refused: Refused | None = None, *, drawn: str | None = None) -> Entry:
    shown = {name: values.get(name, "") for name in FIELDS} | dict.fromkeys(SECRETS, "") | {"routes": ""}
    wanted = VERSIONS.get(values.get("version", ""))
    chosen = {f"route-{route}": "on" for route in values["routes"]}
    names = {"auth": wanted.secret} if wanted else {}
    return Entry(shown | chosen, refused, names=names, drawn=drawn)


def _new(visit: Visit, entry: Entry, *, status: int) -> Response[bytes]:
    return visit.page("source_new.html", status=status, entry=entry, routes=ROUTES)


async def _settings(visit: Visit, uid: str, entry: Entry | None, *, status: int = 200) -> Response[bytes]:
    source = await visit.api.get("source", uid)
    stored = _entry({**_shown(source), "routes": source["routes"]})
    return visit.page("source_settings.html", status=status, source=source, entry=entry or stored, routes=ROUTES)
