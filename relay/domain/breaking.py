"""The breaker: when an endpoint rests because its receiver is down, and how the relay finds out that it is up again.

While the breaker is open events wait, and their tries are not used up. One probe at a time, over all workers, asks
whether the receiver is back. `Health` is what one worker has seen; `Condition` is what the store remembers for all of
them.
"""

import re

import msgspec

from relay.domain.outcomes import Outcome

CONSECUTIVE = 5
"""So many failures in a row open the breaker (reliability E2)."""
SHARE, AT_LEAST, SPAN_MS = 0.5, 10, 30_000
"""As does this share of at least so many tries within so long."""
FIRST_PAUSE_MS, LONGEST_PAUSE_MS = 5_000, 30_000
"""Between probes, doubling: a receiver that is up again is found out within 35 s (goal G22)."""
GIVE_UP_MS = 5 * 86_400_000
"""An endpoint that went so long without one success is disabled (Standard Webhooks)."""
RECEIVER_IS_ALIVE = frozenset({408, 425, 429})


def speaks_for_receiver(outcome: Outcome) -> bool:
    """Whether a failure says something of the receiver, and not only of this one event.

    No answer at all and 5xx do; so do 408, 425 and 429. Other 4xx and 3xx come from a receiver that works and does
    not want this event: they must not stop the other waiting events.
    """
    return outcome.status == 0 or outcome.status >= 500 or outcome.status in RECEIVER_IS_ALIVE


class Health(msgspec.Struct, frozen=True):
    """What one worker knows of one endpoint's receiver."""

    failing_since_ms: int = 0
    """When the first failure after the last success ended; 0: there was none."""
    opens: int = 0
    """How often the breaker opened since the receiver last worked; 0: it is closed."""
    in_a_row: int = 0
    span_start_ms: int = 0
    span_total: int = 0
    span_failed: int = 0

    def succeeded(self, now_ms: int) -> "Health":
        """What is known after a success."""
        start, total, failed = self._span(now_ms)
        if self.opens:
            start, total, failed = now_ms, 0, 0
        return Health(0, 0, 0, start, total + 1, failed)

    def refused(self, now_ms: int) -> "Health":
        """What is known after a failure that speaks for one event only: the receiver works, and there is no success."""
        start, total, failed = self._span(now_ms)
        return Health(self.failing_since_ms or now_ms, 0, 0, start, total + 1, failed)

    def failed(self, now_ms: int, *, probing: bool) -> "Health":
        """What is known after a failure that speaks for the receiver.

        What was in flight when the breaker opened says nothing new: it is no failed probe, and makes no pause longer.
        """
        since = self.failing_since_ms or now_ms
        if self.opens and not probing:
            return msgspec.structs.replace(self, failing_since_ms=since)
        start, total, failed = self._span(now_ms)
        total, failed, in_a_row = total + 1, failed + 1, self.in_a_row + 1
        if self.opens or in_a_row >= CONSECUTIVE or (total >= AT_LEAST and failed >= SHARE * total):
            return Health(since, self.opens + 1, 0, now_ms, 0, 0)
        return Health(since, 0, in_a_row, start, total, failed)

    def pause_ms(self, jitter: float) -> int:
        """How long until the next probe; `jitter` from 0 to 1 shortens it by up to a tenth."""
        pause = min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS << min(self.opens - 1, 8))
        return round(pause * (1 - jitter / 10))

    def is_hopeless(self, now_ms: int) -> bool:
        """Whether it went so long without a success that the endpoint is to be disabled."""
        return bool(self.failing_since_ms) and now_ms - self.failing_since_ms >= GIVE_UP_MS

    def _span(self, now_ms: int) -> tuple[int, int, int]:
        if now_ms - self.span_start_ms > SPAN_MS:
            return now_ms, 0, 0
        return self.span_start_ms, self.span_total, self.span_failed


class Condition(msgspec.Struct, frozen=True):
    """What the store remembers of an endpoint that is not well, for all workers."""

    failing_since_ms: int = 0
    opens: int = 0
    until_ms: int = 0
    """The breaker: nothing is sent before."""
    asked_ms: int = 0
    """A Retry-After: nothing is sent before."""
    probe_until_ms: int = 0
    """The right to probe ends then; 0: nobody has it."""
    prober: str = ""
    """The session that has it."""
    opened_ms: int = 0
    """When the breaker opened; 0: it is closed, or a release that did not write this opened it."""

    def set_back(self, back_ms: int) -> "Condition":
        """The same, after the clock was set back by so much."""
        times = {
            name: max(1, value - back_ms)
            for name in ("failing_since_ms", "until_ms", "asked_ms", "probe_until_ms", "opened_ms")
            if (value := getattr(self, name))
        }
        return msgspec.structs.replace(self, **times)

    def text(self) -> str:
        """The form that is stored."""
        numbers = (self.failing_since_ms, self.opens, self.until_ms, self.asked_ms, self.probe_until_ms, self.opened_ms)
        return f"2:{':'.join(map(str, numbers))}:{self.prober}"


WELL = Condition()
_NUMBER = rb":(\d{1,15})"
_FORM = re.compile(rb"(?:1%b|2%b):(.*)" % (_NUMBER * 5, _NUMBER * 6), re.DOTALL)
"""Version 1 is that of the release before: it does not say when the breaker opened."""


def parse_condition(text: bytes | None) -> Condition:
    """Read what is stored. Nothing, and what this release can't read, means that the endpoint is well."""
    found = _FORM.fullmatch(text or b"")
    if found is None:
        return WELL
    *numbers, prober = (each for each in found.groups() if each is not None)
    since, opens, until_ms, asked_ms, probe_until_ms, *opened = map(int, numbers)
    opened_ms = opened[0] if opened else 0
    return Condition(since, opens, until_ms, asked_ms, probe_until_ms, prober.decode("utf-8", "replace"), opened_ms)
