"""What is done about the outcome of an attempt."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from relay.domain.outcomes import Outcome
from relay.domain.retrying import delay_ms, retry_after_ms

SLOWING = frozenset({429, 502, 503, 504})
"""Statuses that speak for the whole receiver, not for one event: its lane waits (Standard Webhooks, reliability E)."""
GONE = 410
LANE_PAUSE_MS = 1000
"""How long a lane waits at least when its receiver says that it is too busy, and not for how long."""


class Verdict(NamedTuple):
    """What is done about an attempt's outcome."""

    kind: Literal["delivered", "retry", "dead", "disabled"]
    due_ms: int = 0
    """When the next try is due."""
    pause_until_ms: int = 0
    """Until when nothing more should be sent to this endpoint; 0: it may go on."""
    reason: str = ""


DELIVERED = Verdict("delivered")


def judge(outcome: Outcome, *, attempt: int, schedule: Sequence[float], jitter: float, now_ms: int) -> Verdict:
    """Decide about try number `attempt` (from 1) that ended at `now_ms` with `outcome`.

    2xx is success and nothing else is; 3xx is a failure and never followed; 410 disables the endpoint and keeps the
    event; 429, 502, 503, 504 and any Retry-After pause the endpoint. A Retry-After is honoured exactly, up to 24 h,
    when it asks for more than the schedule does (Standard Webhooks 1.0; goals G25, G26). `jitter` is a random number
    from 0 to 1.
    """
    if 200 <= outcome.status < 300:
        return DELIVERED
    if outcome.status == GONE:
        return Verdict("disabled", reason="the endpoint answered 410 Gone")
    asked_ms = retry_after_ms(outcome.retry_after, now_ms=now_ms)
    pause_ms = 0
    if outcome.status in SLOWING or asked_ms:
        pause_ms = now_ms + max(LANE_PAUSE_MS, asked_ms or 0)
    own_ms = delay_ms(schedule, attempt, jitter=jitter)
    if own_ms is None:
        return Verdict("dead", pause_until_ms=pause_ms, reason="schedule_used_up")
    return Verdict("retry", due_ms=now_ms + max(own_ms, asked_ms or 0), pause_until_ms=pause_ms)
