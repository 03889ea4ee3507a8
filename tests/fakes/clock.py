"""A clock that stands still until it is moved, and chance that is always the same."""

from relay.pipeline.clock import Clock

START_MS = 1_790_000_000_000


class StillClock(Clock):
    """Time moves with `advance` only."""

    def __init__(self, at_ms: int = START_MS) -> None:
        super().__init__()
        self.at_ms = at_ms

    def now_ms(self) -> int:
        return self.at_ms

    def jitter(self) -> float:
        return 0.5

    def advance(self, seconds: float) -> None:
        self.at_ms += round(seconds * 1000)
