"""The breaker: when a lane stops sending to a receiver that is down, and how it finds out that it is up again.

While it is open events wait and their tries are not used up; one probe at a time asks whether the receiver is back.
What is remembered between two holders of a lane is one short text.
"""

from relay.domain.outcomes import Outcome

CONSECUTIVE = 5
"""So many failures in a row open the breaker (reliability E2)."""
SHARE, AT_LEAST, SPAN_MS = 0.5, 10, 30_000
"""As does this share of at least so many tries within so long."""
FIRST_PAUSE_MS, LONGEST_PAUSE_MS = 5_000, 30_000
"""Between probes, doubling: a receiver that is up again is found out within 35 s (goal G22)."""
GIVE_UP_MS = 5 * 86_400_000
"""An endpoint that failed this long without one success is disabled (Standard Webhooks)."""
RECEIVER_IS_ALIVE = frozenset({408, 425, 429})


def speaks_for_receiver(outcome: Outcome) -> bool:
    """Whether a failure says something of the receiver, and not only of this one event.

    No answer at all and 5xx do; so do 408, 425 and 429. Other 4xx and 3xx come from a receiver that works and does
    not want this event: they must not stop the rest of its lane.
    """
    return outcome.status == 0 or outcome.status >= 500 or outcome.status in RECEIVER_IS_ALIVE


class Health:
    """What is known of one lane's receiver. `opens` is how often the breaker opened since the last success."""

    __slots__ = ("_in_a_row", "_is_open", "_span_failed", "_span_start_ms", "_span_total", "failing_since_ms", "opens")

    def __init__(self, remembered: str = "") -> None:
        """`remembered` is what `text()` gave; '': it is well."""
        since, _, opens = remembered.partition(":")
        self.failing_since_ms = int(since or 0)
        self.opens = int(opens or 0)
        self._in_a_row = self._span_total = self._span_failed = self._span_start_ms = 0
        # The next holder of the lane probes, this one sends nothing more.
        self._is_open = False

    def text(self) -> str:
        """What to remember: '-' when it is well, else since when it fails, and how often the breaker opened."""
        if not self.failing_since_ms:
            return "-"
        return f"{self.failing_since_ms}:{self.opens}" if self.opens else str(self.failing_since_ms)

    @property
    def half_open(self) -> bool:
        """Whether only one probe at a time may go out."""
        return self.opens > 0

    def succeeded(self, now_ms: int) -> bool:
        """Learn of a success. True: it was not well before, so what is remembered changes."""
        self._in_a_row = 0
        self._count(now_ms, failed=0)
        if not self.failing_since_ms:
            return False
        if self.half_open:
            self._span_total = self._span_failed = 0
        self.failing_since_ms = self.opens = 0
        self._is_open = False
        return True

    def failed(self, now_ms: int) -> bool:
        """Learn of a failure that speaks for the receiver. True: the breaker opens (again).

        What was in flight when it opened says nothing new: it is no failed probe, and makes no pause longer.
        """
        self.failing_since_ms = self.failing_since_ms or now_ms
        if self._is_open:
            return False
        self._in_a_row += 1
        self._count(now_ms, failed=1)
        if self.half_open or self._in_a_row >= CONSECUTIVE or self._share_is_high():
            self.opens += 1
            self._is_open = True
            self._in_a_row = self._span_total = self._span_failed = 0
            return True
        return False

    def pause_ms(self, jitter: float) -> int:
        """How long until the next probe; `jitter` from 0 to 1 shortens it by up to a tenth."""
        pause = min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS << min(self.opens - 1, 8))
        return round(pause * (1 - jitter / 10))

    def is_hopeless(self, now_ms: int) -> bool:
        """Whether it failed so long that the endpoint is to be disabled."""
        return bool(self.failing_since_ms) and now_ms - self.failing_since_ms >= GIVE_UP_MS

    def _count(self, now_ms: int, *, failed: int) -> None:
        if now_ms - self._span_start_ms > SPAN_MS:
            self._span_start_ms, self._span_total, self._span_failed = now_ms, 0, 0
        self._span_total += 1
        self._span_failed += failed

    def _share_is_high(self) -> bool:
        return self._span_total >= AT_LEAST and self._span_failed >= SHARE * self._span_total
