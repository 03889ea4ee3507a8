"""What is known of an endpoint's receiver: by this worker, and by the store for all of them."""

import msgspec

from relay.domain.breaking import WELL, Condition, Health
from relay.domain.judging import Verdict
from relay.domain.model import EndpointId
from relay.domain.sending.effects import Change

FAILING_IS_KEPT_AFTER_MS = 60_000
"""A receiver that failed for so long without a success is remembered by the store: it is disabled after five days."""


class Receiver:
    """The health of one endpoint's receiver, and until when it rests."""

    __slots__ = ("_id", "_rest_ms", "condition", "health")

    def __init__(self, endpoint: EndpointId) -> None:
        self._id = endpoint
        self.health = Health()
        self.condition: Condition = WELL
        """What the store said last."""
        self._rest_ms = 0
        """This worker alone sends nothing before."""

    def until_ms(self) -> int:
        """Nothing is sent before: its breaker is open, it asked for a rest, or this machine failed."""
        return max(self.condition.until_ms, self.condition.asked_ms, self._rest_ms)

    def rest(self, until_ms: int) -> None:
        """This worker sends nothing before a time."""
        self._rest_ms = max(self._rest_ms, until_ms)

    def ask_again(self, at_ms: int) -> None:
        """Another worker probes: the right is asked for again at a time, and not before."""
        self._rest_ms = at_ms

    def set_back(self, back_ms: int) -> None:
        """The clock was set back by so much: deliveries that wait for a time must not wait longer."""
        self._rest_ms -= back_ms
        self.condition = self.condition.set_back(back_ms)
        since_ms = self.health.failing_since_ms
        # Its span of time begins again.
        self.health = msgspec.structs.replace(
            self.health, failing_since_ms=max(1, since_ms - back_ms) if since_ms else 0, span_start_ms=0
        )

    def remembered(self, condition: Condition) -> None:
        """Take in what the store remembers."""
        before, self.condition = self.condition, condition
        since = condition.failing_since_ms
        if condition.opens != self.health.opens:
            # Others saw it open, or close; or somebody says that it counts as well.
            self.health = Health(since, condition.opens)
        elif since != before.failing_since_ms:
            # Others had a success, or have waited for one for longer.
            self.health = msgspec.structs.replace(self.health, failing_since_ms=since)

    def judged(self, verdict: Verdict, now_ms: int) -> list[Change]:
        """Take in what a verdict says of it; gives what the store is to remember."""
        before, self.health = self.health, verdict.health
        changes: list[Change] = []
        if verdict.breaker_until_ms:
            self._keep(until_ms=verdict.breaker_until_ms)
            changes.append(Change(self._id, "open", before.opens, verdict.breaker_until_ms))
        elif not self.health.failing_since_ms or self.health.opens < before.opens:
            if self.condition.failing_since_ms or self.condition.opens or before.opens:
                opened = max(before.opens, self.condition.opens)
                self.condition = Condition(asked_ms=self.condition.asked_ms)
                changes.append(Change(self._id, "well", opened))
        elif self._has_failed_for_long(now_ms):
            self._keep(failing_since_ms=self.health.failing_since_ms)
            changes.append(Change(self._id, "failing", 0, self.health.failing_since_ms))
        if verdict.asked_until_ms > self.condition.asked_ms:
            self._keep(asked_ms=verdict.asked_until_ms)
            changes.append(Change(self._id, "rest", 0, verdict.asked_until_ms))
        self.rest(verdict.rest_until_ms)
        return changes

    def _has_failed_for_long(self, now_ms: int) -> bool:
        since_ms = self.health.failing_since_ms
        return not self.condition.failing_since_ms and now_ms - since_ms >= FAILING_IS_KEPT_AFTER_MS

    def _keep(self, **fields: int) -> None:
        later = {name: max(getattr(self.condition, name), value) for name, value in fields.items()}
        self.condition = msgspec.structs.replace(self.condition, **later)
