"""The right to send callbacks to an endpoint whose requests are bounded: fetched from the store, a few at a time.

Rights of a window, and of callbacks in flight, lapse when they are not used soon: they are given back, so that a worker
which has nothing to send keeps nothing from the others, and no burst of old rights goes out in a window of new ones.
"""

from typing import NamedTuple

from relay.domain.rates import FREE, Bounds

FETCHED_FOR_S = 0.1
"""Rights of a steady rate are fetched for so long."""
MOST_FETCHED = 64
CROWDED_MS = (50, 1_000)
"""How soon at least and at most others are asked again for a place among the callbacks in flight."""
UNKNOWN = 1 << 30
LONG_WAIT_MS = 5_000
"""An endpoint that waits longer for rights hands its lanes back, so that they take nobody's place."""


class Wanted(NamedTuple):
    """What the store is asked for, and told."""

    number: int
    """How many rights; 0: it is only told the rest."""
    held: int
    """How many callbacks are in flight here, or may go out still."""
    unused: int
    """Rights that lapsed, of those that were taken at `taken_ms` by the clock of the store."""
    taken_ms: int


class Granted(NamedTuple):
    """What the store gave."""

    number: int
    wait_ms: int
    """Until there is another one, if there was none; 0: until a callback of somebody is over."""
    taken_ms: int = 0
    """When they were taken, by the clock of the store."""
    was_told: bool = False
    """None were wanted."""


class Rights:
    """How many callbacks may go out now, as far as rates, windows and callbacks in flight of other workers say."""

    __slots__ = (
        "_bounds",
        "_crowded",
        "_fetching",
        "_lapse_ms",
        "_taken_ms",
        "_told",
        "_unused",
        "at_ms",
        "left",
        "rest_ms",
    )

    def __init__(self) -> None:
        self.left: int | None = None
        """None: nothing is bounded."""
        self.at_ms = 0
        """When there are more, if there are none now."""
        self.rest_ms = 0
        """Nothing is sent before: it is long until then."""
        self._bounds = FREE
        self._fetching = False
        self._crowded = 0
        """How often in a row there was no place among the callbacks in flight."""
        self._lapse_ms = self._taken_ms = 0
        self._unused = self._told = 0
        """Rights to give back, and callbacks in flight that the store knows of."""

    def bind(self, bounds: Bounds) -> None:
        """Take in what bounds the endpoint."""
        if bounds == self._bounds:
            return
        # What the store counts of callbacks in flight here is not known any more: it is told.
        self._told = UNKNOWN if self._bounds.crowds and bounds.crowds else 0
        self._bounds, self.left, self.at_ms, self.rest_ms = bounds, 0 if bounds.are_any else None, 0, 0
        # The store may find no limit any more, and say nothing.
        self._fetching = False
        self._crowded = self._lapse_ms = self._unused = 0

    def use(self) -> None:
        """A callback goes out."""
        if self.left is not None:
            self.left -= 1

    def landed(self) -> None:
        """A callback is over: if its place was all that lacked, it is asked for at once."""
        if self._crowded:
            self._crowded, self.at_ms = 0, 0

    def are_needed(self) -> bool:
        """Whether there are none, and nobody fetches any."""
        return self.left == 0 and not self._fetching

    def have_to_tell(self, flying: int) -> bool:
        """Whether the store counts callbacks that are over, or rights that lapsed."""
        if self._fetching or self.left is None:
            return False
        return bool(self._unused) or (bool(self._bounds.crowds) and self._told > flying + self.left)

    def fit(self, room: int) -> bool:
        """Whether rights for `room` more callbacks are worth fetching: those that can't be used at once would lapse."""
        return room > 0 or not self._bounds.life_ms

    def fetch(self, waiting: int, room: int, flying: int) -> Wanted:
        """They are fetched from now on; where so many callbacks wait, and there is room for so many in flight."""
        wanted = waiting
        if (slowest := self._bounds.slowest) is not None:
            wanted = min(wanted, int(slowest * FETCHED_FOR_S))
        if self._bounds.life_ms:
            wanted = min(wanted, room, MOST_FETCHED)
        return self._wanted(max(1, wanted), flying)

    def tell(self, flying: int) -> Wanted:
        """The store is told from now on."""
        return self._wanted(0, flying + (self.left or 0))

    def _wanted(self, number: int, held: int) -> Wanted:
        self._fetching = True
        wanted = Wanted(number, held, self._unused, self._taken_ms)
        self._unused, self._told = 0, held
        return wanted

    def given(self, granted: Granted, now_ms: int) -> bool:
        """Take in what was fetched, or how long to wait for the next one; gives whether that is long."""
        self._fetching = False
        if self.left is None or granted.was_told:
            return False
        number, wait_ms, taken_ms, _ = granted
        self.left, self.at_ms = number, now_ms + max(1, wait_ms)
        self._told += number
        if number:
            self._crowded, self._taken_ms = 0, taken_ms
            self._lapse_ms = now_ms + self._bounds.life_ms if self._bounds.life_ms else 0
        elif not wait_ms and self._bounds.life_ms:
            least_ms, most_ms = CROWDED_MS
            self.at_ms = now_ms + min(most_ms, least_ms << min(self._crowded, 10))
            self._crowded += 1
        elif wait_ms >= LONG_WAIT_MS:
            self.rest_ms = self.at_ms
        return self.rest_ms > now_ms

    def lapse_ms(self) -> int:
        """When those that are left lapse; 0: they do not."""
        return self._lapse_ms if self.left else 0

    def have_lapsed(self, now_ms: int) -> bool:
        """Whether those that are left must not be used any more."""
        return bool(self.left) and 0 < self._lapse_ms <= now_ms

    def lapse(self, now_ms: int) -> None:
        """Give those back that nobody used in time."""
        if self.left and self.have_lapsed(now_ms):
            self._unused, self.left = self.left, 0

    def set_back(self, back_ms: int) -> None:
        """The clock was set back by so much."""
        self.at_ms -= back_ms
        self.rest_ms -= back_ms
        if self._lapse_ms:
            self._lapse_ms = max(1, self._lapse_ms - back_ms)
