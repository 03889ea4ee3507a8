"""How long a worker takes to end after SIGTERM."""

from relay.config import Settings

HANDING_BACK_S = 1.0
"""For giving back what was not sent, in addition to the deadline of an attempt."""


def drain_s(settings: Settings) -> float:
    """How long a worker that was told to end waits for attempts in flight, in seconds: each may use its whole time."""
    return settings.attempt_timeout_seconds + HANDING_BACK_S
