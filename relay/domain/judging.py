"""What is done about an attempt: one complete verdict, from its outcome and the endpoint's health and order."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from relay.domain.batching import may_be_about_one
from relay.domain.breaking import Health, speaks_for_receiver
from relay.domain.model import Order
from relay.domain.outcomes import BLAMELESS, FINAL, Failure, Outcome
from relay.domain.requests.ruling import Ruling
from relay.domain.retrying import delay_ms, retry_after_ms

SLOWING = frozenset({429, 502, 503, 504})
"""Statuses that speak for the whole receiver, not for one event: it gets a rest (Standard Webhooks, reliability E)."""
GONE = 410
LEAST_REST_MS = 1000
"""How long a receiver rests at least when it says that it is too busy, and not for how long."""
BLAMELESS_REST_MS = 5_000
UNTIL_DISABLED_MS = 1_000
HOPELESS = "five days without one success"
AFTER_THE_REST_MS = 100
"""How long after the endpoint's next probe a failed probe comes back, so that the next probe is of another event."""

Kind = Literal["delivered", "skipped", "retry", "dead", "disabled"]
Place = Literal["ended", "skipped", "due", "head", "dead"]


class Verdict(NamedTuple):
    """What is done about an attempt's outcome."""

    kind: Kind
    """What the attempt is shown as."""
    place: Place
    """Where the delivery goes: it has ended, was not wanted, waits for a time, goes back to the head of its lane, or is
    given up."""
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
    most: int = 0
    """It goes again together with others in requests of so many events at most; 0: of as many as before."""
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
    24 h, when it asks for more than the schedule does (Standard Webhooks 1.0; goals G25, G26). Credentials that an
    authorization server refuses for good disable the endpoint. `probing` says that it
    was the probe of a receiver that was down. `jitter` is a random number from 0 to 1. A rule of the endpoint's own
    comes before all of these.
    """
    if may_be_about_one(outcome):
        # One event must not fail its neighbours: all go again, in smaller batches, and in the end alone.
        half = outcome.batch_size // 2
        return Verdict("retry", "head", health.refused(now_ms), now_ms, uses_try=False, most=half)
    if (clear := _clear(outcome, health, now_ms)) is not None:
        return clear
    if outcome.ruling is not None and outcome.ruling.verdict != "renewToken":
        return _ruled(outcome.ruling, outcome.status, attempt, health, order, schedule, jitter, now_ms)
    if outcome.status == GONE and not outcome.error:
        return _disabled(health.refused(now_ms), now_ms, "the endpoint answered 410 Gone")
    slows = speaks_for_receiver(outcome)
    known = health.failed(now_ms, probing=probing) if slows else health.refused(now_ms)
    if known.is_hopeless(now_ms):
        return _disabled(known, now_ms, HOPELESS)
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


def _clear(outcome: Outcome, health: Health, now_ms: int) -> Verdict | None:
    """What is done about an outcome that says it by itself; None: it does not."""
    if outcome.skipped:
        return Verdict("skipped", "skipped", health)
    if outcome.succeeded:
        return Verdict("delivered", "ended", health.succeeded(now_ms))
    if outcome.error in FINAL:
        return Verdict("dead", "dead", health, reason=outcome.error)
    if outcome.error in BLAMELESS:
        # The fault is on our side: no try is used up, and the breaker learns nothing.
        rest_ms = now_ms + max(BLAMELESS_REST_MS, outcome.rest_ms)
        return Verdict("retry", "head", health, rest_ms, uses_try=False, rest_until_ms=rest_ms)
    if outcome.error == Failure.CREDENTIALS:
        return _disabled(health.refused(now_ms), now_ms, outcome.detail)
    return None


def _ruled(
    ruling: Ruling,
    status: int,
    attempt: int,
    health: Health,
    order: Order,
    schedule: Sequence[float],
    jitter: float,
    now_ms: int,
) -> Verdict:
    """What a rule says about an answer that is no success: the receiver works, and its owner knows what it means."""
    known = health.refused(now_ms)
    if ruling.verdict == "dead":
        return Verdict("dead", "dead", known, reason="verdict_rule")
    if ruling.verdict == "disable":
        return _disabled(known, now_ms, f"a verdict rule of the endpoint disables it: the answer was {status}")
    if known.is_hopeless(now_ms):
        return _disabled(known, now_ms, HOPELESS)
    own_ms = delay_ms(schedule, attempt, jitter=jitter)
    if ruling.pauses:
        # A quota can last longer than the schedule: it must not use up the tries of whatever comes first.
        due_ms = now_ms + max(LEAST_REST_MS, ruling.delay_ms or own_ms or BLAMELESS_REST_MS)
        return Verdict("retry", "head", known, due_ms, uses_try=False, asked_until_ms=due_ms)
    if own_ms is None:
        return Verdict("dead", "dead", known, reason="schedule_used_up")
    due_ms = now_ms + (own_ms if ruling.delay_ms is None else ruling.delay_ms)
    return Verdict("retry", "head" if order == "fifo" else "due", known, due_ms)


def _disabled(health: Health, now_ms: int, reason: str) -> Verdict:
    # The rest is until the configuration says so too: should disabling fail, it is tried again.
    return Verdict(
        "disabled", "head", health, uses_try=False, rest_until_ms=now_ms + UNTIL_DISABLED_MS, slows=True, reason=reason
    )
