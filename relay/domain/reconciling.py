"""Reconciliation: a comparison of what the upstream shows, what the relay stored, and what endpoints confirmed.

It walks a range of rowIds in windows, so that it needs no more memory for a year of rows than for a minute of them.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Literal

import msgspec
from msgspec.structs import replace

from relay.domain.books import State
from relay.domain.model import EndpointId
from relay.domain.reading.plan import ROUNDS, Plan

Kind = Literal["missing", "unexpected", "undelivered", "dead", "dropped"]
KINDS: tuple[Kind, ...] = ("missing", "unexpected", "undelivered", "dead", "dropped")
"""The differences, the gravest first.

`missing`: the upstream shows the row, and the relay has stored no event of it. `unexpected`: the relay has an event of
the row, and the upstream shows it on no route that is polled. `undelivered`: the event is owed to the endpoint, and it
neither waits nor has it ended. `dead`: its delivery was given up. `dropped`: it left the endpoint's backlog.
"""
Fate = Literal["waiting", "confirmed", "unwanted", "undelivered", "dead", "dropped"]
"""What may become of a delivery: those that are differences, and those that are none."""
REPAIRED: tuple[Kind, ...] = ("missing", "undelivered")
"""What nobody decided: a repair is about these unless it is asked for others."""
SLACK_S = 3_600.0
"""Readings wait for their turn, and for their budget of requests."""
NIGHT = 0.25
"""Scheduled runs begin in the first quarter of the interval: those of each night between 0:00 and 6:00 UTC."""

_NOT_OWED, _CONFIRMED = "0", "2"
_UNWANTED = ("3", "8")
_OPEN = frozenset("14567")
"""Digits of states, see relay.domain.books.State."""


class Difference(msgspec.Struct, frozen=True, array_like=True):
    """One difference."""

    kind: Kind
    space: str
    row_id: int
    route: str = ""
    """That shows the row; empty: not known."""
    endpoint: EndpointId = EndpointId("")
    number: int = 0
    """The number of the event; 0: there is none."""


class Counts(msgspec.Struct, frozen=True):
    """What became of the deliveries that an endpoint was owed."""

    waiting: int = 0
    confirmed: int = 0
    unwanted: int = 0
    dead: int = 0
    dropped: int = 0
    undelivered: int = 0

    @property
    def owed(self) -> int:
        """All of them."""
        return self.waiting + self.confirmed + self.unwanted + self.dead + self.dropped + self.undelivered

    def plus(self, other: "Counts") -> "Counts":
        """Those of both."""
        return Counts(*(getattr(self, name) + getattr(other, name) for name in self.__struct_fields__))

    def changed(self, before: Fate, after: Fate | None) -> "Counts":
        """After one delivery turned out to be something else, or not to be owed any more."""
        less = replace(self, **{before: getattr(self, before) - 1})
        return less if after is None else replace(less, **{after: getattr(less, after) + 1})


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """What one route can be expected to have brought."""

    begin: int
    """It began behind this rowId."""
    cursor: int
    """It has come to this rowId."""
    settled: int
    """Rows up to this rowId that came late were found, too."""

    def covers(self, row_id: int) -> bool:
        """Whether a row that it shows must have an event."""
        return self.begin < row_id <= self.settled


def compare_rows(
    space: str,
    *,
    shown: Mapping[str, Iterable[int]],
    stored: Mapping[int, Sequence[int]],
    reaches: Mapping[str, Reach],
    since: int,
) -> list[Difference]:
    """Compare the rows of a window: those that each route shows, and those that have events, with their numbers.

    Rows up to `since` may have had events that the books do not have any more. Ascending by rowId.
    """
    missing = {
        row_id: route
        for route, row_ids in shown.items()
        for row_id in row_ids
        if row_id > since and row_id not in stored and reaches[route].covers(row_id)
    }
    visible = {row_id for row_ids in shown.values() for row_id in row_ids}
    unexpected = [
        row_id
        for row_id in stored
        if row_id > since and row_id not in visible and any(reach.covers(row_id) for reach in reaches.values())
    ]
    found = [Difference("missing", space, row_id, route) for row_id, route in missing.items()]
    found += [Difference("unexpected", space, row_id, number=stored[row_id][-1]) for row_id in unexpected]
    return sorted(found, key=lambda each: each.row_id)


def compare_deliveries(
    space: str,
    endpoint: EndpointId,
    digits: str,
    *,
    numbers: Sequence[int],
    rows: Mapping[int, int],
    is_somewhere: Callable[[EndpointId, int], bool],
) -> tuple[Counts, list[Difference]]:
    """Count the deliveries of some events to an endpoint, and tell those that are neither on their way nor confirmed.

    `digits` has the state of each event, `numbers` its number, and `rows` the rowId for a number. `is_somewhere` says
    whether a delivery that has not ended waits in a lane, or for its next attempt, or is in flight. States that this
    release does not know count as nothing.
    """
    fates: Counter[str] = Counter(confirmed=digits.count(_CONFIRMED), unwanted=sum(map(digits.count, _UNWANTED)))
    found = []
    if fates.total() + digits.count(_NOT_OWED) < len(digits):
        for number, digit in zip(numbers, digits, strict=True):
            if digit not in _OPEN:
                continue
            fate = fate_of(State(int(digit, 16)), is_somewhere=partial(is_somewhere, endpoint, number))
            fates[fate] += 1
            if fate in KINDS:
                found.append(Difference(fate, space, rows[number], endpoint=endpoint, number=number))
    return Counts(**fates), found


def fate_of(state: State, *, is_somewhere: Callable[[], bool]) -> Fate:
    """What a state in the books means."""
    match state:
        case State.CONFIRMED:
            return "confirmed"
        case State.UNWANTED | State.NOT_OWED | State.REPLACED:
            return "unwanted"
        case State.WAITING:
            return "waiting" if is_somewhere() else "undelivered"
        case State.DEAD | State.FORGOTTEN:
            return "dead"
        case State.DROPPED_FULL | State.DROPPED_OLD:
            return "dropped"


def settled_s(plan: Plan) -> float:
    """So long after the cursor has passed a row, the readings have found it however late it came, about."""
    gaps_s = plan.gap_deadline_s * (1 + 1 / ROUNDS) if plan.gap_deadline_s > plan.overlap.seconds else 0.0
    return max(plan.overlap.seconds + 2 * plan.overlap.interval_seconds, gaps_s) + SLACK_S


def next_run_ms(now_ms: int, *, every_s: float, jitter: float) -> int:
    """When the next scheduled run begins: once in each interval, in its first quarter; `jitter` from 0 to 1.

    >>> next_run_ms(1, every_s=86_400, jitter=0.5) / 3_600_000
    27.0
    """
    every_ms = round(every_s * 1000)
    return (now_ms // every_ms + 1) * every_ms + round(every_ms * NIGHT * jitter)
