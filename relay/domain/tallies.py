"""Tallies: how an endpoint's attempts ended and how long they took, minute by minute and hour by hour.

A tally counts attempts by the class of their status and by a bucket of their duration. It is written as text, because
a script adds to it and merges minutes into hours (relay/store/scripts/shared/tallies.lua).
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Literal

import msgspec

from relay.domain.lags import Histogram, bucket_of
from relay.domain.model import Attempt, EndpointId

Unit = Literal["minute", "hour"]
UNIT_MS: Mapping[Unit, int] = {"minute": 60_000, "hour": 3_600_000}
KEPT: Mapping[Unit, int] = {"minute": 180, "hour": 14 * 24}
"""Buckets with attempts of one endpoint and one stream; the oldest go first."""
EVERY = EndpointId("*")
"""In the place of an endpoint: all endpoints of a stream together."""
LONGEST_MS = 2**17
"""Two minutes: an attempt that took longer counts as this."""
NO_ANSWER, OK, MOST_CLASS = 0, 2, 5
AGAINST_STATUS: Mapping[tuple[int, bool], int] = {(2, False): 6, (3, True): 7, (4, True): 8, (5, True): 9}
"""Kinds of attempts whose verdict is not the one of their status, by the class and whether they succeeded. Rules of an
endpoint decide so: a 409 can be a success, and a 200 a failure. All other attempts are of the kind of their class."""
_CLASS_OF = {kind: status_class for (status_class, _), kind in AGAINST_STATUS.items()}
_SUCCESSES = frozenset({OK, *(kind for (_, succeeded), kind in AGAINST_STATUS.items() if succeeded)})
MOST_KIND = max(AGAINST_STATUS.values())
_LAST = bucket_of(LONGEST_MS)


class Tally(msgspec.Struct):
    """What was counted in some time."""

    durations: dict[int, Histogram] = msgspec.field(default_factory=dict)
    """By kind: the class of the status, such as 2 for 200 to 299, 0 for no answer; or one of AGAINST_STATUS. Buckets
    are a quarter of an octave wide, so a duration is at most a quarter too high."""

    def merge(self, other: "Tally") -> None:
        """Count what another tally has counted."""
        for kind, histogram in other.durations.items():
            self.durations.setdefault(kind, Histogram(counts={})).merge(histogram)

    @property
    def classes(self) -> dict[int, int]:
        """The attempts by the class of their status, whatever their verdict was."""
        found: dict[int, int] = {}
        for kind, histogram in sorted(self.durations.items()):
            status_class = _CLASS_OF.get(kind, kind)
            found[status_class] = found.get(status_class, 0) + histogram.total
        return dict(sorted(found.items()))

    @property
    def succeeded(self) -> int:
        """The attempts whose verdict was a success."""
        return sum(histogram.total for kind, histogram in self.durations.items() if kind in _SUCCESSES)

    @property
    def total(self) -> int:
        """All attempts."""
        return sum(each.total for each in self.durations.values())

    @property
    def failed(self) -> int:
        """The attempts that were no success."""
        return self.total - self.succeeded

    def all_durations(self) -> Histogram:
        """The durations of all attempts."""
        merged = Histogram(counts={})
        for each in self.durations.values():
            merged.merge(each)
        return merged


Buckets = dict[int, Tally]
"""Tallies by the number of their minute, or their hour, since 1970."""


def marks_of(attempts: Iterable[Attempt]) -> dict[str, int]:
    """How many of some attempts have which mark: the digit of the kind and the bucket of the duration."""
    counts: dict[str, int] = {}
    for attempt in attempts:
        if attempt.verdict == "skipped":
            continue
        mark = mark_of(attempt.status, attempt.duration_ms, succeeded=attempt.succeeded)
        counts[mark] = counts.get(mark, 0) + 1
    return counts


def mark_of(status: int, duration_ms: int, *, succeeded: bool) -> str:
    """The mark of an attempt.

    >>> mark_of(204, 17, succeeded=True), mark_of(0, 30_000, succeeded=False), mark_of(599, 10**9, succeeded=False)
    ('217', '0103', '5121')
    >>> mark_of(204, 17, succeeded=False), mark_of(409, 17, succeeded=True)
    ('617', '817')
    """
    status_class = min(status // 100, MOST_CLASS)
    kind = AGAINST_STATUS.get((status_class, succeeded), status_class)
    # Two neighbouring buckets of a histogram are one here: half the fields.
    return _mark(kind, min(bucket_of(duration_ms) | 1, _LAST | 1))


@lru_cache(maxsize=1024)
def _mark(kind: int, bucket: int) -> str:
    return f"{kind}{bucket}"


def read_marks(pairs: Iterable[tuple[str, str]]) -> Tally:
    """A tally of marks and their counts, as texts. What is damaged counts nothing."""
    tally = Tally()
    for mark, count in pairs:
        if len(mark) < 2 or not (mark.isascii() and mark.isdigit() and count.isascii() and count.isdigit()):
            continue
        kind, bucket, number = int(mark[0]), int(mark[1:]), int(count)
        if kind <= MOST_KIND and bucket <= _LAST | 1 and number:
            counts = tally.durations.setdefault(kind, Histogram(counts={})).counts
            counts[bucket] = counts.get(bucket, 0) + number
    return tally


def read_ended(text: str) -> tuple[int, Tally]:
    """A bucket that ended, `{number} {mark}:{count},…`: its number, 0 if it is damaged, and its tally."""
    number, _, marks = text.partition(" ")
    return _number(number), _read(marks)


def read_under_way(text: str, unit: Unit) -> list[tuple[int, Tally]]:
    """The minute, or hour, under way, `{minute} {mark}:{count},… {mark}:{count},…`: see relay.store.tally_keys.tally.

    Gives tallies with the number of their bucket. The hour has two: of its newest minute, and of those before.
    """
    number, of_minute, of_hour = [*text.split(" "), "", "", ""][:3]
    minute = _number(number)
    if not minute:
        return []
    if unit == "minute":
        return [(minute, _read(of_minute))]
    return [(minute // 60, _read(of_minute)), (minute // 60, _read(of_hour))]


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0


def _read(marks: str) -> Tally:
    return read_marks((mark, count) for mark, _, count in (each.partition(":") for each in marks.split(",")))


def merge_into(found: Buckets, more: Iterable[tuple[int, Tally]]) -> None:
    """Merge buckets of the same time."""
    for at, tally in more:
        if tally.durations:
            found.setdefault(at, Tally()).merge(tally)


def summed(buckets: Iterable[Tally]) -> Tally:
    """All of some tallies together."""
    total = Tally()
    for each in buckets:
        total.merge(each)
    return total


def within(buckets: Buckets, unit: Unit, *, since_ms: int, until_ms: int) -> list[tuple[int, Tally]]:
    """The buckets that begin in a time, oldest first, with the ms when they begin."""
    width = UNIT_MS[unit]
    return [(at * width, buckets[at]) for at in sorted(buckets) if since_ms <= at * width < until_ms]
