"""Paths of the sandbox's own, for demos, tests and checkers: nothing of this is the upstream's."""

from collections.abc import AsyncIterator, Iterator
from itertools import islice
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import Body
from litestar.response import Stream

from relay.sandbox import lines
from relay.sandbox.hazards import Hazard, Name
from relay.sandbox.refusals import BadParameter
from relay.sandbox.upstream import Upstream

NDJSON = "application/x-ndjson"


class State(msgspec.Struct, frozen=True, rename="camel"):
    """How far the sandbox is."""

    rows: int
    """Trigger rows that are visible now."""
    charges: int
    """Rows of `itemisedCalls` that are visible now."""
    newest_row_id: str | None
    """The largest rowId that is visible now, whatever came last."""
    producing: bool
    """Whether rows are still being made."""
    pending: int
    """Late rows, changes and deletions that are still to come."""
    requests: int
    """How many lists were asked for, refused ones among them."""


def _state(upstream: Upstream) -> State:
    triggers, charges = upstream.rows.indexes["all"], upstream.rows.indexes["itemisedCalls"]
    return State(
        rows=len(triggers.ids),
        charges=len(charges.ids),
        newest_row_id=str(triggers.ids[-1]) if triggers.ids else None,
        producing=upstream.production.producing,
        pending=upstream.production.pending,
        requests=upstream.requests,
    )


@get("/state")
async def show_state(upstream: NamedDependency[Upstream]) -> State:
    """Say how far the sandbox is."""
    upstream.catch_up()
    return _state(upstream)


@post("/stop", status_code=200)
async def stop(upstream: NamedDependency[Upstream]) -> State:
    """Make no more rows. Late rows and changes that are under way still come: see `pending`."""
    upstream.catch_up()
    upstream.production.stop()
    return _state(upstream)


@get("/hazards")
async def show_hazards(upstream: NamedDependency[Upstream]) -> dict[Name, Hazard]:
    """Give the hazards that are on, with what is left of `next`."""
    return upstream.hazards.switches


@post("/hazards", status_code=200)
async def switch_hazards(
    upstream: NamedDependency[Upstream], data: Annotated[dict[Name, Hazard], Body()]
) -> dict[Name, Hazard]:
    """Set the hazards that are named, `{}` being off; the others stay as they are."""
    upstream.catch_up()
    upstream.hazards.switch(data)
    return upstream.hazards.switches


@post("/rows", status_code=201, request_max_body_size=None)
async def add_rows(request: Request[Any, Any, Any], upstream: NamedDependency[Upstream]) -> dict[str, int]:
    """Take in rows as NDJSON. A rowId that is there gets the new content; `visibleAfter` (seconds) is no column."""
    now_s = upstream.catch_up()
    rows = [_read_row(line) for line in (await request.body()).split(b"\n") if line.strip()]
    for line, visible_after_s in rows:
        upstream.production.accept(line, at_s=now_s, visible_after_s=visible_after_s)
    return {"accepted": len(rows)}


@get("/shown")
async def report_shown(upstream: NamedDependency[Upstream]) -> Response[Any]:
    """Give for every row that any list has shown its routes and each of its versions, as NDJSON."""
    return Stream(_in_chunks(upstream.shown.report()), media_type=NDJSON)


async def _in_chunks(report: Iterator[bytes]) -> AsyncIterator[bytes]:
    # Sending each line on its own would cost 170 µs apiece.
    while chunk := b"".join(islice(report, 500)):
        yield chunk


def _read_row(line: bytes) -> tuple[bytes, float]:
    try:
        lines.entry(line)
        if b'"visibleAfter"' not in line:
            return line, 0.0
        row = lines.json_object(line)
        return lines.encode({n: v for n, v in row.items() if n != "visibleAfter"}), float(row.get("visibleAfter", 0))
    except (ValueError, TypeError) as error:
        raise BadParameter(str(error)) from None


control = Router("/sandbox", route_handlers=[show_state, stop, show_hazards, switch_hazards, add_rows, report_shown])
