"""What happened: operational events, the audit log, and background tasks."""

from litestar import Response, get, post
from litestar.params import FromPath, FromQuery

from relay.console.finding import found, holding
from relay.console.forms import Entry
from relay.console.listing import Listing, listed, with_query
from relay.console.pages.signing_in import VisitGiven

LISTED = 50
TASKS = ("endpoint.recover", "endpoint.replay", "endpoint.bulk-replay", "application.stats", "event-type.aggregate",
         "message.erase")  # fmt: skip


@get("/operational-events")
async def operational_events(
    visit: VisitGiven, find: FromQuery[str] = "", iterator: FromQuery[str | None] = None
) -> Response[bytes]:
    """What the relay did on its own, or those events in which a text is found."""
    if conditions := holding(find.strip(), ("type", "data")):
        chosen = {"find": find.strip()}
        events = await found(visit.api, "operational-event", conditions=conditions, iterator=iterator)
        listing = Listing(events, Entry(chosen), with_query(visit.request.url.path, chosen), 200)
    else:
        listing = await listed(visit, "operational-event", chosen={}, limit=LISTED, iterator=iterator)
    return visit.page("operational_events.html", listing=listing, find=find.strip())


@get("/audit")
async def audit_log(
    visit: VisitGiven,
    principal: FromQuery[str | None] = None,
    action: FromQuery[str | None] = None,
    app: FromQuery[str | None] = None,
    before: FromQuery[str | None] = None,
    after: FromQuery[str | None] = None,
    iterator: FromQuery[str | None] = None,
) -> Response[bytes]:
    """Who changed what. `object` is read from the query, because it is a name of Python's."""
    of_object = visit.request.query_params.get("object")
    chosen = {
        "principal": principal, "action": action, "object": of_object, "app": app, "after": after, "before": before,
    }  # fmt: skip
    listing = await listed(visit, "audit", chosen=chosen, limit=LISTED, iterator=iterator)
    return visit.page("audit.html", listing=listing)


@get("/tasks")
async def list_tasks(
    visit: VisitGiven,
    task: FromQuery[str | None] = None,
    status: FromQuery[str | None] = None,
    iterator: FromQuery[str | None] = None,
) -> Response[bytes]:
    """Background tasks with their progress."""
    listing = await listed(
        visit, "background-task", chosen={"task": task, "status": status}, limit=LISTED, iterator=iterator
    )
    return visit.page("tasks.html", listing=listing, kinds=[(name, name) for name in TASKS])


@post("/tasks/{task:str}/cancel")
async def cancel_task(visit: VisitGiven, task: FromPath[str]) -> Response[bytes]:
    """Cancel a task."""
    return await visit.act("DELETE", "background-task", task, to="/console/tasks", done="The task is cancelled.")
