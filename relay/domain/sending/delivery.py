"""One delivery in the hands of a worker."""

from typing import TYPE_CHECKING

from relay.domain.model import StoredEvent
from relay.domain.references import Reference

if TYPE_CHECKING:
    from relay.domain.sending.lane import Lane


class Delivery:
    """One event for one endpoint, claimed by this worker."""

    __slots__ = ("event", "key", "lane", "most", "others", "reference", "since_ms", "stored")

    def __init__(
        self, lane: "Lane", stored: bytes, reference: Reference, event: StoredEvent, *, since_ms: int = 0
    ) -> None:
        """`stored` is the reference as it stands in the store; `reference` is what it is to become there."""
        self.lane = lane
        self.stored = stored
        self.reference = reference
        self.event = event
        self.key: str | None = None
        """The digest of what it is ordered by, if its endpoint is ordered by a key."""
        self.since_ms = since_ms
        """Since when it can wait for others to go in one request with it; 0: it waits for none."""
        self.most = 0
        """The request that it goes in has so many events at most; 0: as many as the endpoint allows."""
        self.others: list[Delivery] = []
        """While it is in flight, and leads a batch: the deliveries that go in the same request."""

    @property
    def members(self) -> "list[Delivery]":
        """Itself, and the deliveries that go in the same request."""
        return [self, *self.others]
