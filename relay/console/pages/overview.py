"""`/console`: what the relay does now, and what needs a look first."""

from typing import Any

from litestar import Response, get
from litestar.params import FromQuery

from relay.console.api import Api, Refused, together
from relay.console.listing import NOTHING
from relay.console.pages.endpoints import drawn
from relay.console.pages.signing_in import VisitGiven
from relay.console.pages.sources import Polled, is_behind, polled, worst_first

LISTED = 8
NOT_FOUND = 404
LOOKED_AT, SOURCES_LOOKED_AT, OF_A_SOURCE = 250, 8, 50
"""Undelivered messages of which the oldest are listed: of all streams, and of each of the first sources. The API lists
them stream by stream, so the oldest of a source can stand behind any number of others."""
ROUTES_LISTED = 10
"""Routes of sources, those that are furthest behind first. The page of sources lists the others."""


@get("/")
async def overview(visit: VisitGiven, span: FromQuery[str | None] = None) -> Response[bytes]:
    """The overview. `span`: of the chart, `hour` or `day`."""
    api = visit.api
    unit = "minute" if span == "hour" else "hour"
    sources, failing, history = await together(
        api.get("source", limit=250),
        api.get("stats", "failing-endpoint", hours=24, limit=LISTED),
        api.get("stats", "history", unit=unit),
    )
    undelivered = await _undelivered(api, sources)
    routes = _routes(sources)
    return visit.page(
        "overview.html",
        sources=sources,
        failing=failing,
        undelivered=undelivered,
        oldest=_oldest(undelivered),
        history=history,
        chart=None if isinstance(history, Refused) else drawn(history),
        span="hour" if span == "hour" else "day",
        rows_per_minute=sum(float(each.route["rowsPerMinute"]) for each in routes),
        trouble=sum(is_behind(each) for each in routes),
        routes=worst_first(routes)[:ROUTES_LISTED],
        more_routes=len(routes) > ROUTES_LISTED,
    )


def _routes(sources: Any) -> list[Polled]:
    return [] if isinstance(sources, Refused) else polled(sources["data"])


async def _undelivered(api: Api, sources: Any) -> Any:
    """The oldest undelivered messages. `done`: no older one can be missing. Refused: the key lacks the scope."""
    uids = [] if isinstance(sources, Refused) else [source["uid"] for source in sources["data"]]
    waiting, dead, *by_source = await together(
        api.get("undelivered", state="waiting", limit=LOOKED_AT),
        api.get("undelivered", state="dead", order="ascending", limit=LOOKED_AT),
        *(_dead_of(api, uid) for uid in uids[:SOURCES_LOOKED_AT]),
    )
    if refused := next((each for each in (waiting, dead, *by_source) if isinstance(each, Refused)), None):
        return refused
    is_whole = waiting["done"] and (dead["done"] or 0 < len(uids) <= SOURCES_LOOKED_AT)
    found = [each for page in (waiting, dead, *by_source) for each in page["data"]]
    return {"data": list({_place(each): each for each in found}.values()), "done": is_whole}


async def _dead_of(api: Api, uid: str) -> Any:
    try:
        return await api.get("undelivered", source=uid, state="dead", order="ascending", limit=OF_A_SOURCE)
    except Refused as refused:
        if refused.status != NOT_FOUND:
            raise
        return NOTHING  # The source was deleted a moment ago.


def _place(message: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(message[name] for name in ("state", "endpointId", "source", "rowId", "msgId", "since"))


def _oldest(undelivered: Any) -> list[dict[str, Any]]:
    if isinstance(undelivered, Refused):
        return []
    return sorted(undelivered["data"], key=lambda each: str(each["since"]))[:LISTED]
