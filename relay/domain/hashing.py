"""Hashing a few kilobytes at a time, without giving Python's global lock away.

hashlib gives it away for 2,048 bytes or more. In a busy process with other threads it comes back later than the hash
took.
"""

from typing import Protocol

KEEPS_THE_LOCK = 2047


class State(Protocol):
    """What hashlib and hmac give."""

    def update(self, data: bytes, /) -> None:
        """Take more in."""


def feed(state: State, data: bytes) -> None:
    """Take all of `data` in, in pieces."""
    if len(data) <= KEEPS_THE_LOCK:
        state.update(data)
        return
    for start in range(0, len(data), KEEPS_THE_LOCK):
        state.update(data[start : start + KEEPS_THE_LOCK])
