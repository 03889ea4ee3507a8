"""What is known about the owners of expressions: whose evaluations are quick, and whose hold others up."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable

SLOW_FOR_S = 300.0
"""How long the expressions of an owner stay in the slow lane after one of them took too long for the quick one."""
MOST_OWNERS = 20_000
MOST_SETS = 16
FREE_OFFENCES = 1
FIRST_REST_S, LONGEST_REST_S = 2.0, 300.0
"""Expressions that reached a limit twice in a row are not evaluated for so long; each time, the rest is twice as long.
One event that is too much for an expression costs the other events of its endpoint nothing."""
MOST_AT_ONCE = 8
"""Deliveries of one owner whose expressions are evaluated or next in line; its others wait behind them."""


class Owner:
    """An endpoint, for example."""

    def __init__(self) -> None:
        self.turns = asyncio.Semaphore(MOST_AT_ONCE)
        self.slow_turn = asyncio.Lock()
        """Of its expressions that are not known to be quick, one delivery's are evaluated at a time."""
        self.inside = 0
        """How many sets of its expressions wait or are evaluated."""
        self.deaths = 0
        """How often in a row the process died for no known reason."""
        self.slow_until = 0.0
        self._quick: OrderedDict[int, None] = OrderedDict()
        self._offences: OrderedDict[int, tuple[int, float]] = OrderedDict()
        """Of expressions that reached a limit the last time: how often in a row, and until when they rest."""

    def is_slow(self, now: float) -> bool:
        """Whether its expressions took too long lately."""
        return now < self.slow_until

    def is_quick(self, expressions: int, now: float) -> bool:
        """Whether these expressions, by their hash, were evaluated quickly the last time, and no others took long."""
        return expressions in self._quick and not self.is_slow(now)

    def was_quick(self, expressions: int, now: float) -> None:
        """These expressions were evaluated quickly."""
        if self.is_slow(now):
            return
        self.deaths = 0
        self._quick[expressions] = None
        self._quick.move_to_end(expressions)
        if len(self._quick) > MOST_SETS:
            self._quick.popitem(last=False)

    def was_slow(self, now: float) -> None:
        """Some expressions took too long for the quick lane."""
        self.slow_until = now + SLOW_FOR_S
        self._quick.clear()

    def rests_s(self, expressions: int, now: float) -> float:
        """How long these expressions are not evaluated; 0: they can be now."""
        _, until = self._offences.get(expressions, (0, 0.0))
        return max(0.0, until - now)

    def reached_limit(self, expressions: int, now: float) -> None:
        """These expressions took all that they may."""
        count = self._offences.pop(expressions, (0, 0.0))[0] + 1
        doublings = count - FREE_OFFENCES - 1
        rest_s = 0.0 if doublings < 0 else min(LONGEST_REST_S, FIRST_REST_S * 2.0 ** min(doublings, 30))
        self._offences[expressions] = count, now + rest_s
        if len(self._offences) > MOST_SETS:
            self._offences.popitem(last=False)

    def kept_limits(self, expressions: int) -> None:
        """These expressions had a result, or failed in another way."""
        self._offences.pop(expressions, None)


class Owners:
    """The owners that were seen last."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock`: seconds that never go back."""
        self.clock = clock
        self._owners: OrderedDict[str, Owner] = OrderedDict()

    def get(self, name: str) -> Owner:
        """An owner; one that is not known has shown nothing yet."""
        if (known := self._owners.get(name)) is not None:
            self._owners.move_to_end(name)
            return known
        owner = self._owners[name] = Owner()
        if len(self._owners) > MOST_OWNERS:
            self._forget_one()
        return owner

    def _forget_one(self) -> None:
        oldest, owner = next(iter(self._owners.items()))
        self._owners.move_to_end(oldest)
        if not owner.inside:
            del self._owners[oldest]
