"""What bounds the requests to an endpoint: steady rates, windows, and how many may be in flight over all workers.

A window is kept exactly: in no stretch of its length more requests begin than it allows, wherever it begins. To that
end the store counts in slices of a window (take_rights.lua), and rights that were not used soon are given back. A
steady rate lets requests out one after the other, a tenth of a second's worth at once.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

MOST_WINDOWS = 6
LONGEST_WINDOW_S = 86_400
SHORTEST_LIFE_MS, LONGEST_LIFE_MS = 50, 10_000
LIVES_OF_A_WINDOW = 40
UNHURRIED_LIFE_MS = 1_000
"""How long an unused right lives where there is no window."""
SLICES = 50
"""A window is counted in so many slices. One that is partly in it counts whole, which costs 2 % of the rate."""


class Rate(msgspec.Struct, frozen=True):
    """At most `limit` requests in any stretch of `seconds`."""

    limit: int
    seconds: int

    @property
    def life_ms(self) -> int:
        """How long a worker may keep a right of this window before it uses it."""
        return max(SHORTEST_LIFE_MS, min(LONGEST_LIFE_MS, self.seconds * 1000 // LIVES_OF_A_WINDOW))

    @property
    def slice_ms(self) -> int:
        """The length of a slice: the window is longer by what a right may wait, in a worker and on its way there."""
        return -(-(self.seconds * 1000 + 2 * self.life_ms) // SLICES)


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """What endpoints of an application share that name it."""

    rates: tuple[Rate, ...] = ()
    concurrency: int | None = None
    """Callbacks in flight over all workers; None: no limit."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Everything that bounds the requests to one endpoint, each with the name of what is counted together."""

    steady: tuple[tuple[str, int], ...] = ()
    """Requests a second."""
    windows: tuple[tuple[str, Rate], ...] = ()
    crowds: tuple[tuple[str, int], ...] = ()
    """Callbacks in flight over all workers."""
    line: str = ""
    """Those who wait for the same rights stand in one line; '': there is none."""

    @property
    def are_any(self) -> bool:
        """Whether anything is bounded."""
        return bool(self.steady or self.windows or self.crowds)

    @property
    def life_ms(self) -> int:
        """How long rights live that are not used; 0: for ever."""
        if not self.windows and not self.crowds:
            return 0
        return min((rate.life_ms for _, rate in self.windows), default=UNHURRIED_LIFE_MS)

    @property
    def slowest(self) -> int | None:
        """The lowest steady rate; None: there is none."""
        return min((rate for _, rate in self.steady), default=None)


FREE = Bounds()
"""Nothing is bounded."""


def bounds_of(
    steady: Iterable[tuple[str, int | None]], shared: Iterable[tuple[str, Budget]], *, counts_callbacks: bool = True
) -> Bounds:
    """Bounds from steady rates and from what is shared, the narrowest first, each under its name.

    Without `counts_callbacks` they are those of lookups: a lookup belongs to a callback that has its place already.
    """
    shared = list(shared)
    windows = tuple((name, rate) for name, budget in shared for rate in budget.rates)
    crowds = (
        tuple((name, budget.concurrency) for name, budget in shared if budget.concurrency) if counts_callbacks else ()
    )
    line = shared[-1][0] if shared and counts_callbacks and (windows or crowds) else ""
    return Bounds(tuple((name, rate) for name, rate in steady if rate), windows, crowds, line)
