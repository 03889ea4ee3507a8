"""The lanes of one source that this worker holds: how one comes in, what it gets, and how it goes."""

from collections.abc import Iterable

import structlog

from relay.domain.breaking import Health
from relay.domain.envelope import decode
from relay.domain.model import Endpoint, EndpointId, SourceUid
from relay.domain.paths import reader
from relay.domain.references import parse_reference
from relay.pipeline.catalogue import Catalogue
from relay.pipeline.dispatch.delivery import Delivery
from relay.pipeline.dispatch.lane import HeldLane
from relay.pipeline.dispatch.queues import ByKey, InOrder, KeyOf, Queue, Unordered
from relay.pipeline.dispatch.windows import Windows
from relay.store.bodies import Bodies
from relay.store.lanes import FOREVER, Given, Lanes

log = structlog.get_logger()


class Holding:
    """Held lanes by endpoint."""

    def __init__(
        self, source: SourceUid, *, lanes: Lanes, bodies: Bodies, catalogue: Catalogue, windows: Windows
    ) -> None:
        self._source = source
        self._lanes = lanes
        self._bodies = bodies
        self._catalogue = catalogue
        self._windows = windows
        self._held: dict[EndpointId, HeldLane] = {}

    def __len__(self) -> int:
        return len(self._held)

    def lanes(self) -> list[HeldLane]:
        """All that are held."""
        return list(self._held.values())

    def holds(self, lane: HeldLane) -> bool:
        """Whether this very lane is still held."""
        return self._held.get(lane.endpoint.id) is lane

    def get(self, endpoint: EndpointId) -> HeldLane | None:
        """The held lane of an endpoint."""
        return self._held.get(endpoint)

    async def take_in(self, given: Iterable[Given]) -> list[HeldLane]:
        """Take in what an exchange gave; gives the lanes that have something new to say or to send.

        One round trip for the events that are not at hand, one more for each new lane that is ordered by a key.
        """
        with_work: list[tuple[HeldLane, list[bytes]]] = []
        for each in given:
            if each.state != "held":
                self._forget(each)
            elif (lane := await self._lane(each)) is not None:
                lane.exhausted = len(each.references) < lane.asked
                if each.references:
                    with_work.append((lane, each.references))
        numbers = {parse_reference(reference).number for _, references in with_work for reference in references}
        events = await self._bodies.read(self._source, numbers) if numbers else {}
        for lane, references in with_work:
            for stored in references:
                reference = parse_reference(stored)
                event = events.get(reference.number)
                if event is None:
                    lane.handed.dead.append((stored, "event_not_kept"))
                else:
                    lane.queue.push(Delivery(stored, reference, event), lane.handed)
        return [lane for lane, _ in with_work]

    async def recover(self, session: str) -> list[HeldLane]:
        """Find out what the session holds after an answer was lost: what this worker does not know of, it takes in."""
        held = await self._lanes.held(self._source, session)
        given = []
        for endpoint, flight in held.items():
            lane = self._held.get(endpoint)
            unknown = flight - _known(lane) if lane else flight
            given.append(Given(endpoint, "held", sorted(unknown, key=parse_reference), ""))
        return await self.take_in(given)

    def changed(self, endpoint_id: EndpointId) -> HeldLane | None:
        """Take in that an endpoint was changed, disabled or deleted; gives its lane, if it is held."""
        lane = self._held.get(endpoint_id)
        if lane is None:
            return None
        endpoint = self._catalogue.endpoint(endpoint_id)
        if endpoint is None or endpoint.disabled or endpoint.paused:
            lane.stop(FOREVER)
        elif (endpoint.order, endpoint.order_key) != (lane.endpoint.order, lane.endpoint.order_key):
            # What waits here is in the old order: give it back, and claim it again in the new one.
            lane.stop(0)
        else:
            lane.endpoint = endpoint
            lane.prepared = self._catalogue.prepared(endpoint)
            lane.rights = 0 if self._catalogue.limits(endpoint) else None
        return lane

    def _forget(self, given: Given) -> None:
        lane = self._held.pop(given.endpoint, None)
        if lane is not None and given.state == "lost":
            # Another worker has taken it up: what waits here is sent by that one.
            lane.queue.clear()
            lane.stop(FOREVER)
            log.warning("lane_lost", source=self._source, endpoint=given.endpoint)

    async def _lane(self, given: Given) -> HeldLane | None:
        lane = self._held.get(given.endpoint)
        if lane is not None:
            return lane
        endpoint = self._catalogue.endpoint(given.endpoint)
        if endpoint is None:
            # Made a moment ago, or deleted: the configuration knows.
            await self._catalogue.refresh()
            endpoint = self._catalogue.endpoint(given.endpoint)
        if endpoint is None:
            await self._lanes.drop(self._source, given.endpoint)
            return None
        lane = HeldLane(
            self._source,
            endpoint,
            prepared=self._catalogue.prepared(endpoint),
            window=self._windows.of(endpoint),
            health=Health(given.health),
            queue=await self._queue(endpoint),
            rights=0 if self._catalogue.limits(endpoint) else None,
        )
        if endpoint.disabled or endpoint.paused:
            lane.stop(FOREVER)
        self._held[given.endpoint] = lane
        return lane

    async def _queue(self, endpoint: Endpoint) -> Queue:
        if endpoint.order == "fifo":
            return InOrder()
        if endpoint.order == "keyed" and endpoint.order_key:
            return ByKey(_key_of(endpoint.order_key), await self._lanes.blocked(self._source, endpoint.id))
        return Unordered()


def _known(lane: HeldLane) -> set[bytes]:
    """What a lane has of its flight: also what it was about to hand in."""
    handed = lane.handed
    groups = (handed.retries, handed.dead, handed.back, handed.behind)
    waiting = lane.queue.clear()
    for delivery in waiting:
        lane.queue.push(delivery, handed)
    return {
        *(delivery.stored for delivery in (*waiting, *lane.flying)),
        *handed.ended,
        *(entry[0] for group in groups for entry in group),
    }


def _key_of(path: str) -> KeyOf:
    read = reader(path)

    def key(delivery: Delivery) -> str | None:
        value = read(decode(delivery.event.body))
        return str(value) if isinstance(value, str | int) and str(value) else None

    return key
