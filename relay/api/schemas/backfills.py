"""Backfills and readings on the wire."""

from contextlib import suppress
from datetime import date, datetime
from typing import Annotated, Literal

from msgspec import Meta

from relay.api.schemas.checks import Path, Policies
from relay.api.schemas.common import In, Out, moment, moment_or_none
from relay.api.schemas.sources import Route
from relay.domain.model import EndpointId
from relay.domain.reading.backfill import Backfill
from relay.domain.reading.place import Place
from relay.errors import Fault, Invalid

RowId = Annotated[int, Meta(ge=0, le=2**63 - 1)]
MOST_ENDPOINTS = 100


def check_day(value: str, path: Path, policies: Policies) -> None:
    """Raise Invalid for what is no day."""
    with suppress(ValueError):
        if date.fromisoformat(value).isoformat() == value:
            return
    raise Invalid(Fault(path, "must be a day such as 2026-01-31"))


class BackfillIn(In, frozen=True, kw_only=True):
    """What a backfill reads, and for whom."""

    route: Route
    """The route whose rows are read."""
    after_row_id: RowId | None = None
    """Begin with the rows after this rowId. Send either this or `since`."""
    since: Annotated[str, Meta(min_length=10, max_length=10, extra={"check": check_day})] | None = None
    """Begin with the first row of this day (UTC), such as `2026-01-31`."""
    until_row_id: RowId | None = None
    """End with this rowId. Default: the cursor of the route."""
    until: Annotated[str, Meta(min_length=10, max_length=10, extra={"check": check_day})] | None = None
    """Leave out the rows of later days (UTC). Send either this or `untilRowId`."""
    endpoints: (
        Literal["all", "none"]
        | Annotated[
            list[Annotated[str, Meta(min_length=1, max_length=64)]], Meta(min_length=1, max_length=MOST_ENDPOINTS)
        ]
    )
    """The ids of the endpoints that receive the rows, or `all`, or `none`: then the relay only stores the events. The
    event types and filters of the endpoints apply."""
    dry_run: bool = False
    """Only count the rows: nothing is stored or sent."""


class BackfillOut(Out, frozen=True, kw_only=True):
    """A backfill and its progress."""

    id: str
    """The id of the backfill."""
    route: str
    """The route whose rows are read."""
    after_row_id: int | None
    """The rowId after which it began. null: it began at `since`."""
    since: str | None
    """The day at whose first row it began."""
    until_row_id: int
    """The rowId with which it ends."""
    until: str | None
    """The last day whose rows it reads. null: it reads rows of every day up to `untilRowId`."""
    endpoints: Literal["all", "none"] | list[str]
    """The endpoints that receive the rows."""
    task: str | None
    """The background task that began it and chose its rows. null: it reads all rows."""
    dry_run: bool
    """Whether it only counts."""
    state: Literal["running", "done", "cancelled", "failed"]
    """`running`, `done`, `cancelled` by `DELETE`, or `failed` for the reason in `error`."""
    row_id: int | None
    """How far it is: the rowId of the last row that it read. null: it has not begun, or has ended."""
    rows: int
    """How many rows it has read."""
    events: int
    """How many events these rows made. Of a dry run: how many rows the relay does not know. A rewound cursor would send
    these."""
    waiting_for: list[str]
    """The ids of up to 10 endpoints for which the backfill waits, because they have too much to do. `[]`: none."""
    failures: int
    """How many requests failed in a row. It tries again after a while."""
    error: str | None
    """Why it failed."""
    created_at: datetime
    """When it was created."""
    ended_at: datetime | None
    """When it ended."""


class ReadingOut(Out, frozen=True, kw_only=True):
    """A reading of rows that the cursor has passed."""

    name: str
    """`overlap`, `change.` or `gap.` with the distance in seconds, or `backfill.` with an id."""
    row_id: int
    """Rows up to this rowId have been read."""
    until_row_id: int | None
    """The rowId with which the round ends that is under way. null: none is."""
    due_at: datetime
    """When it wants its next page."""
    failures: int
    """How many requests failed in a row."""
    rows: int
    """How many rows it has read."""
    events: int
    """How many late and changed rows it has found."""


class ReadingsOut(Out, frozen=True, kw_only=True):
    """All readings of a route."""

    data: list[ReadingOut]
    """The readings, by name."""


def show_backfill(backfill: Backfill, place: Place | None) -> BackfillOut:
    """A backfill as responses show it; `place` is where it is while it runs."""
    at = place if backfill.state == "running" else None
    return BackfillOut(
        id=backfill.id,
        route=backfill.route,
        after_row_id=backfill.after if backfill.since is None else None,
        since=backfill.since,
        until_row_id=backfill.until,
        until=backfill.until_day,
        endpoints="all" if backfill.receivers is None else list(backfill.receivers) or "none",
        task=backfill.too_old.task if backfill.too_old else None,
        dry_run=backfill.dry_run,
        state=backfill.state,
        row_id=at.after if at and at.until is not None else None,
        rows=at.rows if at else backfill.rows,
        events=at.events if at else backfill.events,
        waiting_for=list(at.waits_for) if at else [],
        failures=at.failures if at else 0,
        error=backfill.error,
        created_at=moment(backfill.created_ms),
        ended_at=moment_or_none(backfill.ended_ms),
    )


def show_reading(name: str, place: Place) -> ReadingOut:
    """A reading as responses show it."""
    return ReadingOut(
        name=name,
        row_id=place.after,
        until_row_id=place.until,
        due_at=moment(place.due_ms),
        failures=place.failures,
        rows=place.rows,
        events=place.events,
    )


def audience_of(endpoints: str | list[str]) -> tuple[EndpointId, ...] | None:
    """Whom a request means, as Backfill has it."""
    if isinstance(endpoints, list):
        return tuple(dict.fromkeys(map(EndpointId, endpoints)))
    return None if endpoints == "all" else ()
