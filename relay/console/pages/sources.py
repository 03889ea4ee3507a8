"""`/console/sources`: the list of sources, and the page of one with its routes."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from litestar import Response, get, post
from litestar.exceptions import NotFoundException
from litestar.params import FromPath, FromQuery

from relay.console.api import together
from relay.console.finding import found, holding
from relay.console.listing import with_query
from relay.console.pages.signing_in import VisitGiven
from relay.console.words import segment

AT = "/console/sources"
FOUND_BY = ("uid", "name", "baseUrl", "igrp")
"""Fields in which the list looks for a text."""
BEHIND = ("stalled", "lagging")
STEPS = {"pause": "Polling is paused.", "resume": "Polling continues.", "poll": "The source is polled at once."}


class Polled(NamedTuple):
    """A route with its source, as lists show it."""

    source: Mapping[str, Any]
    route: Mapping[str, Any]


def polled(sources: Iterable[Mapping[str, Any]]) -> list[Polled]:
    """All routes of some sources."""
    return [Polled(source, route) for source in sources for route in (source.get("routeStates") or {}).values()]


def is_behind(polled: Polled) -> bool:
    """Whether the route needs a look: it is behind Infinity, or it is stopped."""
    return polled.route["freshness"] in BEHIND or polled.route["state"] == "stopped"


def worst_first(routes: Iterable[Polled]) -> list[Polled]:
    """Routes that need a look first: those that are stopped, then those that are furthest behind."""

    def place(each: Polled) -> tuple[bool, bool, float]:
        return not is_behind(each), each.route["state"] != "stopped", -(each.route["lagSeconds"] or 0)

    return sorted(routes, key=place)


def at(uid: str, *more: str) -> str:
    """The address of a page of a source."""
    return "/".join((AT, segment(uid), *map(segment, more)))


@get("/sources")
async def list_sources(
    visit: VisitGiven,
    find: FromQuery[str] = "",
    behind: FromQuery[str | None] = None,
    iterator: FromQuery[str | None] = None,
) -> Response[bytes]:
    """All sources, or those in which a text is found. `behind`: only routes that need a look, the worst first."""
    conditions = holding(find.strip(), FOUND_BY)
    if behind:
        conditions.append(lambda source: any(map(is_behind, polled([source]))))
    sources = await found(visit.api, "source", conditions=conditions, iterator=iterator)
    routes = polled(sources["data"])
    return visit.page(
        "sources.html",
        sources=sources,
        routes=worst_first(filter(is_behind, routes)) if behind else routes,
        find=find,
        behind=behind,
        at=with_query(AT, {"find": find, "behind": behind}),
    )


@get("/sources/{uid:str}")
async def source_page(visit: VisitGiven, uid: FromPath[str]) -> Response[bytes]:
    """One source and its routes."""
    source = await visit.api.get("source", uid)
    backfills, reconciliations, quarantine = await together(
        visit.api.get("source", uid, "backfill"),
        visit.api.get("source", uid, "reconciliation", limit=1),
        visit.api.get("source", uid, "quarantine", limit=1),
    )
    running = [each for each in backfills["data"] if each["state"] == "running"]
    return visit.page(
        "source.html",
        source=source,
        stopped=_stopped(source),
        running=running,
        last=_first(reconciliations),
        quarantine=quarantine,
    )


@post("/sources/{uid:str}/{step:str}")
async def steer_source(visit: VisitGiven, uid: FromPath[str], step: FromPath[str]) -> Response[bytes]:
    """Pause, resume or poll all routes."""
    done = known_step(step)
    return await visit.act("POST", "source", uid, step, to=at(uid), done=done)


@post("/sources/{uid:str}/routes/{route:str}/{step:str}")
async def steer_route(
    visit: VisitGiven, uid: FromPath[str], route: FromPath[str], step: FromPath[str]
) -> Response[bytes]:
    """Pause, resume or poll one route."""
    done = known_step(step).replace("The source", f"The route {route}")
    return await visit.act("POST", "source", uid, "route", route, step, to=visit.back(at(uid)), done=done)


@get("/sources/{uid:str}/quarantine")
async def quarantine_page(
    visit: VisitGiven, uid: FromPath[str], iterator: FromQuery[str | None] = None
) -> Response[bytes]:
    """The rows that were set aside."""
    source, rows = await together(
        visit.api.get("source", uid),
        visit.api.get("source", uid, "quarantine", limit=50, iterator=iterator),
        needed=(0, 1),
    )
    return visit.page("source_quarantine.html", source=source, rows=rows)


def known_step(step: str) -> str:
    """What is said after a step. Raises NotFoundException for another one."""
    if step not in STEPS:
        raise NotFoundException
    return STEPS[step]


def _first(page: Any) -> Any:
    return page["data"][0] if page["data"] else None


def _stopped(source: Mapping[str, Any]) -> dict[str, list[str]]:
    """The names of routes that are stopped, by what stopped them."""
    found: dict[str, list[str]] = {}
    for _, route in polled([source]):
        if route["state"] == "stopped":
            found.setdefault(route["lastError"] or "Infinity refused the credentials", []).append(route["route"])
    return found
