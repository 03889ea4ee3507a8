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
NO_ANSWER, SUCCESS, MOST_CLASS = 0, 2, 5
_LAST = bucket_of(LONGEST_MS)


class Tally(msgspec.Struct):
    """What was counted in some time."""

    durations: dict[int, Histogram] = msgspec.field(default_factory=dict)
    """By the class of the status, such as 2 for 200 to 299; 0: there was no answer. Buckets are a quarter of an octave
    wide, so a duration is at most a quarter too high."""

    def merge(self, other: "Tally") -> None:
        """Count what another tally has counted."""
        for status_class, histogram in other.durations.items():
            self.durations.setdefault(status_class, Histogram(counts={})).merge(histogram)

    def count(self, status_class: int) -> int:
        """The attempts of a class."""
        found = self.durations.get(status_class)
        return found.total if found else 0

    @property
    def total(self) -> int:
        """All attempts."""
        return sum(each.total for each in self.durations.values())

    @property
    def failed(self) -> int:
        """The attempts that were no success."""
        return self.total - self.count(SUCCESS)

    def all_durations(self) -> Histogram:
        """The durations of all attempts."""
        merged = Histogram(counts={})
        for each in self.durations.values():
            merged.merge(each)
        return merged


Buckets = dict[int, Tally]
"""Tallies by the number of their minute, or their hour, since 1970."""


def marks_of(attempts: Iterable[Attempt]) -> dict[str, int]:
    """How many of some attempts have which mark: the digit of the class and the bucket of the duration."""
    counts: dict[str, int] = {}
    for attempt in attempts:
        if attempt.verdict == "skipped":
            continue
        mark = mark_of(attempt.status, attempt.duration_ms)
        counts[mark] = counts.get(mark, 0) + 1
    return counts


def mark_of(status: int, duration_ms: int) -> str:
    """The mark of an attempt.

    >>> mark_of(204, 17), mark_of(0, 30_000), mark_of(599, 10**9)
    ('217', '0103', '5121')
    """
    # Two neighbouring buckets of a histogram are one here: half the fields.
    return _mark(min(status // 100, MOST_CLASS), min(bucket_of(duration_ms) | 1, _LAST | 1))


@lru_cache(maxsize=1024)
def _mark(status_class: int, bucket: int) -> str:
    return f"{status_class}{bucket}"


def read_marks(pairs: Iterable[tuple[str, str]]) -> Tally:
    """A tally of marks and their counts, as texts. What is damaged counts nothing."""
    tally = Tally()
    for mark, count in pairs:
        if len(mark) < 2 or not (mark.isascii() and mark.isdigit() and count.isascii() and count.isdigit()):
            continue
        status_class, bucket, number = int(mark[0]), int(mark[1:]), int(count)
        if status_class <= MOST_CLASS and bucket <= _LAST | 1 and number:
            counts = tally.durations.setdefault(status_class, Histogram(counts={})).counts
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
