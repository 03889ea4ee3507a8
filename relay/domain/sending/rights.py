"""The right to send callbacks to an endpoint with a rate limit: fetched for a tenth of a second at a time."""

from collections.abc import Sequence

FETCHED_FOR_S = 0.1


class Rights:
    """How many callbacks may go out now, as far as the rate limits of the endpoint and its application say."""

    __slots__ = ("_fetching", "_limits", "at_ms", "left")

    def __init__(self) -> None:
        self.left: int | None = None
        """None: there is no limit."""
        self.at_ms = 0
        """When there are more, if there are none now."""
        self._limits: tuple[int, ...] = ()
        self._fetching = False

    def bind(self, limits: Sequence[int]) -> None:
        """Take in the rates that bind it, a second."""
        if tuple(limits) != self._limits:
            self._limits, self.left, self.at_ms = tuple(limits), 0 if limits else None, 0
            # The store may find no limit any more, and say nothing.
            self._fetching = False

    def use(self) -> None:
        """A callback goes out."""
        if self.left is not None:
            self.left -= 1

    def are_needed(self) -> bool:
        """Whether there are none, and nobody fetches any."""
        return self.left == 0 and not self._fetching

    def fetch(self, waiting: int) -> int:
        """They are fetched from now on; gives how many, where so many callbacks wait."""
        self._fetching = True
        return max(1, min(waiting, int(min(self._limits) * FETCHED_FOR_S)))

    def given(self, number: int, wait_ms: int, now_ms: int) -> None:
        """Take in what was fetched, or how long to wait for the next one."""
        self._fetching = False
        if self.left is not None:
            self.left, self.at_ms = number, now_ms + max(1, wait_ms)
