"""What a worker's jobs work with: the typed side of arq's `ctx`."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from relay.pipeline.clock import Clock
from relay.pipeline.polling import Polling
from relay.pipeline.reconciling.reconciling import Reconciling
from relay.pipeline.vouching import Vouching

MOST_JOBS = 100
"""Jobs at once, each with the slices of up to `workers.ticking.TOGETHER` sources."""


@dataclass(slots=True)
class JobCount:
    """The jobs of a worker."""

    most: int
    """At once."""
    begun: int = 0
    running: int = 0

    @property
    def has_room(self) -> bool:
        """Whether one more could begin."""
        return self.running < self.most

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count a job while it runs."""
        self.begun += 1
        self.running += 1
        try:
            yield
        finally:
            self.running -= 1


@dataclass(frozen=True, slots=True)
class Context:
    """Put together by workers.main, read by workers.jobs."""

    polling: Polling
    reconciling: Reconciling
    clock: Clock
    vouching: Vouching | None = None
    count: JobCount = field(default_factory=lambda: JobCount(MOST_JOBS))
