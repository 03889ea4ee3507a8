"""What comes from the store: references with their events, and lanes that are claimed."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from relay.domain.model import EndpointId, StoredEvent
from relay.domain.references import Reference, number_of
from relay.domain.sending.delivery import Delivery
from relay.domain.sending.lane import Lane


class Arrival(NamedTuple):
    """One reference that the store gave, with its event."""

    stored: bytes
    reference: Reference | None
    """None: it can't be read."""
    event: StoredEvent | None
    """None: it is not kept, or can't be read."""
    is_wanted: bool = True
    """False: the endpoint's filter does not let it pass, which could not be told before."""


class Claim(NamedTuple):
    """A lane that is held from now on, or more of it."""

    endpoint: EndpointId
    arrivals: Sequence[Arrival]
    blocked: Mapping[str, int]
    """Keys that wait in the store, each with the number of the event that it waits for."""
    is_all: bool = False
    """Nothing more waited in the lane when it was claimed."""


def arrive(lane: Lane, arrivals: Iterable[Arrival]) -> None:
    """Put what came into its lane. What can't be sent ends, is given up, or is set aside with the reason."""
    for stored, reference, event, is_wanted in arrivals:
        if reference is None:
            lane.never_came(stored, number_of(stored), "unreadable")
        elif not is_wanted:
            lane.unwanted(stored, reference.number)
        elif event is None:
            lane.never_came(stored, reference.number, "event_not_kept")
        else:
            lane.push(Delivery(lane, stored, reference, event))
