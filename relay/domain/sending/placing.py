"""Where a delivery goes after an attempt."""

from relay.domain.judging import Verdict
from relay.domain.sending.delivery import Delivery


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
    if verdict.place == "due":
        lane.postponed(delivery, verdict.due_ms)
        return
    lane.put_back(delivery)
    if verdict.uses_try and verdict.due_ms:
        # Nothing may pass it: the whole lane waits.
        lane.until_ms = verdict.due_ms
