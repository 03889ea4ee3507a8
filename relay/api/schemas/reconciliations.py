"""Reconciliations on the wire."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType

from relay.api.schemas.checks import Path, Policies
from relay.api.schemas.common import In, Out, moment, moment_or_none, ms
from relay.domain.model import EndpointId, StoredEvent
from relay.domain.reconciling import KINDS, REPAIRED, Counts, Difference, Kind
from relay.errors import Fault, Invalid
from relay.store.reconciliations import Range, Run

SPACES = {"t": "triggers", "i": "itemisedCalls"}
"""Rows of `itemisedCalls` have rowIds of their own."""
LONGEST_TIME = 64
LATEST_MS = 253_402_300_800_000
"""The year 10,000, which no response can show."""
KIND_TEXTS: dict[str, str] = {
    "missing": "Infinity shows the row, and the relay has stored no event of it",
    "unexpected": "the relay has an event of the row, and Infinity does not show the row any more",
    "undelivered": "the endpoint is owed the event, and the delivery neither waits nor has it ended",
    "dead": "the relay gave the delivery up",
    "dropped": "the delivery left the backlog of the endpoint, which was full, or it had waited too long",
}
RowId = Annotated[int, Meta(ge=0, le=2**63 - 1)]


def read_time(value: str) -> int:
    """The ms of a time in a body. Raises ValueError."""
    return ms(datetime.fromisoformat(value))


def check_time(value: str, path: Path, _: Policies) -> None:
    """Raise Invalid for a text that is no time."""
    try:
        if 0 <= read_time(value) < LATEST_MS:
            return
    except (ValueError, OverflowError):
        pass
    raise Invalid(Fault(path, "must be a time after 1970 such as `2026-11-24T10:00:00Z`"))


Time = Annotated[
    str,
    Meta(
        max_length=LONGEST_TIME,
        examples=["2026-11-24T10:00:00Z"],
        extra_json_schema={"format": "date-time"},
        extra={"check": check_time},
    ),
]
DifferenceKind = Annotated[
    Literal[KINDS],  # type: ignore[valid-type]
    Meta(
        description="; ".join(f"`{kind}`: {text}" for kind, text in KIND_TEXTS.items()),
        extra_json_schema={"x-enum-descriptions": KIND_TEXTS},
    ),
]


class ReconciliationIn(In, frozen=True, kw_only=True):
    """The rows to reconcile. Without any field: everything that the books have."""

    after_row_id: RowId = 0
    """Only rows above this rowId."""
    until_row_id: RowId | None = None
    """Only rows up to this rowId. null: as far as the routes have come."""
    since: Time | None = None
    """Only rows that the routes passed after this time, about. null: from the beginning."""
    until: Time | None = None
    """Only rows that the routes had passed at this time, about. null: up to now."""

    def range(self) -> Range:
        """The rows that are asked for."""
        return Range(
            after=self.after_row_id,
            until=self.until_row_id,
            since_ms=None if self.since is None else read_time(self.since),
            until_ms=None if self.until is None else read_time(self.until),
        )


class RepairIn(In, frozen=True, kw_only=True):
    """The differences to repair."""

    kinds: Annotated[list[DifferenceKind], Meta(min_length=1, max_length=len(KINDS))] | UnsetType = UNSET
    """Default: `missing` and `undelivered`. With `dead` and `dropped`, the relay sends those messages again, too.
    `unexpected` cannot be repaired."""

    def wanted(self) -> tuple[Kind, ...]:
        """The kinds that are asked for."""
        return REPAIRED if self.kinds is UNSET else tuple(dict.fromkeys(self.kinds))


class ProgressOut(Out, frozen=True, kw_only=True):
    """How far a reconciliation has come, for one kind of rows."""

    rows: Literal["triggers", "itemisedCalls"]
    """The kind of rows. Call charges have rowIds of their own."""
    row_id: int
    """All rows up to this rowId were compared."""
    until_row_id: int
    """The last rowId to compare."""


class RepairOut(Out, frozen=True, kw_only=True):
    """The result of a repair."""

    kinds: list[DifferenceKind]
    """The kinds of differences that the repair is about."""
    repaired: int
    """How many of the listed differences were repaired: the rows are events, or the deliveries wait in their lanes."""
    unrepaired: int
    """How many could not be repaired: Infinity does not show the row any more, or its line cannot be read."""


class ReconciliationOut(Out, frozen=True, kw_only=True):
    """A comparison of what Infinity shows with what the relay stored and what the endpoints confirmed."""

    id: str
    """The id of the reconciliation."""
    source: str
    """The uid of the source."""
    state: Literal["comparing", "checking", "repairing", "done", "failed"]
    """`comparing` rows, `checking` the differences again, `repairing` them, `done`, or `failed`: see `error`."""
    scheduled: bool
    """Whether the relay began it by itself."""
    after_row_id: int
    """Only rows above this rowId are compared."""
    until_row_id: int | None
    """Only rows up to this rowId are compared. null: no limit."""
    since: datetime | None
    """Only rows that the routes passed after this time are compared."""
    until: datetime | None
    """Only rows that the routes had passed at this time are compared."""
    progress: list[ProgressOut]
    """How far it has come. Empty: it waits for its turn."""
    rows_shown: int
    """How many rows Infinity showed."""
    rows_stored: int
    """How many of the rows in the range the relay has events of."""
    messages: int
    """How many messages these rows made."""
    differences: dict[str, int]
    """How many differences there are, by kind. The list has the first 10,000 of them."""
    error: str | None
    """Why the last request to Infinity failed."""
    repair: RepairOut | None
    """The last repair. null: there was none."""
    created_at: datetime
    """When it was asked for."""
    ended_at: datetime | None
    """When it was done, or failed."""


class DifferenceOut(Out, frozen=True, kw_only=True):
    """One difference."""

    kind: DifferenceKind
    rows: Literal["triggers", "itemisedCalls"]
    """The kind of the row. Call charges have rowIds of their own."""
    row_id: str
    """The rowId of the row."""
    route: str | None
    """The route that shows the row. null: it does not matter."""
    endpoint_id: str | None
    """The id of the endpoint. null: the difference is not about a delivery."""
    msg_id: str | None
    """The id of the message. null: there is none, or the relay no longer has it."""


class EndpointCountsOut(Out, frozen=True, kw_only=True):
    """What became of the messages that an endpoint is owed."""

    endpoint_id: str
    """The id of the endpoint."""
    owed: int
    """How many messages of the range the endpoint wanted."""
    confirmed: int
    """How many the endpoint confirmed with a 2xx."""
    waiting: int
    """How many wait, are being sent or are retried."""
    unwanted: int
    """How many the endpoint did not want after all: its filter was repaired, or the message was stored again."""
    dead: int
    """How many the relay gave up."""
    dropped: int
    """How many left the backlog of the endpoint."""
    undelivered: int
    """How many neither wait nor have ended."""


def range_faults(after: Any, until: Any, since: Any, before: Any) -> Iterable[Fault]:
    """What is wrong with a range whose fields are sound. None: a field is not given, or has a fault of its own."""
    if after is not None and until is not None and until <= after:
        yield Fault(("body", "untilRowId"), "`untilRowId`: must be greater than `afterRowId`")
    if since is not None and before is not None and read_time(before) <= read_time(since):
        yield Fault(("body", "until"), "`until`: must be later than `since`")


def show_reconciliation(source: str, run: Run) -> ReconciliationOut:
    """A reconciliation as responses show it."""
    progress = [
        ProgressOut(rows=SPACES[space], row_id=run.position[space], until_row_id=end)  # type: ignore[arg-type]
        for space, end in sorted(run.ends.items(), reverse=True)
    ]
    repair = RepairOut(kinds=list(run.repair), repaired=run.repaired, unrepaired=run.unrepaired) if run.repair else None
    return ReconciliationOut(
        id=run.id,
        source=source,
        state=run.phase,
        scheduled=run.scheduled,
        after_row_id=run.range.after,
        until_row_id=run.range.until,
        since=moment_or_none(run.range.since_ms),
        until=moment_or_none(run.range.until_ms),
        progress=progress,
        rows_shown=run.shown,
        rows_stored=run.stored,
        messages=run.events,
        differences={str(kind): number for kind, number in run.found.items()},
        error=run.error,
        repair=repair,
        created_at=moment(run.asked_at_ms),
        ended_at=moment_or_none(run.ended_at_ms),
    )


def show_difference(each: Difference, event: StoredEvent | None) -> DifferenceOut:
    """A difference as responses show it. A number can be given twice, so `event` may be one of another row."""
    is_its_own = event is not None and event.row_id == str(each.row_id)
    return DifferenceOut(
        kind=each.kind,
        rows=SPACES[each.space],  # type: ignore[arg-type]
        row_id=str(each.row_id),
        route=each.route or None,
        endpoint_id=each.endpoint or None,
        msg_id=event.id if event is not None and is_its_own else None,
    )


def show_counts(endpoint: EndpointId, counts: Counts) -> EndpointCountsOut:
    """An endpoint's counts as responses show them."""
    return EndpointCountsOut(
        endpoint_id=endpoint,
        owed=counts.owed,
        confirmed=counts.confirmed,
        waiting=counts.waiting,
        unwanted=counts.unwanted,
        dead=counts.dead,
        dropped=counts.dropped,
        undelivered=counts.undelivered,
    )
