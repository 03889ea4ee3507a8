"""The ids of traces, which follow from the id of a message: every process knows them, and nothing has to be stored."""

import hashlib
from typing import NamedTuple


class TraceIds(NamedTuple):
    """The trace of a message, and the span of it that stored the message: the parent of every attempt."""

    trace: int
    """128 bits."""
    root: int
    """64 bits."""

    @property
    def text(self) -> str:
        """The id of the trace as logs and traces show it."""
        return f"{self.trace:032x}"


def trace_of(message: str) -> TraceIds:
    """The ids of a message's trace. They look random, so a sampler can go by them.

    >>> trace_of("msg_1").text
    '3b1b4ad1c709ed75f7612e1f248a35ed'
    """
    digest = hashlib.sha256(b"relay trace " + message.encode()).digest()
    # Neither may be 0 (W3C Trace Context).
    return TraceIds(int.from_bytes(digest[:16]) or 1, int.from_bytes(digest[16:24]) or 1)


def traceparent(trace: int, span: int, *, sampled: bool) -> str:
    """The header of W3C Trace Context, version 00.

    >>> traceparent(1, 2, sampled=True)
    '00-00000000000000000000000000000001-0000000000000002-01'
    """
    return f"00-{trace:032x}-{span:016x}-{sampled:02x}"
