"""Whose turn it is: one request at a time is in flight for a source, and many readings want one."""

from collections.abc import Sequence
from typing import NamedTuple

NEVER_MS = 2**62


class Turn(NamedTuple):
    """A request that somebody wants to make."""

    due_ms: int
    route: str
    reading: str | None = None
    """The name of the reading; None: the next page ahead of the cursor."""
    patience_ms: int = 0
    """How long it lets others go first."""
    takes_ms: int = 0
    """How long such a request took last."""
    since_ms: int = 0
    """Since when it wants one, also if it was not allowed before `due_ms`."""

    @property
    def urgent_ms(self) -> int:
        """From when on it waits no longer for others."""
        return self.due_ms + self.patience_ms

    @property
    def rank(self) -> tuple[int, int]:
        """The least goes first. Readings that share a budget are due at the same time, so they take turns."""
        return self.urgent_ms, self.since_ms


def next_turn(turns: Sequence[Turn], now_ms: int) -> Turn | None:
    """The turn to take now; None: none is to be taken yet.

    Of those that are urgent, the one that waits longest goes first: so none starves. Others use the time in which no
    urgent one is due, and none will be before they are done: so new rows do not wait for them.

    >>> probe = Turn(900, "calls", "gap.1200", patience_ms=10_000, takes_ms=200)
    >>> [(turn := next_turn([Turn(poll_ms, "calls"), probe], 1000)) and turn.reading for poll_ms in (1000, 1100, 1200)]
    [None, None, 'gap.1200']
    """
    urgent = [turn for turn in turns if turn.urgent_ms <= now_ms]
    if urgent:
        return min(urgent, key=lambda turn: turn.rank)
    soonest = min((turn.urgent_ms for turn in turns if not turn.patience_ms), default=NEVER_MS)
    fitting = [turn for turn in turns if turn.due_ms <= now_ms and now_ms + turn.takes_ms <= soonest]
    return min(fitting, key=lambda turn: turn.rank, default=None)


def wanted_ms(turns: Sequence[Turn], now_ms: int) -> int:
    """When the next turn is to be taken, at the earliest; `now_ms` if there is one now."""
    if next_turn(turns, now_ms) is not None:
        return now_ms
    later = [turn.due_ms for turn in turns if turn.due_ms > now_ms]
    waiting = [turn.urgent_ms for turn in turns if turn.due_ms <= now_ms]
    return min([*later, *waiting], default=NEVER_MS)


def others_wait(turns: Sequence[Turn], now_ms: int, *, but: Turn) -> bool:
    """Whether an urgent turn other than `but` is due: then nothing is fetched ahead."""
    mine = (but.route, but.reading)
    return any(turn.urgent_ms <= now_ms for turn in turns if (turn.route, turn.reading) != mine)
