"""What the log keeps of an attempt."""

from relay.domain.judging import Verdict
from relay.domain.model import Attempt
from relay.domain.outcomes import Outcome
from relay.domain.sending.delivery import Delivery


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
    )
