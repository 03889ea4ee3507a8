"""The plan: which readings every route has, how often each begins a round, and what they cost.

The overlap reads the newest rows behind the cursor again, each minute. The other readings follow the cursor at a
distance in time: each reads once what the cursor passed so long ago. One that follows at 15 minutes and another at two
hours read each row again at 15 minutes and at two hours after its first sight. All that such a reading needs is one
rowId, its place, however many rows and gaps lie before it.
"""

from functools import lru_cache
from math import ceil
from typing import Literal, NamedTuple

import msgspec

from relay.domain.polling import overlap_floor
from relay.domain.reading.audience import Audience
from relay.domain.reading.place import Place

ROUNDS = 4
"""A reading at a distance begins so many rounds in that time: rows are read again at most a quarter later than that."""
GROWTH = 2
"""Gaps are probed at distances that double, so a late row is found when it is twice as late."""
OVERLAP_PATIENCE_MS = 1_000
PATIENCE_MS = 10_000
"""How long a page behind the cursor waits while pages ahead of the cursor are due."""


Mode = Literal["rows", "gaps", "count"]
"""`rows`: it reads whole rows. `gaps`: rowIds, and whole rows where one of them is unknown. `count`: it only counts."""


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """A reading of rows that the cursor of a route has passed."""

    name: str
    """What its place is kept under."""
    patience_ms: int = PATIENCE_MS
    is_budgeted: bool = True
    """Whether its requests count towards the budget of the source."""
    mode: Mode = "rows"
    is_once: bool = False
    """Whether somebody asked for it: it has one round, and may read rows of which nothing is known any more."""
    until_day: str | None = None
    """The last day whose rows it reads, such as `2026-01-31`; None: rows of every day."""
    history_s: float = 0.0
    """A full page of rows that are all older is history: this reading leaves it out. 0: none is."""

    def every_s(self, poll_s: float) -> float:
        """How often a round begins; `poll_s` is the poll interval of the source."""
        raise NotImplementedError

    def back_s(self, poll_s: float) -> float:
        """How far back it must be known where the cursor was."""
        raise NotImplementedError

    def audience(self, live_from: int) -> Audience | None:
        """Where rows that are as they were are sent again, see Audience. None: they make no event."""
        return None

    def back_ms(self, poll_s: float) -> int:
        """The same in milliseconds."""
        return round(self.back_s(poll_s) * 1000)

    def span(self, place: Place, *, cursor: int, then: int | None, first: int) -> tuple[int, int]:
        """The next round: behind which rowId, up to which one.

        `then` is the cursor as it was `back_s` ago, None if that is not known, and `first` the oldest one that is.
        """
        raise NotImplementedError


class Overlap(Reading, frozen=True, kw_only=True):
    """Reads the newest rows behind the cursor again and again, for rows that come a little late (hazard H11)."""

    name: str = "overlap"
    patience_ms: int = OVERLAP_PATIENCE_MS
    is_budgeted: bool = False
    rows: int
    seconds: float
    interval_seconds: float

    def every_s(self, poll_s: float) -> float:
        """Not more often than the route is polled."""
        return max(self.interval_seconds, poll_s)

    def back_s(self, poll_s: float) -> float:
        """Two intervals further than the time that a row may be late: each rowId is read once more after that."""
        return self.seconds + 2 * self.every_s(poll_s)

    def span(self, place: Place, *, cursor: int, then: int | None, first: int) -> tuple[int, int]:
        """From a time back, and at most so many rowIds, up to the cursor."""
        return overlap_floor(cursor, cursor_before=first if then is None else then, most_rows=self.rows), cursor


class Follower(Reading, frozen=True, kw_only=True):
    """Follows the cursor at a distance in time, and reads each rowId once."""

    distance_s: float

    def every_s(self, poll_s: float) -> float:
        """A few times in its distance."""
        return max(self.distance_s / ROUNDS, poll_s)

    def back_s(self, poll_s: float) -> float:
        """Its distance."""
        return self.distance_s

    def span(self, place: Place, *, cursor: int, then: int | None, first: int) -> tuple[int, int]:
        """From its place up to where the cursor was."""
        return place.after, place.after if then is None else max(place.after, min(then, cursor))


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What the settings say about readings."""

    overlap: Overlap
    gap_deadline_s: float
    """So late a row may appear and still be found. Up to the reach of the overlap: gaps are not probed."""
    change_schedule_s: tuple[float, ...]
    """So long after its first sight each row is read again; (): changes are found by the overlap only."""
    requests_per_hour: int
    """The budget of a source for readings that are not urgent."""

    @property
    def spacing_ms(self) -> int:
        """The pause between two requests of the budget."""
        return 3_600_000 // self.requests_per_hour

    @property
    def longest_s(self) -> float:
        """The greatest distance at which rows are read again."""
        return max([self.overlap.seconds, *(follower.distance_s for follower in self.followers)])

    @property
    def readings(self) -> tuple[Reading, ...]:
        """All readings that every route has."""
        return _readings(self)

    @property
    def followers(self) -> tuple[Follower, ...]:
        """Those that follow the cursor. One for changes finds late rows too, so gaps need no probe at its distance."""
        return _followers(self)


@lru_cache(maxsize=8)
def _readings(plan: Plan) -> tuple[Reading, ...]:
    return (plan.overlap, *plan.followers)


@lru_cache(maxsize=8)
def _followers(plan: Plan) -> tuple[Follower, ...]:
    changes = sorted(set(plan.change_schedule_s))
    gaps = [each for each in gap_distances_s(plan.overlap.seconds, plan.gap_deadline_s) if each not in changes]
    history_s = max(changes, default=0.0)
    return (
        *(_follower("change", each, mode="rows", history_s=history_s) for each in changes),
        *(_follower("gap", each, mode="gaps", history_s=plan.gap_deadline_s) for each in gaps),
    )


def gap_distances_s(overlap_s: float, deadline_s: float) -> list[float]:
    """At which distances gaps are probed: from the overlap's reach on, doubling, and last at the deadline.

    >>> gap_distances_s(600, 86_400)
    [1200, 2400, 4800, 9600, 19200, 38400, 86400]
    >>> gap_distances_s(600, 600)
    []
    """
    if deadline_s <= overlap_s:
        return []
    distances = []
    distance_s = overlap_s * GROWTH
    # One probe shortly before the deadline would find nothing that the last one does not.
    while distance_s * 1.5 <= deadline_s:
        distances.append(distance_s)
        distance_s *= GROWTH
    return [*distances, deadline_s]


class Requests(NamedTuple):
    """How many requests an hour the readings of a route need."""

    overlap: float
    budgeted: float
    """Of the budget, which all routes of a source share. If they need more than it allows, they fall behind."""


def requests_per_hour(plan: Plan, *, rows_per_hour: float, batch_size: int, poll_s: float) -> Requests:
    """How many requests an hour the readings of one route need, without its forward pages, at an even rate of rows.

    Where no rows come, a reading that follows the cursor asks for nothing.
    """

    def cost(every_s: float, back_s: float) -> float:
        rounds = 3600 / every_s
        pages = ceil(rows_per_hour * back_s / 3600 / batch_size)
        return rounds * pages

    overlap = cost(plan.overlap.every_s(poll_s), plan.overlap.back_s(poll_s))
    followers = sum(cost(each.every_s(poll_s), each.every_s(poll_s)) for each in plan.followers)
    return Requests(overlap, followers)


def _follower(kind: str, distance_s: float, *, mode: Mode, history_s: float) -> Follower:
    return Follower(name=f"{kind}.{distance_s:g}", distance_s=distance_s, mode=mode, history_s=history_s)
