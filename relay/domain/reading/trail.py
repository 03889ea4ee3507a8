"""The trail of a route: which cursor it had at which time. Entries get fewer with their age."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from relay.domain.server_time import STEP_MS

FINENESS = 10
"""An entry goes when its neighbours are closer than this part of their age: about two hundred last for years."""


class Step(NamedTuple):
    """The route got to this cursor at this time."""

    at_ms: int
    cursor: int


def cursor_at(trail: Sequence[Step], time_ms: int) -> int | None:
    """The cursor that a route had at a time; None: the trail does not reach so far back.

    >>> trail = [Step(5, 1), Step(9, 2), Step(9, 3)]
    >>> cursor_at(trail, 4), cursor_at(trail, 5), cursor_at(trail, 10)
    (None, 1, 3)
    """
    before = bisect_right(trail, time_ms, key=lambda step: step.at_ms)
    return trail[before - 1].cursor if before else None


def tidied(trail: Sequence[Step], *, now_ms: int, longest_ms: int, needed: int) -> tuple[list[int], list[Step]]:
    """What to do about a trail, in the order of time: the cursors of entries that go, and entries that move.

    Entries go that say little more than their neighbours, and those before the last one that is older than `longest_ms`
    and not behind the rowId `needed`. If the clock was set back, nobody knows any more when the route had the cursors
    from then on: the lowest and the highest of them move to now.

    >>> trail = [Step(0, 1), Step(5, 2), Step(9, 3), Step(900, 4)]
    >>> tidied(trail, now_ms=1000, longest_ms=500, needed=9), tidied(trail, now_ms=1000, longest_ms=500, needed=1)
    (([1, 2], []), ([2], []))
    >>> tidied([Step(5, 9), Step(8_000, 3), Step(9_000, 7)], now_ms=10, longest_ms=500, needed=9)
    ([7], [Step(at_ms=9, cursor=3), Step(at_ms=10, cursor=9)])
    """
    ahead = [step.cursor for step in trail if step.at_ms > now_ms + STEP_MS]
    if ahead:
        since = sorted(step.cursor for step in trail if step.cursor >= min(ahead))
        return since[1:-1], [Step(now_ms - 1, since[0]), Step(now_ms, since[-1])]
    return _surplus(trail, now_ms=now_ms, longest_ms=longest_ms, needed=needed), []


def _surplus(trail: Sequence[Step], *, now_ms: int, longest_ms: int, needed: int) -> list[int]:
    old = [at for at, step in enumerate(trail) if step.at_ms <= now_ms - longest_ms and step.cursor <= needed]
    begin = old[-1] if old else 0
    gone = [step.cursor for step in trail[:begin]]
    kept = trail[begin] if trail else None
    for step, following in zip(trail[begin + 1 :], trail[begin + 2 :], strict=False):
        if kept is not None and following.at_ms - kept.at_ms < (now_ms - following.at_ms) / FINENESS:
            gone.append(step.cursor)
        else:
            kept = step
    return gone
