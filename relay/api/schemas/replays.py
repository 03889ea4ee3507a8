"""Replays, and the background tasks that they are, on the wire."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType, convert

from relay.api.schemas.common import In, Out, Rate, SourceUidText, moment
from relay.api.schemas.endpoint_fields import EventTypes
from relay.api.schemas.erasures import ErasureData, show_progress
from relay.api.schemas.reconciliations import RowId, Time, read_time
from relay.api.schemas.statistics import AppUsageData, TypeUsageData
from relay.domain.erasing_task import ERASE, ErasureKind, Task
from relay.domain.replaying import Chosen, Kind, Reason, Wanted
from relay.errors import Fault, Invalid
from relay.store.replays import Part
from relay.store.usage import UsageKind, UsageTask

SUCCESS, FAIL = 0, 2
CHOSEN_TEXTS: dict[str, str] = {
    "delivered": "the endpoint confirmed the message",
    "dead": "the relay gave the delivery up, or dropped it from a backlog",
    "skipped": "the filter of the endpoint did not want the message: the relay asks the filter again",
    "never": "the endpoint was never owed the message, for example because it did not exist yet",
}
ChosenState = Annotated[
    Chosen,
    Meta(
        description="; ".join(f"`{state}`: {text}" for state, text in CHOSEN_TEXTS.items()),
        extra_json_schema={"x-enum-descriptions": CHOSEN_TEXTS},
    ),
]
REASON_TEXTS: dict[str, str] = {
    "schedule_used_up": "every attempt failed",
    "verdict_rule": "a verdict rule of the endpoint ended the delivery",
    "transformation": "an expression of the endpoint failed on the message",
    "no_match": "the lookup of the endpoint found nothing",
    "poison": "workers died while they sent the message",
    "backlog_full": "too many messages waited for the endpoint",
    "backlog_too_old": "the message waited too long for the endpoint",
}
DeadReason = Annotated[
    Reason,
    Meta(
        description="; ".join(f"`{reason}`: {text}" for reason, text in REASON_TEXTS.items()),
        extra_json_schema={"x-enum-descriptions": REASON_TEXTS},
    ),
]
Reasons = Annotated[list[DeadReason], Meta(min_length=1, max_length=len(REASON_TEXTS))]
TaskKind = Kind | UsageKind | ErasureKind
TaskStatus = Literal["running", "finished", "failed"]


class ReplayIn(In, frozen=True, kw_only=True):
    """The messages to send again, by the time when the relay stored them."""

    since: Time
    """Only messages that the relay stored at this time or later."""
    until: Time | None = None
    """Only messages that the relay stored before this time. null: up to now."""
    rate: Rate | None = None
    """The maximum number of messages per second that the task puts into the queue. null: as fast as they are sent."""
    dry_run: bool = False
    """Only count the messages, and send none."""

    def wanted(self, states: Sequence[Chosen | Reason]) -> Wanted:
        """The messages that are asked for."""
        until_ms = None if self.until is None else read_time(self.until)
        return Wanted(states=tuple(states), since_ms=read_time(self.since), until_ms=until_ms)


class RecoverIn(ReplayIn, frozen=True, kw_only=True):
    """The dead messages to send again, by the time when the relay stored them."""

    reasons: Reasons | None = None
    """Only messages that are dead for one of these reasons: see `reason` of `GET /undelivered`. null: for any."""

    def states(self) -> Sequence[Chosen | Reason]:
        """What must have become of the messages."""
        return ["dead"] if self.reasons is None else list(dict.fromkeys(self.reasons))


class BulkReplayIn(In, frozen=True, kw_only=True):
    """The messages to send again. A message must meet every condition."""

    since: Time | None = None
    """Only messages that the relay stored at this time or later. null: from the beginning."""
    until: Time | None = None
    """Only messages that the relay stored before this time. null: up to now."""
    event_types: EventTypes | None = None
    """Only messages of these types. null: of all types."""
    status: Literal[0, 2] | None = None
    """Svix's number of a status: 0 for `delivered`, 2 for `dead`. It replaces `states`."""
    states: Annotated[list[ChosenState], Meta(min_length=1, max_length=4)] | UnsetType = UNSET
    """What became of the messages. Omitted: `delivered` and `dead`. Messages that still wait are never replayed."""
    reasons: Reasons | None = None
    """Only messages that are dead for one of these reasons: see `reason` of `GET /undelivered`. `states` must then be
    omitted or `["dead"]`. null: for any reason."""
    after_row_id: RowId = 0
    """Only messages of rows above this rowId."""
    until_row_id: RowId | None = None
    """Only messages of rows up to this rowId. null: of all rows above."""
    sources: Annotated[list[SourceUidText], Meta(min_length=1, max_length=100)] | None = None
    """Only messages of these sources. null: of all sources of the application."""
    rate: Rate | None = None
    """The maximum number of messages per second that the task puts into the queue. null: as fast as they are sent."""
    dry_run: bool = False
    """Only count the messages, and send none."""

    def wanted(self) -> Wanted:
        """The messages that are asked for. Raises Invalid for reasons of messages that are not dead."""
        return Wanted(
            states=self._states(),
            since_ms=0 if self.since is None else read_time(self.since),
            until_ms=None if self.until is None else read_time(self.until),
            after_row_id=self.after_row_id,
            until_row_id=self.until_row_id,
            types=tuple(self.event_types or ()),
        )

    def _states(self) -> tuple[Chosen | Reason, ...]:
        by_status: dict[int | None, tuple[Chosen, ...]] = {SUCCESS: ("delivered",), FAIL: ("dead",)}
        default: tuple[Chosen, ...] = ("delivered", "dead") if self.reasons is None else ("dead",)
        given = default if self.states is UNSET else tuple(dict.fromkeys(self.states))
        chosen = by_status.get(self.status, given)
        if self.reasons is None:
            return chosen
        if chosen != ("dead",):
            field = "states" if self.status is None else "status"
            only = '`["dead"]`' if self.status is None else f"{FAIL}"
            raise Invalid(Fault(("body", field), f"must be {only} or omitted: only dead messages have `reasons`"))
        return tuple(dict.fromkeys(self.reasons))


class TaskBackfill(Out, frozen=True, kw_only=True):
    """A backfill that a task began."""

    source: str
    """The uid of the source."""
    id: str
    """The id of the backfill, which `GET /source/{uid}/backfill/{backfill_id}` shows."""


class TaskData(Out, frozen=True, kw_only=True, tag_field="kind", tag="replay"):
    """What a task does, and how far it has come."""

    app_id: str
    """The id of the application."""
    endpoint_id: str
    """The id of the endpoint."""
    state: Literal["running", "finished", "failed", "cancelled"]
    """How far the task is."""
    dry_run: bool
    """Whether the task only counts."""
    chosen: int
    """Messages that the task chose so far. With `dryRun`, all that it would send."""
    queued: int
    """Messages that the task has put into the queue of the endpoint so far."""
    changed: int
    """Chosen messages whose delivery changed before the task put them into the queue. The task left them alone."""
    too_old: int
    """Deliveries whose messages the relay no longer has. `backfills` read their rows from Infinity again."""
    backfills: list[TaskBackfill]
    """The backfills that the task has begun, one after the other. A task with `eventTypes` or `dryRun` begins none."""
    waiting: int
    """Replayed messages that wait for the endpoint now, of all tasks."""
    error: str | None
    """Why the task failed. null: it did not fail."""


class BackgroundTaskOut(Out, frozen=True, kw_only=True):
    """A background task."""

    id: str
    """The id of the task."""
    status: TaskStatus
    """`failed` also for a task that was cancelled: see `data.state`."""
    task: TaskKind
    """What began the task: `recover`, `replay-missing` (`endpoint.replay`) or `bulk-replay`, what it aggregated, or an
    erasure."""
    updated_at: datetime
    """When the task last made progress."""
    data: TaskData | AppUsageData | TypeUsageData | ErasureData
    """What the task does, and how far it has come; or its result."""


def show_usage(task: UsageTask) -> BackgroundTaskOut:
    """A task that aggregated statistics."""
    kind: type[AppUsageData | TypeUsageData] = AppUsageData if task.kind == "application.stats" else TypeUsageData
    return BackgroundTaskOut(
        id=task.id,
        status="finished",
        task=task.kind,
        updated_at=moment(task.updated_ms),
        data=convert(task.data, kind),
    )


def show_erasure(task: Task) -> BackgroundTaskOut:
    """A task that erases a person."""
    status: TaskStatus = "failed" if task.phase == "cancelled" else task.phase
    updated = moment(task.updated_ms)
    return BackgroundTaskOut(id=task.id, status=status, task=ERASE, updated_at=updated, data=show_progress(task))


def show_task(parts: Sequence[Part], *, waiting: int = 0) -> BackgroundTaskOut:
    """A task, from its parts in all sources."""
    replays = [part.replay for part in parts]
    phases = {replay.phase for replay in replays}
    state = next(phase for phase in ("running", "failed", "cancelled", "finished") if phase in phases)
    first = replays[0]
    return BackgroundTaskOut(
        id=first.id,
        status=state if state != "cancelled" else "failed",
        task=first.kind,
        updated_at=moment(max(replay.updated_ms for replay in replays)),
        data=TaskData(
            app_id=first.application,
            endpoint_id=first.endpoint,
            state=state,
            dry_run=first.dry_run,
            chosen=sum(replay.chosen for replay in replays),
            queued=sum(part.queued for part in parts),
            changed=sum(part.changed for part in parts),
            backfills=[TaskBackfill(source=part.source, id=each) for part in parts for each in part.replay.backfills],
            too_old=sum(part.replay.too_old + part.gone for part in parts),
            waiting=waiting,
            error=next((replay.error for replay in replays if replay.error), None),
        ),
    )
