"""`/console/sources/{uid}/backfills`: reading a range of rows once more, with its progress."""

from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath

from relay.console.api import Refused, together
from relay.console.cookies import Notice
from relay.console.forms import Entry, names_of, whole
from relay.console.pages.signing_in import VisitGiven
from relay.console.pages.sources import at
from relay.console.visits import Visit

FIELDS = ("route", "afterRowId", "since", "untilRowId", "until", "endpoints")


@get("/sources/{uid:str}/backfills")
async def backfills_page(visit: VisitGiven, uid: FromPath[str]) -> Response[bytes]:
    """The page."""
    return await _page(visit, uid, Entry(dict.fromkeys(FIELDS, "") | {"endpoints": "none"}))


@post("/sources/{uid:str}/backfills")
async def create_backfill(visit: VisitGiven, uid: FromPath[str]) -> Response[bytes]:
    """Begin a backfill, or one that only counts."""
    form = visit.form
    only_counts = form.get("do") == "count"
    given = names_of(form.get("endpoints", ""))
    body: dict[str, Any] = {name: form[name] for name in ("route", "since", "until") if form.get(name)}
    body |= {name: whole(form[name]) for name in ("afterRowId", "untilRowId") if form.get(name)}
    body |= {"endpoints": given[0] if given in (["all"], ["none"]) else given, "dryRun": only_counts}
    try:
        await visit.api.call("POST", ("source", uid, "backfill"), body=body, once=visit.once)
    except Refused as refused:
        entry = Entry({name: form.get(name, "") for name in FIELDS}, refused)
        return await _page(visit, uid, entry, status=refused.status)
    return visit.redirect(
        at(uid, "backfills"), Notice("done", "Counting began." if only_counts else "The backfill began.")
    )


@post("/sources/{uid:str}/backfills/{backfill_id:str}/cancel")
async def cancel_backfill(visit: VisitGiven, uid: FromPath[str], backfill_id: FromPath[str]) -> Response[bytes]:
    """Cancel a backfill."""
    to = at(uid, "backfills")
    return await visit.act("DELETE", "source", uid, "backfill", backfill_id, to=to, done="The backfill is cancelled.")


async def _page(visit: Visit, uid: str, entry: Entry, *, status: int = 200) -> Response[bytes]:
    source, found = await together(
        visit.api.get("source", uid), visit.api.get("source", uid, "backfill"), needed=(0, 1)
    )
    newest = sorted(found["data"], key=lambda each: each["createdAt"], reverse=True)
    return visit.page("backfills.html", status=status, source=source, backfills=newest, entry=entry)
