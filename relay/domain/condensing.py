"""Condensing: events that are over, packed together. They are kept only to say what a row was before it changed.

Neighbours are alike, so thirty of them together take a fifth of what each would take by itself.
"""

import zlib
from collections.abc import Mapping

import msgspec

EVENTS_TOGETHER = 32
MOST_EVENT_BYTES = 32_768
"""A larger event is left out: reading its neighbours would cost too much."""
_MOST_BYTES = EVENTS_TOGETHER * (MOST_EVENT_BYTES + 64)
_LEVEL = 6


def condense(events: Mapping[int, bytes]) -> bytes:
    """Up to EVENTS_TOGETHER packed events by number, in one piece, without those that are too large.

    >>> expand(condense({7: b"seven", 8: b"x" * 40_000}))
    {7: b'seven'}
    """
    small = {number: packed for number, packed in events.items() if len(packed) <= MOST_EVENT_BYTES}
    return zlib.compress(msgspec.msgpack.encode(small), _LEVEL)


def expand(piece: bytes) -> dict[int, bytes]:
    """The events of a piece; none of them if it is damaged."""
    try:
        unpacked = zlib.decompressobj().decompress(piece, _MOST_BYTES)
        return msgspec.msgpack.decode(unpacked, type=dict[int, bytes])
    except (zlib.error, msgspec.MsgspecError):
        return {}
