"""One delivery in the hands of a worker."""

from dataclasses import dataclass

from relay.domain.model import StoredEvent
from relay.domain.references import Reference


@dataclass(slots=True, eq=False)
class Delivery:
    """One event for one endpoint, claimed by this worker."""

    stored: bytes
    """The reference as it stands in the store."""
    reference: Reference
    event: StoredEvent
