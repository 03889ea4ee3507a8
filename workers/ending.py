"""How a worker ends after SIGTERM, and how long each part of that may take: the sum fits the grace of its pod."""

from relay.config import Settings
from relay.pipeline.dispatch.dispatcher import HAND_BACK_S

JUDGING_S = 1.0
"""For an attempt that uses its whole deadline to be judged, in addition to that deadline."""
LAST_WORDS_S = 3.0
"""For closing connections and ending tasks."""


def drain_s(settings: Settings) -> float:
    """How long a worker that was told to end waits for attempts in flight, in seconds: each may use its whole time."""
    return settings.attempt_timeout_seconds + JUDGING_S


def longest_end_s(settings: Settings) -> float:
    """How long the end of a worker takes at most, in seconds, whatever receivers, Infinity and Redis do."""
    return drain_s(settings) + HAND_BACK_S + LAST_WORDS_S
