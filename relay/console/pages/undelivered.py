"""`/console/undelivered`: what endpoints did not get, by reason. Sending it again is the replay of an endpoint."""

from collections import Counter
from typing import Any, NamedTuple

from litestar import Response, get
from litestar.params import FromQuery

from relay.console.listing import listed
from relay.console.pages.signing_in import VisitGiven

LISTED = 250


class Group(NamedTuple):
    """Undelivered messages of an endpoint that have one reason."""

    state: str
    reason: str
    app: str
    endpoint: str


@get("/undelivered")
async def undelivered_page(
    visit: VisitGiven,
    app: FromQuery[str | None] = None,
    endpoint: FromQuery[str | None] = None,
    source: FromQuery[str | None] = None,
    iterator: FromQuery[str | None] = None,
) -> Response[bytes]:
    """The page. Litestar keeps the name `state` for itself, so the handler reads it from the query."""
    state = visit.request.query_params.get("state")
    chosen = {"app": app, "endpoint": endpoint, "source": source, "state": state}
    listing = await listed(visit, "undelivered", chosen=chosen, limit=LISTED, iterator=iterator)
    return visit.page("undelivered.html", status=listing.status, listing=listing, groups=_groups(listing.found["data"]))


def _groups(messages: list[dict[str, Any]]) -> list[tuple[Group, int]]:
    """The groups on a page, the largest first."""
    counted = Counter(
        Group(each["state"], each["reason"] or "", each["appId"], each["endpointId"]) for each in messages
    )
    return counted.most_common()
