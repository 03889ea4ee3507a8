"""When a delivery is tried again: the schedule, its jitter, and what a Retry-After asks for."""

from collections.abc import Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime

JITTER = 0.1
"""A delay is stretched or shrunk by up to this share, so that what failed together does not come back together."""
RETRY_AFTER_CAP_MS = 86_400_000
"""A Retry-After is honoured up to 24 h (goal G25): a receiver must not be able to park an event for ever."""


def delay_ms(schedule: Sequence[float], attempt: int, *, jitter: float) -> int | None:
    """How long to wait after try number `attempt` (from 1) failed; None: the schedule is used up.

    `schedule` has the seconds before each further try, `jitter` is a random number from 0 to 1.

    >>> delay_ms((5.0, 300.0), 1, jitter=0.5), delay_ms((5.0, 300.0), 3, jitter=0.5)
    (5000, None)
    """
    if attempt > len(schedule):
        return None
    return round(schedule[attempt - 1] * 1000 * (1 + JITTER * (2 * jitter - 1)))


def retry_after_ms(value: str | None, *, now_ms: int) -> int | None:
    """What a Retry-After header asks for, in ms from now, at most 24 h; None: nothing that can be understood.

    Both forms of RFC 9110 10.2.3: whole seconds, or a date. A date that has passed asks for 0.

    >>> retry_after_ms("120", now_ms=0), retry_after_ms("soon", now_ms=0)
    (120000, None)
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdecimal():
        # Longer numbers than this are over the cap anyway, and need not be turned into integers.
        return min(int(text[:12]) * 1000, RETRY_AFTER_CAP_MS) if len(text) <= 12 else RETRY_AFTER_CAP_MS
    try:
        date = parsedate_to_datetime(text)
        when_ms = int(date.replace(tzinfo=date.tzinfo or UTC).timestamp() * 1000)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return max(0, min(when_ms - now_ms, RETRY_AFTER_CAP_MS))
