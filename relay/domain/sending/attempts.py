"""What is written down of an attempt: its record in the log, and the operational event that it causes."""

from relay.domain.judging import Verdict
from relay.domain.model import Attempt, EndpointId, MessageId
from relay.domain.operational import Event, attempt_event
from relay.domain.outcomes import Outcome
from relay.domain.references import Reference
from relay.domain.sending.delivery import Delivery


def noted(delivery: Delivery, outcome: Outcome, verdict: Verdict, now_ms: int) -> tuple[Attempt, Event | None, int]:
    """The record of an attempt that ended at `now_ms`, its operational event if it causes one, and that time."""
    attempt, endpoint = attempt_of(delivery, outcome, verdict, now_ms), delivery.lane.machine.endpoint
    if endpoint is None:
        return attempt, None, now_ms
    return attempt, attempt_event(attempt, delivery.event, endpoint.app_id, uses_try=verdict.uses_try), now_ms


def superseded(endpoint: EndpointId, reference: Reference, newer: MessageId | None, now_ms: int) -> Attempt:
    """The record of an attempt that was not made: a newer revision of the row was confirmed."""
    by = "" if newer is None else f": {newer}"
    return Attempt(
        endpoint_id=endpoint, seq=reference.number, number=reference.attempt, type_code=reference.type_code,
        started_at_ms=now_ms, duration_ms=0, status=0, verdict="skipped", error=f"superseded{by}", tag=reference.tag,
    )  # fmt: skip


def attempt_of(delivery: Delivery, outcome: Outcome, verdict: Verdict, now_ms: int) -> Attempt:
    """The record of an attempt that ended at `now_ms`."""
    reference = delivery.reference
    return Attempt(
        endpoint_id=delivery.lane.machine.id,
        seq=reference.number,
        number=reference.attempt,
        type_code=reference.type_code,
        started_at_ms=now_ms - round(outcome.duration_ms),
        duration_ms=round(outcome.duration_ms),
        status=outcome.status,
        verdict=verdict.kind,
        error=outcome.error if not outcome.detail else f"{outcome.error}: {outcome.detail}",
        next_at_ms=verdict.due_ms,
        headers=outcome.headers,
        body=outcome.body,
        trigger=reference.by_hand,
        tag=reference.tag,
        connect_ms=outcome.connect_ms,
        tls_ms=outcome.tls_ms,
        head_ms=outcome.head_ms,
        event_type=delivery.event.post.event_type if delivery.event.post else "",
        batch_id=outcome.batch_id,
        batch_size=outcome.batch_size,
    )
