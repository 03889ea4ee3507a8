"""How a worker ends after SIGTERM, and how long each part of that may take: the sum fits the grace of its pod."""

import os
import threading

import structlog

from relay.config import Settings
from relay.pipeline.dispatch.dispatcher import HAND_BACK_S

log = structlog.get_logger()

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


def cut_off_after(seconds: float, code: int) -> None:
    """End this process with `code` after some seconds if it is still there, whatever it waits for.

    What it still waits for at its end can be left at any point, as in a crash: a server that does not answer, or a
    thread that looks up a name.
    """
    timer = threading.Timer(seconds, _cut_off, (seconds, code))
    timer.daemon = True
    timer.start()


def _cut_off(seconds: float, code: int) -> None:
    log.warning("end_cut_off", after_s=seconds)
    os._exit(code)
