"""One delivery in the hands of a worker."""

from typing import TYPE_CHECKING

from relay.domain.model import StoredEvent
from relay.domain.references import Reference

if TYPE_CHECKING:
    from relay.domain.sending.lane import Lane


class Delivery:
    """One event for one endpoint, claimed by this worker."""

    __slots__ = ("event", "key", "lane", "reference", "stored")

    def __init__(self, lane: "Lane", stored: bytes, reference: Reference, event: StoredEvent) -> None:
        """`stored` is the reference as it stands in the store; `reference` is what it is to become there."""
        self.lane = lane
        self.stored = stored
        self.reference = reference
        self.event = event
        self.key: str | None = None
        """The digest of what it is ordered by, if its endpoint is ordered by a key."""
