"""Lags: how long it takes from a row to the answer of its callback, as histograms that can be merged.

A bucket is an eighth of an octave wide, so what a histogram says is at most an eighth too high. It takes a few dozen
small numbers, however many deliveries it counts and however long they took.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence

import msgspec

from relay.domain import envelope
from relay.domain.model import StoredEvent

MOST_MS = 2**36 - 1
"""Two years: a longer lag counts as this."""
_EXACT = 16
"""Lags below are counted to the ms."""
_EIGHTHS = 8


def bucket_of(lag_ms: int) -> int:
    """The bucket that a lag is counted in. A negative one, of a row from the future or a clock set back, counts as 0.

    >>> [bucket_of(lag_ms) for lag_ms in (-5, 0, 15, 16, 17, 18, 1000)]
    [0, 0, 15, 16, 16, 17, 63]
    """
    if lag_ms < _EXACT:
        return max(0, lag_ms)
    if lag_ms > MOST_MS:
        return LAST_BUCKET
    shift = lag_ms.bit_length() - 4
    return (shift << 3) + (lag_ms >> shift)


def most_of(bucket: int) -> int:
    """The longest lag in ms that is counted in a bucket.

    >>> [most_of(bucket) for bucket in (0, 15, 16, 63)]
    [0, 15, 17, 1023]
    """
    if bucket < _EXACT:
        return bucket
    shift = (bucket >> 3) - 1
    return ((bucket % _EIGHTHS + _EIGHTHS + 1) << shift) - 1


LAST_BUCKET = bucket_of(MOST_MS)


class Histogram(msgspec.Struct, array_like=True):
    """How many lags were how long."""

    counts: dict[int, int] = {}
    """By bucket; without those that are empty."""
    sum_ms: int = 0
    """All of them together."""

    def add(self, lag_ms: int) -> None:
        """Count one lag."""
        bucket, counts = bucket_of(lag_ms), self.counts
        if bucket in counts:
            counts[bucket] += 1
        else:
            counts[bucket] = 1
        if lag_ms > 0:
            self.sum_ms += lag_ms

    def merge(self, other: "Histogram") -> None:
        """Count what another histogram has counted. Buckets that this release does not know are left out."""
        for bucket, count in other.counts.items():
            if 0 <= bucket <= LAST_BUCKET and count > 0:
                self.counts[bucket] = self.counts.get(bucket, 0) + count
        self.sum_ms += max(0, other.sum_ms)

    @property
    def total(self) -> int:
        """How many lags were counted."""
        return sum(self.counts.values())

    def by_bounds(self, bounds_ms: Sequence[int]) -> list[int]:
        """How many lags did not exceed each bound and exceeded the one before; at the end, how many exceeded all.

        A bucket counts as a whole, as its longest lag.
        """
        found = [0] * (len(bounds_ms) + 1)
        for bucket, count in self.counts.items():
            found[bisect_left(bounds_ms, most_of(bucket))] += count
        return found

    def at_most(self, share: float) -> int | None:
        """What a share of the lags (from 0 to 1) did not exceed, in ms; None: none were counted."""
        left = share * self.total
        for bucket in sorted(self.counts):
            left -= self.counts[bucket]
            if left <= 0:
                return most_of(bucket)
        return most_of(max(self.counts)) if self.counts else None


class Lags(msgspec.Struct, array_like=True):
    """The lags of one route, to the answers that confirmed deliveries."""

    sight: Histogram = msgspec.field(default_factory=Histogram)
    """From when the relay saw the row first, or saw that it changed."""
    row: Histogram = msgspec.field(default_factory=Histogram)
    """From the row's own time, `triggerDatetime`. Of new rows only, and of those whose time can be read."""

    def add(self, event: StoredEvent, now_ms: int) -> None:
        """Count a delivery that was confirmed at `now_ms`."""
        self.sight.add(now_ms - event.stored_at_ms)
        # What changed is as old as the change, and nobody knows when that was.
        if event.revision == 1 and (happened_ms := envelope.happened_ms(event)) is not None:
            self.row.add(now_ms - happened_ms)

    def merge(self, other: "Lags") -> None:
        """Count what others have counted."""
        self.sight.merge(other.sight)
        self.row.merge(other.row)


def merged(many: Iterable[dict[int, Lags]]) -> dict[int, Lags]:
    """The lags of routes, by their indexes in model.ROUTES, that several workers counted in several minutes."""
    found: dict[int, Lags] = {}
    for each in many:
        for route, lags in each.items():
            found.setdefault(route, Lags()).merge(lags)
    return found
