"""Time and chance, handed in wherever they are needed, so that tests can hold them still."""

import random
import time


class Clock:
    """The real clock and real chance."""

    @staticmethod
    def now_ms() -> int:
        """Milliseconds of UTC since 1970."""
        return time.time_ns() // 1_000_000

    @staticmethod
    def jitter() -> float:
        """A random number from 0 to 1."""
        return random.random()
