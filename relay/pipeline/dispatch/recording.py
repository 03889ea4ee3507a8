"""What is done about an attempt, written into the lane's results for the next exchange."""

from collections.abc import Sequence

from relay.domain.breaking import speaks_for_receiver
from relay.domain.judging import Verdict, judge
from relay.domain.model import Attempt
from relay.domain.outcomes import BLAMELESS, Outcome
from relay.pipeline.dispatch.delivery import Delivery
from relay.pipeline.dispatch.lane import HeldLane
from relay.store.attempts import pack_attempt

AFTER_THE_LANE_MS = 100
"""How long after its lane's next probe a failed probe comes back."""
BLAMELESS_PAUSE_MS = 5_000
UNTIL_DISABLED_MS = 1_000


def record(
    lane: HeldLane, delivery: Delivery, outcome: Outcome, *, now_ms: int, jitter: float, schedule: Sequence[float]
) -> Verdict:
    """Judge the outcome of an attempt that ended at `now_ms` and note what follows from it in the lane."""
    reference = delivery.reference
    verdict = judge(
        outcome,
        attempt=reference.attempt,
        schedule=lane.endpoint.retry_schedule if lane.endpoint.retry_schedule is not None else schedule,
        jitter=jitter,
        now_ms=now_ms,
    )
    if verdict.kind == "delivered":
        lane.handed.ended.append(delivery.stored)
        lane.queue.ended(delivery, lane.handed)
        lane.window.succeeded(outcome.duration_ms)
        if lane.health.succeeded(now_ms):
            lane.handed.health = lane.health.text()
    else:
        verdict = _failed(lane, delivery, outcome, verdict, now_ms=now_ms, jitter=jitter)
    began_ms = now_ms - round(outcome.duration_ms)
    attempt = Attempt(
        endpoint_id=lane.endpoint.id,
        seq=reference.number,
        number=reference.attempt,
        type_code=reference.type_code,
        started_at_ms=began_ms,
        duration_ms=round(outcome.duration_ms),
        status=outcome.status,
        verdict=verdict.kind,
        error=outcome.error if not outcome.detail else f"{outcome.error}: {outcome.detail}",
        next_at_ms=verdict.due_ms,
        headers=outcome.headers,
        body=outcome.body,
        trigger=reference.by_hand,
        tag=reference.tag,
    )
    lane.handed.attempts.append((reference.number, began_ms, pack_attempt(attempt)))
    return verdict


def _failed(
    lane: HeldLane, delivery: Delivery, outcome: Outcome, verdict: Verdict, *, now_ms: int, jitter: float
) -> Verdict:
    if outcome.error in BLAMELESS:
        # The fault is on our side: no try is used up, and the breaker learns nothing.
        lane.stop(now_ms + BLAMELESS_PAUSE_MS)
        lane.handed.back.append((delivery.stored, delivery.stored))
        return Verdict("retry", due_ms=now_ms + BLAMELESS_PAUSE_MS)
    probing = lane.health.half_open
    if speaks_for_receiver(outcome):
        lane.window.failed()
        if lane.health.failed(now_ms):
            lane.stop(now_ms + lane.health.pause_ms(jitter))
        lane.handed.health = lane.health.text()
        if lane.health.is_hopeless(now_ms):
            verdict = Verdict("disabled", reason="five days without one success")
    elif lane.health.succeeded(now_ms):
        lane.handed.health = lane.health.text()
    if verdict.pause_until_ms:
        lane.stop(verdict.pause_until_ms)
    if verdict.kind == "disabled":
        # Until the configuration says so too: should that fail, the lane is tried again.
        lane.stop(now_ms + UNTIL_DISABLED_MS)
        lane.handed.back.append((delivery.stored, delivery.stored))
    elif probing and lane.health.half_open:
        # A probe uses up no try. It comes back after the lane does, so that the next probe is of another event, if
        # there is one: an event that its receiver cannot bear must not keep the lane closed.
        verdict = Verdict("retry", due_ms=(lane.stopped_until or now_ms) + AFTER_THE_LANE_MS)
        _postpone(lane, delivery, delivery.stored.decode(), verdict.due_ms)
    elif verdict.kind == "dead":
        lane.handed.dead.append((delivery.stored, verdict.reason))
        lane.queue.ended(delivery, lane.handed)
    else:
        again = delivery.reference._replace(attempt=delivery.reference.attempt + 1, crashes=0, by_hand=0).text()
        _postpone(lane, delivery, again, verdict.due_ms)
    return verdict


def _postpone(lane: HeldLane, delivery: Delivery, again: str, due_ms: int) -> None:
    if lane.endpoint.order == "fifo":
        # Nothing may pass it: it stays at the head, and the whole lane waits.
        lane.handed.back.append((delivery.stored, again))
        lane.stop(due_ms)
        return
    lane.handed.retries.append((delivery.stored, again, due_ms))
    lane.queue.postponed(delivery, lane.handed)
