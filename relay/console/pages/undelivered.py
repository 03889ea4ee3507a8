"""`/console/undelivered`: what endpoints did not get, by reason, and what sends the dead ones of some groups again."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from litestar import Response, get, post
from litestar.params import FromQuery

from relay.console.api import Refused
from relay.console.cookies import Notice
from relay.console.listing import listed, with_query
from relay.console.pages.signing_in import VisitGiven
from relay.console.visits import Visit

AT = "/console/undelivered"
LISTED = 250
OPEN_MOST = 50
"""If a page has more messages of several endpoints, their list is folded, so that the groups are the page."""
ALL = "all"
NAMED_MOST = 3
"""Endpoints that a message names for each failure."""
SELECTED = "group-"
"""How the names of the checkboxes begin."""
Endpoint = tuple[str, str]
"""The id of an application, and that of an endpoint."""


class Group(NamedTuple):
    """Undelivered messages of an endpoint that have one reason, as far as they are on a page."""

    state: str
    reason: str
    app: str
    endpoint: str
    name: str
    """The endpoint's uid, its description, or its id."""
    size: int
    kept: int
    """How many of them the relay still has."""

    @property
    def can_be_resent(self) -> bool:
        """Whether the API can resend them by their reason. It reads rows of dropped backlogs from Infinity again."""
        has_more = self.kept > 0 or self.reason.startswith("backlog_")
        return self.state == "dead" and self.reason != "event_not_kept" and has_more


@get("/undelivered")
async def undelivered_page(
    visit: VisitGiven,
    app: FromQuery[str | None] = None,
    endpoint: FromQuery[str | None] = None,
    source: FromQuery[str | None] = None,
    select: FromQuery[str | None] = None,
    iterator: FromQuery[str | None] = None,
) -> Response[bytes]:
    """The page. `select`: `all` selects every group that can be resent.

    Litestar keeps the name `state` for itself, so the handler reads it from the query.
    """
    state = visit.request.query_params.get("state")
    chosen = {"app": app, "endpoint": endpoint, "source": source, "state": state}
    listing = await listed(visit, "undelivered", chosen=chosen, limit=LISTED, iterator=iterator)
    here = with_query(AT, chosen | {"iterator": iterator})
    return visit.page(
        "undelivered.html",
        listing=listing,
        groups=groups_of(listing.found["data"]),
        is_part=bool(listing.found["prevIterator"]) or not listing.found["done"],
        here=here,
        selects_all=select == ALL,
        select_all=with_query(AT, chosen | {"iterator": iterator, "select": ALL}),
        source=source or "",
        name_of=name_of,
        of_endpoint=of_endpoint,
        lists_messages=bool(endpoint) or len(listing.found["data"]) <= OPEN_MOST,
    )


def of_endpoint(app: str, endpoint: str) -> str:
    """The address of the page for one endpoint.

    >>> of_endpoint("app_1", "ep_1")
    '/console/undelivered?app=app_1&endpoint=ep_1'
    """
    return with_query(AT, {"app": app, "endpoint": endpoint})


@post("/undelivered/resend")
async def resend_selected(visit: VisitGiven) -> Response[bytes]:
    """Begin a task for each endpoint that has a selected group, and say which of them did not begin."""
    to, selected = visit.back(AT), selected_in(visit.form)
    if not selected:
        return visit.redirect(to, Notice("error", "Nothing was sent: select at least one group of dead messages."))
    refused: dict[str, list[str]] = defaultdict(list)
    for (app, endpoint), reasons in selected.items():
        if (message := await _resend(visit, app, endpoint, reasons)) is not None:
            refused[message].append(endpoint)
    started = len(selected) - sum(map(len, refused.values()))
    kind, see = ("error" if refused else "done"), ("tasks" if started else "")
    return visit.redirect(to, Notice(kind, said(started, refused), see))  # type: ignore[arg-type]


async def _resend(visit: Visit, app: str, endpoint: str, reasons: list[str]) -> str | None:
    """Begin the task of an endpoint. Gives why the API refused it; None: it runs."""
    body: dict[str, Any] = {"states": ["dead"], "reasons": reasons}
    if source := visit.form.get("source"):
        body["sources"] = [source]
    try:
        await visit.api.call("POST", ("app", app, "endpoint", endpoint, "bulk-replay"), body=body, once=visit.once)
    except Refused as error:
        return error.message
    return None


def selected_in(form: Mapping[str, str]) -> dict[Endpoint, list[str]]:
    """The reasons that a form selects, for each endpoint. At most as many groups count as a page can have.

    >>> selected_in({"group-1": "app_1 ep_1 poison", "group-2": "app_1 ep_1 verdict_rule", "group-3": "x", "once": "y"})
    {('app_1', 'ep_1'): ['poison', 'verdict_rule']}
    """
    found: dict[Endpoint, list[str]] = {}
    for value in [value for name, value in form.items() if name.startswith(SELECTED)][:LISTED]:
        match value.split():
            case [app, endpoint, reason]:
                found.setdefault((app, endpoint), []).append(reason)
    return found


def said(started: int, refused: Mapping[str, list[str]]) -> str:
    """What became of the tasks, as a message.

    >>> said(2, {}), said(0, {"there is no endpoint ep_1": ["ep_1"]})
    ('2 tasks started.', 'No task started. Not started for ep_1: there is no endpoint ep_1.')
    """
    begun = "No task started." if not started else "1 task started." if started == 1 else f"{started} tasks started."
    parts = [f"Not started for {_named(endpoints)}: {message.rstrip('.')}." for message, endpoints in refused.items()]
    return " ".join([begun, *parts])


def _named(endpoints: list[str]) -> str:
    rest = len(endpoints) - NAMED_MOST
    return ", ".join(endpoints[:NAMED_MOST]) + (f" and {rest} more" if rest > 0 else "")


def name_of(message: Mapping[str, Any]) -> str:
    """The name under which a message's endpoint is shown."""
    return str(message["endpointUid"] or message["endpointDescription"] or message["endpointId"])


def groups_of(messages: Iterable[Mapping[str, Any]]) -> list[Group]:
    """The groups on a page, the largest first."""
    counted: dict[tuple[str, str, str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for each in messages:
        counted[each["state"], each["reason"], each["appId"], each["endpointId"]].append(each)
    groups = [
        Group(*key, name=name_of(its[0]), size=len(its), kept=sum(each["kept"] for each in its))
        for key, its in counted.items()
    ]
    return sorted(groups, key=lambda group: -group.size)
