"""Gathering: when a batch is to go, and which deliveries go in it."""

from collections.abc import Callable, Iterable

from relay.domain.model import Endpoint
from relay.domain.requests.model import Batch
from relay.domain.sending.delivery import Delivery
from relay.domain.sending.lane import Lane

MOST_BYTES = 1 << 20
"""Of the events of a batch together, and of what is made of them. An event that is larger goes alone."""


MOST_IN_FLIGHT = 1024
"""Events of one endpoint in flight in batches, so that they take no more memory, and results, than single ones can."""


def most_requests(endpoint: Endpoint) -> int:
    """How many requests of an endpoint may be in flight in a worker."""
    batch = endpoint.request.batch
    return endpoint.max_in_flight if batch is None else min(endpoint.max_in_flight, MOST_IN_FLIGHT // batch.size)


def gathers_until_ms(batch: Batch, lanes: Iterable[Lane], now_ms: int) -> int:
    """Until when a batch of the deliveries in an endpoint's lanes gathers; 0: it goes at once.

    A lane that may have no more here, because events are large, fills a batch as well as `size` events do.
    """
    waiting, size, since_ms = 0, 0, 0
    for lane in lanes:
        if lane.is_full():
            return 0
        for delivery in lane.queue.waiting():
            waiting, size = waiting + 1, size + len(delivery.event.body)
            if not delivery.since_ms or waiting >= batch.size or size >= MOST_BYTES:
                return 0
            since_ms = min(since_ms or delivery.since_ms, delivery.since_ms)
    until_ms = since_ms + round(batch.wait_s * 1000)
    return until_ms if since_ms and until_ms > now_ms else 0


def room_with(batch: Batch, delivery: Delivery) -> int:
    """How many events a request has at most that a delivery goes in.

    Each retry halves it: whatever fails its neighbours, and is not known to, goes alone in the end.
    """
    halved = batch.size >> (delivery.reference.attempt - 1)
    return max(1, min(halved, delivery.most or halved))


def gathered(batch: Batch, first: Delivery, following: Callable[[], Delivery | None]) -> list[Delivery]:
    """The deliveries that go in one request with `first`. `following` takes the next one, if there is one.

    One that does not fit is put back: it is the first of the next request. What was in flight at a crash goes alone.
    """
    others: list[Delivery] = []
    room, size = room_with(batch, first), len(first.event.body)
    while len(others) + 1 < room and (delivery := following()) is not None:
        size += len(delivery.event.body)
        room = min(room, room_with(batch, delivery))
        if delivery.reference.crashes or size > MOST_BYTES or len(others) + 1 >= room:
            delivery.lane.put_back(delivery)
            break
        others.append(delivery)
    return others
