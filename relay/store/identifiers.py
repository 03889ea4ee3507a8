"""Ids that sort by the time they were made: a prefix and 27 letters and digits (48 bits of ms, 112 random ones)."""

import os

from relay.domain.base62 import base62

TIME_BYTES = 6
RANDOM_BYTES = 14
SECRET_BYTES = 20
"""Of a secret that is as long as an id, and all of it random."""


def new_id(prefix: str, *, now_ms: int) -> str:
    """Make an id such as `app_0QyV…`."""
    number = int.from_bytes(now_ms.to_bytes(TIME_BYTES, "big") + os.urandom(RANDOM_BYTES), "big")
    return prefix + base62(number)
