"""What a worker's jobs work with: the typed side of arq's `ctx`."""

from dataclasses import dataclass

from relay.pipeline.clock import Clock
from relay.pipeline.polling import Polling
from relay.pipeline.reconciling.reconciling import Reconciling
from relay.pipeline.vouching import Vouching


@dataclass(frozen=True, slots=True)
class Context:
    """Put together by workers.main, read by workers.jobs."""

    polling: Polling
    reconciling: Reconciling
    clock: Clock
    vouching: Vouching | None = None
