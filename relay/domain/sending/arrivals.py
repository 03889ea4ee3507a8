"""What the store gives: references with their events, and lanes that are claimed."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from relay.domain.model import Attempt, EndpointId, StoredEvent
from relay.domain.references import Reference, number_of
from relay.domain.sending.delivery import Delivery
from relay.domain.sending.lane import NO_ORDER, Lane
from relay.domain.sending.queues import has_keys_of_an_older_order, queue_for
from relay.domain.sending.reading_ahead import ReadingAhead

if TYPE_CHECKING:
    from relay.domain.sending.endpoint import EndpointMachine
    from relay.domain.sending.holding import Holding


class Arrival(NamedTuple):
    """One reference that the store gave, with its event."""

    stored: bytes
    reference: Reference | None
    """None: it can't be read."""
    event: StoredEvent | None
    """None: it is not kept, or can't be read."""
    is_wanted: bool = True
    """False: the endpoint's filter does not let it pass, which could not be told before."""
    until_ms: int = 0
    """It waits in the store until then; 0: it may be sent now."""
    in_order: bool = False
    """It waits for its age, and where order counts, none after it may be sooner."""
    superseded: Attempt | None = None
    """The receiver has confirmed a newer revision: this says so."""


class Claim(NamedTuple):
    """A lane that is held from now on, or more of it."""

    endpoint: EndpointId
    arrivals: Sequence[Arrival]
    blocked: Mapping[str, int]
    """Keys that wait in the store, each with the number of the event that it waits for."""
    is_all: bool = False
    """Nothing more waited in the lane when it was claimed."""


def open_lane(holding: "Holding", machine: "EndpointMachine", claim: Claim) -> Lane:
    """The lane that was claimed, empty. It leaves at once where older events wait behind keys of an older order.

    Those are released to the lane now, so all of it is handed back, and claimed again in the right order.
    """
    order_version = machine.endpoint.order_version if machine.endpoint is not None else NO_ORDER
    lane = Lane(holding, machine, queue_for(machine.endpoint, dict(claim.blocked)), order_version=order_version)
    lane.exhausted = claim.is_all
    lane.leaves = lane.queue.order != "unordered" and has_keys_of_an_older_order(claim.blocked, order_version)
    return lane


def arrive(lane: Lane, arrivals: Iterable[Arrival], ahead: ReadingAhead, now_ms: int) -> None:
    """Put arrived deliveries into their lane. Those that can't be sent end, are given up, or are set aside."""
    for stored, reference, event, is_wanted, until_ms, in_order, superseded in arrivals:
        if reference is None:
            lane.never_came(stored, number_of(stored), "unreadable")
        elif not is_wanted:
            lane.unwanted(stored, reference.number)
        elif event is None:
            lane.never_came(stored, reference.number, "event_not_kept")
        elif superseded is not None:
            lane.superseded(stored, superseded)
        elif until_ms:
            lane.hold(stored, reference, until_ms, in_order=in_order and lane.queue.order != "unordered")
        else:
            ahead.saw(len(event.body))
            # What was in flight at a crash goes alone.
            lane.push(Delivery(lane, stored, reference, event, since_ms=0 if reference.crashes else now_ms))
