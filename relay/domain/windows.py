"""How many callbacks an endpoint may have in flight: a window that grows while it answers well and shrinks when not."""

SMALLEST = 1.0
FIRST = 8.0
QUICK_MS = 25.0
"""Below this a slower answer says nothing: it is the noise of a machine, not a queue at the receiver."""
SLOWER = 2.0
"""An answer that takes this many times the quickest means that requests queue up at the receiver."""
BASELINE_DRIFT = 0.01
"""How fast the baseline follows slower answers, so that a receiver that became slower for good is not starved."""


class Window:
    """The window of one endpoint in one worker: doubles at first, then grows by one a round, halves on trouble."""

    __slots__ = ("_baseline_ms", "_most", "_slow_start", "size")

    def __init__(self, most: int) -> None:
        """`most` is the endpoint's own maximum."""
        self._most = float(most)
        self.size = min(FIRST, self._most)
        self._slow_start = True
        self._baseline_ms = 0.0

    def limit(self, most: int) -> None:
        """Take in another maximum."""
        self._most = float(most)
        self.size = min(self.size, self._most)

    def succeeded(self, duration_ms: float) -> None:
        """Learn from a success: grow if it was about as quick as the quickest, else stop growing so fast."""
        baseline = self._baseline_ms
        if baseline == 0.0 or duration_ms < baseline:
            self._baseline_ms = baseline = duration_ms
        else:
            self._baseline_ms = baseline + BASELINE_DRIFT * (duration_ms - baseline)
        if duration_ms > SLOWER * baseline + QUICK_MS:
            self._slow_start = False
            self.size = max(SMALLEST, self.size - 1.0 / self.size)
        elif self.size < self._most:
            self.size = min(self._most, self.size + (1.0 if self._slow_start else 1.0 / self.size))

    def failed(self) -> None:
        """Learn from a 429, a 5xx, a time-out or a lost connection: halve."""
        self._slow_start = False
        self.size = max(SMALLEST, self.size / 2)
