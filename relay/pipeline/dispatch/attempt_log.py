"""One line of the log for each attempt that did not deliver; at level `debug`, one for each that did."""

import logging
from typing import Any

import structlog

from relay.domain.model import Attempt
from relay.domain.outcomes import Failure, Outcome
from relay.domain.sending.delivery import Delivery
from relay.domain.span_ids import trace_of

log = structlog.get_logger()

WITH_CONTENT = frozenset({Failure.TRANSFORMATION, Failure.PARTIAL})
"""Failures whose details can have content of an event. Attempts show them."""


class AttemptLog:
    """What a worker's log says of attempts. Nothing that a receiver or a row says stands in it."""

    def __init__(self, *, with_trace: bool) -> None:
        self._with_trace = with_trace
        # Asked once: an attempt that delivers is to cost the log nothing.
        self._tells_all: bool = log.is_enabled_for(logging.DEBUG)

    def ended(self, delivery: Delivery, outcome: Outcome, attempt: Attempt, *, now_ms: int) -> None:
        """Note an attempt that has ended."""
        if outcome.skipped:
            log.debug("delivery_skipped", **self._fields(delivery, outcome, attempt))
        elif not outcome.succeeded:
            # `detail` is the relay's own sentence, but an expression can put content into the message of its error.
            detail = {"detail": outcome.detail} if outcome.detail and outcome.error not in WITH_CONTENT else {}
            wait_s = max(0, attempt.next_at_ms - now_ms) / 1000 if attempt.next_at_ms else None
            fields = self._fields(delivery, outcome, attempt)
            log.warning("attempt_failed", **fields, reason=outcome.error or "status", **detail, next_in_s=wait_s)
        elif self._tells_all:
            log.debug("attempt_delivered", **self._fields(delivery, outcome, attempt))

    def _fields(self, delivery: Delivery, outcome: Outcome, attempt: Attempt) -> dict[str, Any]:
        endpoint, message = delivery.lane.machine.endpoint, delivery.event.id
        fields = {
            "source": delivery.lane.source,
            "app": endpoint.app_id if endpoint else None,
            "endpoint": attempt.endpoint_id,
            "message": message,
            "attempt": attempt.number,
            "by_hand": bool(attempt.trigger),
            "verdict": attempt.verdict,
            "status": outcome.status,
            "duration_ms": attempt.duration_ms,
            "connect_ms": outcome.connect_ms,
            "tls_ms": outcome.tls_ms,
            "head_ms": outcome.head_ms,
        }
        return fields | {"trace": trace_of(message).text} if self._with_trace else fields
