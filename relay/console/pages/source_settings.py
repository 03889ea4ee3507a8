"""Creating a source, changing its settings, and deleting it."""

from collections.abc import Mapping
from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath

from relay.console.api import Refused
from relay.console.cookies import Notice
from relay.console.forms import Entry, decimal, whole
from relay.console.pages.signing_in import VisitGiven
from relay.console.pages.sources import AT, at
from relay.console.visits import UNAUTHORIZED, Visit
from relay.domain.model import ROUTES
from relay.domain.names import source_uid
from relay.errors import Invalid

NOT_FOUND, TAKEN, MALFORMED = 404, 409, 422
FIELDS = ("uid", "name", "baseUrl", "igrp", "version", "username", "pollIntervalSeconds", "startRowId")
SECRETS = ("key", "password")
"""Fields that a form never shows, not even to the person who typed them."""
CREDENTIALS = {"v2.1": "apiKey", "v2": "basic"}
"""The kind of credentials of each version of Infinity's API."""
EMPTY = {"baseUrl": "https://api.infinitycloud.com", "version": "v2.1", "pollIntervalSeconds": "60"}


@get("/new-source")
async def new_source_page(visit: VisitGiven) -> Response[bytes]:
    """The form for a new source."""
    return visit.page("source_new.html", entry=_entry(EMPTY | {"routes": ["callsGoalsTransactions"]}), routes=ROUTES)


@post("/new-source")
async def create_source(visit: VisitGiven) -> Response[bytes]:
    """Create a source, and show it. A uid that is taken is a fault: the form must not change another source."""
    uid, entry = visit.form.get("uid", ""), _typed(visit.form)
    try:
        source_uid(uid)
    except Invalid as error:
        return _new(visit, entry.add("uid", error.faults[0].message), status=MALFORMED)
    try:
        if await _exists(visit, uid):
            return _new(visit, entry.add("uid", "is the uid of another source"), status=TAKEN)
        await visit.api.call("PUT", ("source", uid), body=_body(visit.form) | {"auth": _auth(visit.form)})
    except Refused as refused:
        if refused.status == UNAUTHORIZED:
            raise
        return _new(visit, _typed(visit.form, refused), status=refused.status)
    said = "The source is created, and its routes are polled at once. Errors of the first poll appear below."
    return visit.redirect(at(uid), Notice("done", said))


@get("/sources/{uid:str}/settings")
async def source_settings_page(visit: VisitGiven, uid: FromPath[str]) -> Response[bytes]:
    """The form with what is stored."""
    return await _settings(visit, uid, None)


@post("/sources/{uid:str}/settings")
async def change_source(visit: VisitGiven, uid: FromPath[str]) -> Response[bytes]:
    """Change the source. Credentials that are not typed stay."""
    form = visit.form
    try:
        stored = await visit.api.get("source", uid)
        body = _body(form) | {"batchSize": stored["batchSize"]}
        kind, typed = CREDENTIALS.get(form.get("version", "")), any(form.get(name) for name in SECRETS)
        if typed or kind != stored["auth"]["type"] or form.get("username", "") != stored["auth"].get("username", ""):
            body["auth"] = _auth(form)
        await visit.api.call("PUT", ("source", uid), body=body)
    except Refused as refused:
        if refused.status == UNAUTHORIZED:
            raise
        return await _settings(visit, uid, _typed(form, refused), status=refused.status)
    return visit.redirect(at(uid, "settings"), Notice("done", "The settings are saved. The next poll uses them."))


@post("/sources/{uid:str}/delete")
async def delete_source(visit: VisitGiven, uid: FromPath[str]) -> Response[bytes]:
    """Delete the source. One that applications name stays, and the page says which applications do."""
    try:
        await visit.api.call("DELETE", ("source", uid))
    except Refused as refused:
        if refused.status == UNAUTHORIZED:
            raise
        return visit.redirect(at(uid, "settings"), Notice("error", refused.message))
    return visit.redirect(AT, Notice("done", "The source is deleted."))


async def _exists(visit: Visit, uid: str) -> bool:
    try:
        await visit.api.get("source", uid)
    except Refused as refused:
        if refused.status != NOT_FOUND:
            raise
        return False
    return True


def _body(form: Mapping[str, str]) -> dict[str, Any]:
    """The fields as the API has them, without credentials."""
    body: dict[str, Any] = {
        "baseUrl": form.get("baseUrl", ""),
        "igrp": whole(form.get("igrp", "")),
        "version": form.get("version", ""),
        "routes": _routes(form),
        "pollIntervalSeconds": decimal(form.get("pollIntervalSeconds", "")),
        "startRowId": whole(form["startRowId"]) if form.get("startRowId") else None,
    }
    return body | ({"name": form["name"]} if form.get("name") else {})


def _auth(form: Mapping[str, str]) -> dict[str, str]:
    """The credentials of the version. Fields that were left empty are left out."""
    kind = CREDENTIALS.get(form.get("version", ""), "apiKey")
    names = ("key",) if kind == "apiKey" else ("username", "password")
    return {"type": kind} | {name: form[name] for name in names if form.get(name)}


def _routes(form: Mapping[str, str]) -> list[str]:
    return [route for route in ROUTES if form.get(f"route-{route}")]


def _typed(form: Mapping[str, str], refused: Refused | None = None) -> Entry:
    return _entry({**form, "routes": _routes(form)}, refused)


def _entry(values: Mapping[str, Any], refused: Refused | None = None) -> Entry:
    shown = {name: values.get(name, "") for name in FIELDS} | dict.fromkeys(SECRETS, "") | {"routes": ""}
    secret = "key" if values.get("version") == "v2.1" else "password"
    chosen = {f"route-{route}": "on" for route in values["routes"]}
    return Entry(shown | chosen, refused, names={"auth": secret})


def _new(visit: Visit, entry: Entry, *, status: int) -> Response[bytes]:
    return visit.page("source_new.html", status=status, entry=entry, routes=ROUTES)


async def _settings(visit: Visit, uid: str, entry: Entry | None, *, status: int = 200) -> Response[bytes]:
    source = await visit.api.get("source", uid)
    stored = _entry({**source, "username": source["auth"].get("username", "")})
    return visit.page("source_settings.html", status=status, source=source, entry=entry or stored, routes=ROUTES)
