"""What becomes of the deliveries of a request that has ended: the verdict on each, its record, and where it goes."""

from collections.abc import Sequence
from typing import NamedTuple

from relay.domain.breaking import Health
from relay.domain.judging import Verdict, judge
from relay.domain.model import Attempt
from relay.domain.outcomes import Failure, Outcome
from relay.domain.sending.attempts import noted
from relay.domain.sending.delivery import Delivery


class Landed(NamedTuple):
    """A delivery whose attempt has ended, and was judged."""

    delivery: Delivery
    outcome: Outcome
    verdict: Verdict
    attempt: Attempt


def judged(
    first: Delivery, outcomes: Sequence[Outcome | None], *, health: Health, probing: bool, schedule: Sequence[float],
    jitter: float, now_ms: int,
) -> list[Landed]:  # fmt: skip
    """Judge a request by the health of its receiver before it, and put each of its deliveries where it belongs.

    None stands for a delivery that was not tried: it goes back to where it was.
    """
    landed: list[Landed] = []
    members, first.others = first.members, []
    # Backwards, so that those that go back to the head of their lane stand there in their order.
    for delivery, outcome in zip(reversed(members), reversed(outcomes), strict=True):
        if outcome is None:
            # Its request was full: it has waited enough.
            delivery.since_ms = 0
            delivery.lane.put_back(delivery)
            continue
        verdict = judge(
            outcome, attempt=delivery.reference.attempt, health=health, probing=probing,
            order=delivery.lane.queue.order, schedule=schedule, jitter=jitter, now_ms=now_ms,
        )  # fmt: skip
        recorded = noted(delivery, outcome, verdict, now_ms)
        delivery.lane.noted(*recorded)
        place(delivery, verdict)
        landed.append(Landed(delivery, outcome, verdict, recorded[0]))
    return landed[::-1]


def telling(landed: Sequence[Landed]) -> Landed:
    """Of the deliveries of one request, one that says most of the receiver, which got it or refused it once."""
    sent = [each for each in landed if each.outcome.batch_id]
    whole = [each for each in sent if each.outcome.error != Failure.PARTIAL]
    resting = [each for each in landed if each.verdict.rest_until_ms]
    return [*whole, *sent, *resting, *landed][0]


def place(delivery: Delivery, verdict: Verdict) -> None:
    """Put a delivery that was in flight where its verdict says."""
    lane = delivery.lane
    if verdict.place in ("ended", "skipped"):
        lane.ended(delivery, is_sent=verdict.place == "ended")
        return
    if verdict.place == "dead":
        lane.gave_up(delivery, verdict.reason)
        return
    if verdict.uses_try:
        attempt = delivery.reference.attempt + 1
        delivery.reference = delivery.reference._replace(attempt=attempt, crashes=0, by_hand=0, held=0)
    if verdict.most:
        delivery.most, delivery.since_ms = verdict.most, 0
    if verdict.place == "due":
        lane.postponed(delivery, verdict.due_ms)
        return
    lane.put_back(delivery)
    if verdict.uses_try and verdict.due_ms:
        # Nothing may pass it: the whole lane waits.
        lane.until_ms = verdict.due_ms
