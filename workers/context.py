"""What a worker's jobs work with: the typed side of arq's `ctx`."""

from dataclasses import dataclass

from relay.pipeline.catalogue import Catalogue
from relay.pipeline.polling import Polling
from relay.pipeline.upkeep import Upkeep


@dataclass(frozen=True, slots=True)
class Context:
    """Put together by workers.main, read by workers.jobs."""

    catalogue: Catalogue
    polling: Polling
    upkeep: Upkeep
