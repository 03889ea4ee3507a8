"""`/console/sources/{uid}/routes/{route}`: how far a route is, what reads behind it, and moving its cursor."""

from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath, FromQuery

from relay.console.api import Refused, together
from relay.console.cookies import Notice
from relay.console.forms import Entry, whole
from relay.console.pages.signing_in import VisitGiven
from relay.console.pages.sources import at
from relay.console.visits import Visit
from relay.console.words import duration


@get("/sources/{uid:str}/routes/{route:str}")
async def route_page(
    visit: VisitGiven, uid: FromPath[str], route: FromPath[str], count: FromQuery[str | None] = None
) -> Response[bytes]:
    """The page. `count`: the id of a backfill that only counts, for the form that moves the cursor."""
    counted = await visit.api.get("source", uid, "backfill", count) if count else None
    entry = Entry({"rowId": counted["afterRowId"] if counted else ""})
    return await _page(visit, uid, route, entry, counted)


@post("/sources/{uid:str}/routes/{route:str}/cursor")
async def move_cursor(visit: VisitGiven, uid: FromPath[str], route: FromPath[str]) -> Response[bytes]:
    """Count what moving the cursor would send, or move it."""
    row_id, here = whole(visit.form.get("rowId", "")), at(uid, "routes", route)
    try:
        if visit.form.get("do") == "count":
            body = {"route": route, "afterRowId": row_id, "endpoints": "none", "dryRun": True}
            made = await visit.api.call("POST", ("source", uid, "backfill"), body=body, once=visit.once)
            return visit.redirect(f"{here}?count={made['id']}#rewind")
        await visit.api.call("PUT", ("source", uid, "route", route, "cursor"), body={"rowId": row_id})
    except Refused as refused:
        entry = Entry({"rowId": visit.form.get("rowId", "")}, refused, names={"afterRowId": "rowId"})
        return await _page(visit, uid, route, entry, None, status=refused.status)
    return visit.redirect(here, Notice("done", f"The route continues after row {row_id}."))


async def _page(
    visit: Visit, uid: str, route: str, entry: Entry, counted: Any, *, status: int = 200
) -> Response[bytes]:
    source, state, readings = await together(
        visit.api.get("source", uid),
        visit.api.get("source", uid, "route", route),
        visit.api.get("source", uid, "route", route, "reading"),
        needed=(0, 1, 2),
    )
    return visit.page(
        "route.html",
        status=status,
        source=source,
        route=state,
        readings=[{"title": _title(each["name"])} | each for each in sorted(readings["data"], key=_order)],
        entry=entry,
        counted=counted,
    )


KINDS = ("overlap", "gap", "change", "backfill")


def _order(reading: Any) -> tuple[int, int]:
    kind, _, rest = reading["name"].partition(".")
    return KINDS.index(kind) if kind in KINDS else len(KINDS), int(rest) if rest.isdigit() else 0


def _title(name: str) -> str:
    kind, _, rest = name.partition(".")
    after = duration(int(rest)) if rest.isdigit() else ""
    titles = {
        "overlap": "Rows that appear late, within minutes",
        "gap": f"Gaps between rowIds, after {after}",
        "change": f"Changed rows, after {after}",
        "backfill": f"Backfill {rest}",
    }
    return titles.get(kind, name)
