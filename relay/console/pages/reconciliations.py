"""`/console/sources/{uid}/reconciliations`: what Infinity shows, against what the relay stored and delivered."""

from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath, FromQuery

from relay.console.api import Refused, together
from relay.console.forms import Entry, whole
from relay.console.pages.signing_in import VisitGiven
from relay.console.pages.sources import at
from relay.console.visits import Visit

FIELDS = ("afterRowId", "untilRowId", "since", "until")
UNREPAIRABLE = "unexpected"
ENDPOINTS = 50
"""Endpoints in a page of their list."""


@get("/sources/{uid:str}/reconciliations")
async def reconciliations_page(
    visit: VisitGiven, uid: FromPath[str], iterator: FromQuery[str | None] = None
) -> Response[bytes]:
    """The list."""
    return await _list(visit, uid, Entry(dict.fromkeys(FIELDS, "")), iterator)


@post("/sources/{uid:str}/reconciliations")
async def reconcile(visit: VisitGiven, uid: FromPath[str]) -> Response[bytes]:
    """Begin a reconciliation."""
    form = visit.form
    body: dict[str, Any] = {name: form[name] for name in ("since", "until") if form.get(name)}
    body |= {name: whole(form[name]) for name in ("afterRowId", "untilRowId") if form.get(name)}
    try:
        made = await visit.api.call("POST", ("source", uid, "reconciliation"), body=body, once=visit.once)
    except Refused as refused:
        entry = Entry({name: form.get(name, "") for name in FIELDS}, refused)
        return await _list(visit, uid, entry, None, status=refused.status)
    return visit.redirect(at(uid, "reconciliations", made["id"]))


@get("/sources/{uid:str}/reconciliations/{one:str}")
async def reconciliation_page(
    visit: VisitGiven,
    uid: FromPath[str],
    one: FromPath[str],
    iterator: FromQuery[str | None] = None,
    endpoints: FromQuery[str | None] = None,
) -> Response[bytes]:
    """One reconciliation with its differences. `endpoints`: the iterator of the list of endpoints."""
    path = ("source", uid, "reconciliation", one)
    source, found, differences, of_endpoints = await together(
        visit.api.get("source", uid),
        visit.api.get(*path),
        visit.api.get(*path, "difference", limit=50, iterator=iterator),
        visit.api.get(*path, "endpoint", limit=ENDPOINTS, iterator=endpoints),
        needed=(0, 1, 2, 3),
    )
    return visit.page(
        "reconciliation.html",
        source=source,
        one=found,
        differences=differences,
        endpoints=of_endpoints,
        repairable=[kind for kind in found["differences"] if kind != UNREPAIRABLE],
    )


@post("/sources/{uid:str}/reconciliations/{one:str}/repair")
async def repair(visit: VisitGiven, uid: FromPath[str], one: FromPath[str]) -> Response[bytes]:
    """Repair the differences of the kinds that are ticked."""
    kinds = [name.removeprefix("kind-") for name in visit.form if name.startswith("kind-")]
    return await visit.act(
        "POST", "source", uid, "reconciliation", one, "repair",
        body={"kinds": kinds}, to=at(uid, "reconciliations", one), done="The repair began.",
    )  # fmt: skip


async def _list(visit: Visit, uid: str, entry: Entry, iterator: str | None, *, status: int = 200) -> Response[bytes]:
    source, found = await together(
        visit.api.get("source", uid),
        visit.api.get("source", uid, "reconciliation", limit=25, iterator=iterator),
        needed=(0, 1),
    )
    return visit.page("reconciliations.html", status=status, source=source, found=found, entry=entry)
