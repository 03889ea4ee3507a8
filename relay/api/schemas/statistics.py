"""Statistics of endpoints and applications on the wire."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType, field

from relay.api.schemas.common import IdOrUid, In, Out, Time, moment, moment_or_none
from relay.domain.breaking import Condition
from relay.domain.matching import unfit_reason
from relay.domain.model import Application, Endpoint
from relay.domain.tallies import NO_ANSWER, Tally, Unit, summed
from relay.store.queues import Queue
from relay.store.usage import UsageKind

Breaker = Literal["closed", "open"]
State = Literal["working", "failing", "resting", "unfit", "paused", "disabled"]


class DurationsOut(Out, frozen=True, kw_only=True):
    """How long attempts took, in ms. A value is at most a quarter too high, and never too low."""

    p50: int | None
    """Half of the attempts did not take longer. null: there were none."""
    p95: int | None
    """95 % of the attempts did not take longer. null: there were none."""


class CountsOut(Out, frozen=True, kw_only=True):
    """How many attempts ended in which way, and how long they took."""

    success: int
    """Attempts that confirmed the delivery: answered with 200 to 299, unless a verdict rule of the endpoint decided
    otherwise."""
    fail: int
    """All other attempts."""
    by_class: dict[str, int]
    """Attempts by the class of their status, such as `5xx`; `none`: there was no answer. Without empty classes."""
    duration_ms: DurationsOut
    """How long they took."""


class BucketOut(CountsOut, frozen=True, kw_only=True):
    """The attempts of a minute or an hour."""

    at: datetime
    """When the minute or hour began."""


class HealthOut(Out, frozen=True, kw_only=True):
    """How an endpoint is doing now."""

    state: State
    """`disabled` and `paused`: nothing is sent. `unfit`: nothing is sent either, and `unfitReason` of the endpoint says
    why. `resting`: the breaker is open, or the receiver asked for a pause.
    `failing`: the last attempts failed. `working`: none of these."""
    disabled_reason: str | None
    """Why the endpoint is disabled. null: it is not."""
    breaker: Breaker
    """Whether the breaker is open: then one attempt at a time asks whether the receiver works again."""
    breaker_open_since: datetime | None
    """When the breaker opened. null: it is closed, or an earlier release of the relay opened it."""
    failing_since: datetime | None
    """When the first failure after the last success ended. null: the last attempt succeeded, or there was none."""
    resumes_at: datetime | None
    """When the relay sends again, at the earliest. null: it sends now, or waits until the endpoint is changed."""
    waiting: int
    """Messages that the endpoint has not confirmed and the relay still sends: in the queue, behind another message with
    the same key, waiting for a retry, or being sent now."""
    retrying: int
    """Those of them that wait for a retry."""
    kept_bytes: int
    """The bytes of all messages that the relay keeps for the endpoint: those that wait, and dead ones."""
    oldest_waiting_at: datetime | None
    """When the relay stored the oldest message that waits. null: none waits."""
    oldest_waiting_row_id: str | None
    """The rowId of that message. null: none waits, or it was posted."""
    complete: bool
    """Whether the relay counted all messages that wait. It looks at 100,000 retries and at 1,000 blocked keys. `false`:
    `waiting` and `retrying` are at least as high, and an older message may wait."""


class EndpointStatsOut(Out, frozen=True, kw_only=True):
    """The number of deliveries by status."""

    success: int
    """Delivered."""
    pending: int
    """Their last attempt disabled the endpoint. They wait until it is enabled."""
    fail: int
    """Given up."""
    sending: int
    """The relay retries them, or they wait for their first attempt, or are being sent now."""
    canceled: int
    """Skipped: the endpoint's transformation or lookup decided not to send them, or a newer revision was delivered."""
    complete: bool
    """Whether the relay looked at all attempts of that time that it still keeps."""
    health: HealthOut
    """How the endpoint is doing now."""


class OverTimeOut(Out, frozen=True, kw_only=True):
    """Attempts over time."""

    unit: Unit
    """How long each bucket is."""
    since: datetime
    """Buckets that begin at this time or later."""
    until: datetime
    """Buckets that begin before this time."""
    total: CountsOut
    """All buckets together."""
    buckets: list[BucketOut]
    """The buckets with attempts, oldest first."""


class HistoryOut(OverTimeOut, frozen=True, kw_only=True):
    """The attempts of an endpoint over time."""

    health: HealthOut
    """How the endpoint is doing now."""


class FailingEndpointOut(Out, frozen=True, kw_only=True):
    """An endpoint that failed lately, or for which the relay holds messages back."""

    app_id: str
    """The id of the application."""
    endpoint_id: str
    """The id of the endpoint."""
    endpoint_uid: str | None
    """Your own name for the endpoint."""
    description: str
    """The description of the endpoint."""
    url_host: str
    """The host of the endpoint's URL, with its port if the URL has one. Empty: the endpoint is a poller."""
    last_failed_at: datetime | None
    """When the relay recorded the last failed attempt. null: there was none in the last `hours`."""
    last_status: int | None
    """The HTTP status of the last failed attempt. 0: there was no response. null: the relay no longer keeps it."""
    last_error: str | None
    """Why the last failed attempt had no response. Empty: it had one. null: the relay no longer keeps it."""
    attempts: CountsOut
    """The attempts of the last `hours`, of the sources whose messages failed or wait."""
    health: HealthOut
    """How the endpoint is doing now, over the same sources."""


class AttemptStatsOut(Out, frozen=True, kw_only=True):
    """How many attempts succeeded and failed, in Svix's shape."""

    success: int
    """Attempts that confirmed the delivery: answered with 200 to 299, unless a verdict rule of the endpoint decided
    otherwise."""
    fail: int
    """All other attempts."""
    canceled: int = 0
    """Always 0."""


class AppUsageIn(In, frozen=True, kw_only=True):
    """A time whose usage is counted, in Svix's shape."""

    since: Time
    """The beginning of the time. The relay counts whole hours: those that begin at this time or later."""
    until: Time
    """The end of the time. The relay counts the hours that begin before it."""
    app_ids: Annotated[list[IdOrUid], Meta(min_length=1, max_length=1000)] | UnsetType | None = UNSET
    """Ids or uids of applications. null: all."""


class AppStatsOut(Out, frozen=True, kw_only=True):
    """The usage of an application."""

    app_id: str
    """The id of the application."""
    app_uid: str | None
    """Your own name for the application."""
    message_destinations: int
    """How many attempts the relay made to deliver messages to its endpoints."""


class AppUsageData(Out, frozen=True, kw_only=True, tag_field="kind", tag="usage"):
    """The result of counting the usage of applications."""

    app_stats: list[AppStatsOut]
    """The usage of each application."""


class AppTypesOut(Out, frozen=True, kw_only=True):
    """The event types that the endpoints of an application select."""

    app_id: str
    """The id of the application."""
    explicitly_subscribed_event_types: list[str]
    """The types that endpoints name, by name."""
    has_catch_all_endpoint: bool
    """Whether an endpoint selects every type."""


class TypeUsageData(Out, frozen=True, kw_only=True, tag_field="kind", tag="eventTypes"):
    """The result of aggregating event types."""

    event_types: list[AppTypesOut] = field(name="event_types")
    """The types of each application."""


class UsageTaskOut(Out, frozen=True, kw_only=True):
    """A background task that aggregates. It has ended: `GET /background-task/{id}` shows its result."""

    id: str
    """The id of the task."""
    status: Literal["finished"]
    """The task has ended."""
    task: UsageKind
    """What the task aggregated."""
    updated_at: datetime
    """When it ended."""


class AppUsageTaskOut(UsageTaskOut, frozen=True, kw_only=True):
    """A background task that counted the usage of applications."""

    unresolved_app_ids: list[str]
    """Ids and uids of the request that no application has."""


def show_counts(tally: Tally) -> CountsOut:
    """A tally as responses show it."""
    return CountsOut(**_counts(tally))


def show_history(
    found: Sequence[tuple[int, Tally]], health: HealthOut, *, unit: Unit, since_ms: int, until_ms: int
) -> HistoryOut:
    """Buckets, each with the ms when it began."""
    return HistoryOut(**over_time(found, unit, since_ms, until_ms), health=health)


def over_time(found: Sequence[tuple[int, Tally]], unit: Unit, since_ms: int, until_ms: int) -> dict[str, Any]:
    """The fields of OverTimeOut."""
    return {
        "unit": unit,
        "since": moment(since_ms),
        "until": moment(until_ms),
        "total": show_counts(summed(tally for _, tally in found)),
        "buckets": [BucketOut(at=moment(at_ms), **_counts(tally)) for at_ms, tally in found],
    }


def show_health(
    endpoint: Endpoint, application: Application | None, condition: Condition, queue: Queue, *, now_ms: int
) -> HealthOut:
    """How an endpoint is doing. `application` is the one that it belongs to; None: its record cannot be read."""
    resumes_ms = max(condition.until_ms, condition.asked_ms)
    return HealthOut(
        state=_state(endpoint, application, condition, is_resting=resumes_ms > now_ms),
        disabled_reason=endpoint.disabled_reason,
        breaker="open" if condition.opens else "closed",
        breaker_open_since=moment_or_none(condition.opened_ms or None) if condition.opens else None,
        failing_since=moment_or_none(condition.failing_since_ms or None),
        resumes_at=moment(resumes_ms) if resumes_ms > now_ms else None,
        waiting=queue.waiting,
        retrying=queue.retrying,
        kept_bytes=queue.bytes,
        oldest_waiting_at=moment(queue.oldest.stored_at_ms) if queue.oldest else None,
        oldest_waiting_row_id=(queue.oldest.row_id or None) if queue.oldest else None,
        complete=queue.complete,
    )


def _state(endpoint: Endpoint, application: Application | None, condition: Condition, *, is_resting: bool) -> State:
    if endpoint.disabled or endpoint.paused:
        return "disabled" if endpoint.disabled else "paused"
    if application is None or unfit_reason(application, endpoint) is not None:
        return "unfit"
    if condition.opens or is_resting:
        return "resting"
    return "failing" if condition.failing_since_ms else "working"


def _counts(tally: Tally) -> dict[str, Any]:
    durations = tally.all_durations()
    return {
        "success": tally.succeeded,
        "fail": tally.failed,
        "by_class": {"none" if each == NO_ANSWER else f"{each}xx": count for each, count in tally.classes.items()},
        "duration_ms": DurationsOut(p50=durations.at_most(0.5), p95=durations.at_most(0.95)),
    }
