"""Sharing work among workers: one that is busy leaves lanes to one that has room.

Each worker measures every second how busy it is, and one that has room tells the others. That is a hint and nothing
more: if it is wrong or lost, the same deliveries go out, by another worker.
"""

ROOM = 0.5
"""A worker that uses less than this share of a core has room for more work."""
BUSY = 0.8
"""A worker that uses more than this share of a core gives work away."""
COUNTS_FOR_MS = 2_500
"""How long it counts that another worker has room: it says so every second."""


class Sharing:
    """What one worker knows of its own load, and of room elsewhere."""

    def __init__(self) -> None:
        self._load = 0.0
        self._takes_rows_in = False
        self._room_until_ms = 0
        self._may_give = False
        self._draining = False

    @property
    def load(self) -> float:
        """The share of a core that this worker used in the last second."""
        return self._load

    def measured(self, load: float, *, takes_rows_in: bool) -> None:
        """Take in the share of a core that this worker used in the last second, and whether it also took rows in."""
        self._load, self._takes_rows_in = load, takes_rows_in

    def heard(self, now_ms: int) -> None:
        """Another worker has room."""
        self._room_until_ms, self._may_give = now_ms + COUNTS_FOR_MS, True

    def forget(self) -> None:
        """Forget room elsewhere: the time is not what it was."""
        self._room_until_ms, self._may_give = 0, False

    def drain(self) -> None:
        """Take on nothing more."""
        self._draining = True

    def has_room(self) -> bool:
        """Whether to tell the others that this worker has room."""
        return self._load < ROOM and not self._draining

    def claims(self, now_ms: int) -> bool:
        """Whether to claim further lanes, and not leave them to a worker that has room."""
        return not self._draining and (self._load <= BUSY or now_ms >= self._room_until_ms)

    def gives(self, held: int, now_ms: int) -> bool:
        """Whether to give one of the `held` lanes away: one for each time that another worker said it has room.

        A worker keeps the last of its tasks, of which taking rows in is one. Otherwise it would only change places with
        the other worker.
        """
        is_wanted = self._may_give and not self._draining and not self.claims(now_ms)
        return is_wanted and held + self._takes_rows_in >= 2

    def gave(self) -> None:
        """A lane was given away."""
        self._may_give = False
