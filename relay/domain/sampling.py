"""Which lines of a log are written while the same thing happens again and again: the first at once, then a count.

A key that has not been seen for a span of time is new. Its first thing is written. Those that follow within the span
are counted, and when the span has ended, the last of them is written with their number. So a key takes one line for
each span, however often it is seen, and all keys together are bounded in number.
"""

from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T")

SPAN_MS = 60_000
MOST_KEYS = 1000
OTHERS = ""
"""The group of everything else, when even groups are too many."""


class _Span(Generic[T]):
    __slots__ = ("ends_ms", "last", "repeats")

    def __init__(self, ends_ms: int) -> None:
        self.ends_ms = ends_ms
        self.repeats = 0
        self.last: T | None = None


class Sampling(Generic[T]):
    """Decides about each thing that is seen. Times are ms of a clock that is never set back."""

    def __init__(self, *, span_ms: int = SPAN_MS, most_keys: int = MOST_KEYS) -> None:
        """At most `most_keys` keys and as many groups are known at once."""
        self._span_ms = span_ms
        self._most = most_keys
        # All spans are equally long, and one that begins stands at the end: the first one ends first.
        self._spans: dict[Hashable, _Span[T]] = {}

    def __len__(self) -> int:
        """How many keys and groups are known."""
        return len(self._spans)

    def is_first(self, key: Hashable, thing: T, now_ms: int, *, group: str = OTHERS) -> bool:
        """Whether to write a thing now. Otherwise it is counted, and `ended` gives the last one of its key.

        While too many keys are known, things of a new key count for their group.
        """
        span = self._spans.get(key)
        if span is None and len(self._spans) >= self._most:
            key = ("group", group)
            if key not in self._spans and len(self._spans) >= 2 * self._most:
                key = ("group", OTHERS)
            span = self._spans.get(key)
        if span is None:
            self._spans[key] = _Span(now_ms + self._span_ms)
            return True
        span.repeats += 1
        span.last = thing
        return False

    def ended(self, now_ms: int) -> list[tuple[T, int]]:
        """The last thing of each key that was seen again in a span that has ended, and how often that was."""
        found: list[tuple[T, int]] = []
        while self._spans:
            key, span = next(iter(self._spans.items()))
            if span.ends_ms > now_ms:
                break
            del self._spans[key]
            if span.repeats and span.last is not None:
                found.append((span.last, span.repeats))
                self._spans[key] = _Span(now_ms + self._span_ms)
        return found
