"""The filter and the transformation of an endpoint, with a dry run that shows the request that would be sent."""

from collections.abc import Callable, Mapping
from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath

from relay.console.api import Refused, together
from relay.console.cookies import Notice
from relay.console.forms import DRAWN, Entry, MalformedError, body_of, changed, json_of, text_or_none
from relay.console.pages.applications import endpoint_at
from relay.console.pages.signing_in import VisitGiven
from relay.console.visits import Visit
from relay.console.words import pretty

MALFORMED = 422
RULES: dict[str, Callable[[str], Any]] = {"filter": json_of, "transformation": text_or_none}
"""The fields that are saved, and how they are read."""


@get("/applications/{app:str}/endpoints/{endpoint:str}/rules")
async def rules_page(visit: VisitGiven, app: FromPath[str], endpoint: FromPath[str]) -> Response[bytes]:
    """The page."""
    return await _page(visit, app, endpoint, None)


@post("/applications/{app:str}/endpoints/{endpoint:str}/rules")
async def change_rules(visit: VisitGiven, app: FromPath[str], endpoint: FromPath[str]) -> Response[bytes]:
    """Try the rules of the form, or save them."""
    form, path = visit.form, ("app", app, "endpoint", endpoint)
    try:
        if form.get("do") == "try":
            rules = {"transformation": form.get("transformation") or None, "filter": json_of(form.get("filter", ""))}
            body = rules | _event(form.get("event", ""))
            tried = await visit.api.call("POST", (*path, "transformation", "test"), body=body)
            return await _page(visit, app, endpoint, _entry(form), tried)
        found = await visit.api.call("PATCH", path, body=body_of(changed(form), RULES))
    except MalformedError as error:
        return await _page(visit, app, endpoint, _entry(form).add("filter", str(error)), status=MALFORMED)
    except Refused as refused:
        return await _page(visit, app, endpoint, _entry(form, refused), status=refused.status)
    to = endpoint_at(app, found["id"], "rules")
    return visit.redirect(to, Notice("done", "The rules are saved. The next attempt uses them."))


def _entry(form: Mapping[str, str], refused: Refused | None = None) -> Entry:
    values = {name: form.get(name, "") for name in (*RULES, "event")}
    return Entry(values, refused, names={"message": "event", "eventType": "event"}, drawn=form.get(DRAWN, ""))


def _event(text: str) -> dict[str, str]:
    """Which event a dry run is about: the id of a message, or an event type."""
    if not text:
        return {}
    return {"message": text} if text.startswith("msg_") else {"eventType": text}


async def _page(
    visit: Visit, app: str, endpoint: str, entry: Entry | None, tried: Any = None, *, status: int = 200
) -> Response[bytes]:
    application, found = await together(
        visit.api.get("app", app), visit.api.get("app", app, "endpoint", endpoint), needed=(1,)
    )
    stored = Entry(
        {
            "filter": pretty(found["filter"]) if found["filter"] is not None else "",
            "transformation": found["transformation"],
            "event": "",
        }
    )
    return visit.page(
        "endpoint_rules.html",
        status=status,
        application=application,
        endpoint=found,
        entry=entry or stored,
        tried=tried,
    )
