"""The metrics of the API: its answers by operation, and how long they took to begin."""

from bisect import bisect_left
from collections import Counter

from relay.metrics.process import ProcessMetrics
from relay.metrics.sheet import Sheet

BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})


class HttpCounts:
    """What an API process has answered since it began."""

    def __init__(self) -> None:
        self.answers: Counter[tuple[str, str]] = Counter()
        """By operation and class of the status."""
        self.durations: dict[str, list[int]] = {}
        """By method and the index of the first bound that was not exceeded."""
        self.seconds: Counter[str] = Counter()
        """All durations of a method together, in µs."""

    def answered(self, method: str, template: str, status: int, seconds: float) -> None:
        """Count an answer. `template`: the operation's path, with the names of its parameters; '': there is none."""
        method = method if method in METHODS else "other"
        operation = f"{method} {template}" if template else "none"
        self.answers[operation, f"{status // 100}xx"] += 1
        if (durations := self.durations.get(method)) is None:
            durations = self.durations[method] = [0] * (len(BOUNDS_S) + 1)
        durations[bisect_left(BOUNDS_S, seconds)] += 1
        self.seconds[method] += round(seconds * 1_000_000)


class HttpMetrics:
    """Fills the sheet of an API process."""

    def __init__(self, process: ProcessMetrics, counts: HttpCounts) -> None:
        self._process = process
        self._counts = counts

    async def fill(self, sheet: Sheet) -> None:
        """Add all samples."""
        await self._process.fill(sheet)
        for (operation, code), count in self._counts.answers.items():
            sheet.put("relay_http_requests_total", count, operation, code)
        for method, durations in self._counts.durations.items():
            total = self._counts.seconds[method] / 1_000_000
            sheet.put_histogram("relay_http_request_duration_seconds", BOUNDS_S, durations, total, method)
