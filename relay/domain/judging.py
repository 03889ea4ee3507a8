"""What is done about an attempt: one complete verdict, from its outcome and the endpoint's health and order."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from relay.domain.breaking import Health, speaks_for_receiver
from relay.domain.model import Order
from relay.domain.outcomes import BLAMELESS, Outcome
from relay.domain.retrying import delay_ms, retry_after_ms

SLOWING = frozenset({429, 502, 503, 504})
"""Statuses that speak for the whole receiver, not for one event: it gets a rest (Standard Webhooks, reliability E)."""
GONE = 410
LEAST_REST_MS = 1000
"""How long a receiver rests at least when it says that it is too busy, and not for how long."""
BLAMELESS_REST_MS = 5_000
UNTIL_DISABLED_MS = 1_000
AFTER_THE_REST_MS = 100
"""How long after the endpoint's next probe a failed probe comes back, so that the next probe is of another event."""

Kind = Literal["delivered", "retry", "dead", "disabled"]
Place = Literal["ended", "due", "head", "dead"]


class Verdict(NamedTuple):
    """What is done about an attempt's outcome."""

    kind: Kind
    """What the attempt is shown as."""
    place: Place
    """Where the delivery goes: it has ended, waits for a time, goes back to the head of its lane, or is given up."""
    health: Health
    """What is known of the receiver from now on."""
    due_ms: int = 0
    """When the next try is due. At the head of a lane: the lane waits until then, and no other."""
    uses_try: bool = True
    breaker_until_ms: int = 0
    """Until when an open breaker holds everything back for this endpoint; 0: it does not."""
    asked_until_ms: int = 0
    """Until when the receiver asked for a rest; 0: it did not."""
    rest_until_ms: int = 0
    """Until when only this worker stops sending to the endpoint; 0: it continues."""
    slows: bool = False
    """Whether fewer callbacks should be in flight from now on."""
    reason: str = ""


def judge(
    outcome: Outcome,
    *,
    attempt: int,
    health: Health,
    probing: bool,
    order: Order,
    schedule: Sequence[float],
    jitter: float,
    now_ms: int,
) -> Verdict:
    """Decide about try number `attempt` (from 1) that ended at `now_ms` with `outcome`.

    2xx is success and nothing else is; 3xx is a failure and never followed; 410 disables the endpoint and keeps the
    event; 429, 502, 503, 504 and any Retry-After give the endpoint a rest. A Retry-After is honoured exactly, up to
    24 h, when it asks for more than the schedule does (Standard Webhooks 1.0; goals G25, G26). `probing` says that it
    was the probe of a receiver that was down. `jitter` is a random number from 0 to 1.
    """
    if 200 <= outcome.status < 300:
        return Verdict("delivered", "ended", health.succeeded(now_ms))
    if outcome.error in BLAMELESS:
        # The fault is on our side: no try is used up, and the breaker learns nothing.
        rest_ms = now_ms + BLAMELESS_REST_MS
        return Verdict("retry", "head", health, rest_ms, uses_try=False, rest_until_ms=rest_ms)
    if outcome.status == GONE:
        return _disabled(health.refused(now_ms), now_ms, "the endpoint answered 410 Gone")
    slows = speaks_for_receiver(outcome)
    known = health.failed(now_ms, probing=probing) if slows else health.refused(now_ms)
    if known.is_hopeless(now_ms):
        return _disabled(known, now_ms, "five days without one success")
    asked_ms = retry_after_ms(outcome.retry_after, now_ms=now_ms) or 0
    verdict = Verdict(
        "retry",
        "head" if order == "fifo" else "due",
        known,
        breaker_until_ms=now_ms + known.pause_ms(jitter) if known.opens > health.opens else 0,
        asked_until_ms=now_ms + max(LEAST_REST_MS, asked_ms) if outcome.status in SLOWING or asked_ms else 0,
        slows=slows,
    )
    if probing and known.opens:
        # A probe uses up no try: an event that its receiver cannot bear must not keep the breaker open.
        due_ms = max(verdict.breaker_until_ms, verdict.asked_until_ms) + AFTER_THE_REST_MS
        return verdict._replace(due_ms=due_ms, uses_try=False)
    own_ms = delay_ms(schedule, attempt, jitter=jitter)
    if own_ms is None:
        return verdict._replace(kind="dead", place="dead", reason="schedule_used_up")
    return verdict._replace(due_ms=now_ms + max(own_ms, asked_ms))


def _disabled(health: Health, now_ms: int, reason: str) -> Verdict:
    # The rest is until the configuration says so too: should disabling fail, it is tried again.
    return Verdict(
        "disabled", "head", health, uses_try=False, rest_until_ms=now_ms + UNTIL_DISABLED_MS, slows=True, reason=reason
    )
