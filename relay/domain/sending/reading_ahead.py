"""How many deliveries a worker reads ahead, so that large events take no more memory than small ones."""

MOST_DELIVERIES = 16_384
"""Deliveries that wait in a worker, in all lanes."""
MOST_BYTES = 32 << 20
"""Of the events that they stand for, as if each delivery had an event of its own. Usually lanes share events."""
FIRST_READ = 8
"""What a lane brings with it when it is claimed."""
FEWEST = 2
"""A lane reads so many ahead at least: one is sent while the next one is fetched."""
REMEMBERS = 0.98
"""What of the largest size counts still at the next event: one that is large counts for about two hundred."""


class ReadingAhead:
    """Follows the sizes of the events that arrive."""

    def __init__(self) -> None:
        self._size = 1.0
        """Bytes of a large event, among those that arrived last."""

    def saw(self, size: int) -> None:
        """An event of so many bytes arrived."""
        self._size = max(float(size), self._size * REMEMBERS)

    def of_lane(self, lanes: int) -> int:
        """How many deliveries each of so many lanes may have waiting."""
        return max(FEWEST, self._most() // max(1, lanes))

    def of_claims(self) -> int:
        """How many lanes may be claimed at once."""
        return max(1, self._most() // FIRST_READ)

    def _most(self) -> int:
        return min(MOST_DELIVERIES, int(MOST_BYTES / max(1.0, self._size)))
