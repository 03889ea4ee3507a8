"""The signing keys and the headers of an endpoint. Secrets are masked until somebody asks for them."""

from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath

from relay.console.api import Refused, together
from relay.console.cookies import Notice
from relay.console.forms import Entry, whole
from relay.console.pages.applications import endpoint_at
from relay.console.pages.signing_in import VisitGiven
from relay.console.visits import Visit


@get("/applications/{app:str}/endpoints/{endpoint:str}/secrets")
async def secrets_page(visit: VisitGiven, app: FromPath[str], endpoint: FromPath[str]) -> Response[bytes]:
    """The page, without any secret."""
    return await _page(visit, app, endpoint)


@post("/applications/{app:str}/endpoints/{endpoint:str}/secrets")
async def show_secret(visit: VisitGiven, app: FromPath[str], endpoint: FromPath[str]) -> Response[bytes]:
    """Rotate the keys, or show them. The page is the answer, so the keys are in no address and no cookie."""
    path, rotates = ("app", app, "endpoint", endpoint, "secret"), visit.form.get("do") == "rotate"
    entry = Entry({"gracePeriodSeconds": visit.form.get("gracePeriodSeconds", "86400")})
    try:
        if rotates:
            body = {"gracePeriodSeconds": whole(entry.value("gracePeriodSeconds"))}
            await visit.api.call("POST", (*path, "rotate"), body=body, once=visit.once)
        secret = await visit.api.get(*path)
    except Refused as refused:
        entry = Entry({"gracePeriodSeconds": visit.form.get("gracePeriodSeconds", "")}, refused)
        return await _page(visit, app, endpoint, entry=entry, status=refused.status)
    return await _page(visit, app, endpoint, secret=secret, is_new=rotates)


@post("/applications/{app:str}/endpoints/{endpoint:str}/headers")
async def change_headers(visit: VisitGiven, app: FromPath[str], endpoint: FromPath[str]) -> Response[bytes]:
    """Set or remove one header."""
    name, value = visit.form.get("name", ""), visit.form.get("value", "")
    removes = visit.form.get("do") == "remove"
    body = {"headers": {name: None if removes else value}}
    try:
        await visit.api.call("PATCH", ("app", app, "endpoint", endpoint, "headers"), body=body)
    except Refused as refused:
        # A value can be a secret: the form does not show it again.
        return await _page(visit, app, endpoint, header=Entry({"name": name}, refused), status=refused.status)
    said = f"The header {name} is removed." if removes else f"The header {name} is set."
    return visit.redirect(endpoint_at(app, endpoint, "secrets"), Notice("done", said))


async def _page(
    visit: Visit,
    app: str,
    endpoint: str,
    *,
    secret: Any = None,
    is_new: bool = False,
    entry: Entry | None = None,
    header: Entry | None = None,
    status: int = 200,
) -> Response[bytes]:
    path = ("app", app, "endpoint", endpoint)
    application, found, headers = await together(
        visit.api.get("app", app), visit.api.get(*path), visit.api.get(*path, "headers"), needed=(1,)
    )
    return visit.page(
        "endpoint_secrets.html",
        status=status,
        application=application,
        endpoint=found,
        headers=headers,
        secret=secret,
        is_new=is_new,
        entry=entry or Entry({"gracePeriodSeconds": "86400"}),
        header=header or Entry({"name": ""}),
    )
