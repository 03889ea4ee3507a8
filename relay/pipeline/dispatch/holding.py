"""The lanes of one source that this worker holds: how one comes in, what it gets, and how it goes."""

from collections.abc import Sequence

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
from relay.store.lanes import Given, Lanes

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

    async def take_in(self, given: Sequence[Given]) -> list[HeldLane]:
        """Take in what an exchange gave; gives the lanes that have something new to say or to send.

        One round trip for the events that are not at hand, one more for each new lane that is ordered by a key.
        """
        if any(each.endpoint not in self._held and self._is_off(each.endpoint) for each in given):
            # Made, enabled or deleted a moment ago? The configuration knows.
            await self._catalogue.refresh()
        lanes: dict[HeldLane, list[bytes]] = {}
        for each in given:
            if each.state not in ("held", "claimed"):
                lane = self._forget(each)
                if each.state == "parked" and lane is not None and lane.was_off:
                    await self._make_sure_of(each.endpoint)
            elif (lane := await self._lane(each)) is not None:
                lane.exhausted = len(each.references) < lane.asked
                lanes[lane] = each.references
        numbers = {parse_reference(reference).number for references in lanes.values() for reference in references}
        events = await self._bodies.read(self._source, numbers) if numbers else {}
        for lane, references in lanes.items():
            for stored in references:
                reference = parse_reference(stored)
                event = events.get(reference.number)
                if event is None:
                    lane.handed.dead.append((stored, "event_not_kept"))
                    lane.queue.given_up(reference, lane.handed)
                else:
                    lane.queue.push(Delivery(stored, reference, event), lane.handed)
            if lane.is_empty():
                # In the store something of it is in flight, which this worker never heard of: back to the start.
                lane.stop(0)
        return [lane for lane, references in lanes.items() if references or lane.is_stopped]

    async def recover(self, session: str) -> list[HeldLane]:
        """Find out what the session holds after an answer was lost: what this worker does not know of, it takes in."""
        unknown = []
        for each in await self._lanes.held(self._source, session):
            lane = self._held.get(each.endpoint)
            references = set(each.references) - (_known(lane) if lane else set())
            if references or lane is None:
                ordered = sorted(references, key=parse_reference)
                unknown.append(Given(each.endpoint, "held", ordered, each.health))
        return await self.take_in(unknown)

    def changed(self, endpoint_id: EndpointId) -> HeldLane | None:
        """Take in that an endpoint was changed, disabled or deleted; gives its lane, if it is held."""
        lane = self._held.get(endpoint_id)
        if lane is None:
            return None
        endpoint = self._catalogue.endpoint(endpoint_id)
        if endpoint is None or self._is_off(endpoint_id):
            lane.is_off = True
        elif (endpoint.order, endpoint.order_key) != (lane.endpoint.order, lane.endpoint.order_key):
            # What waits here is in the old order: give it back, and claim it again in the new one.
            lane.stop(0)
        else:
            lane.is_off = False
            lane.endpoint = endpoint
            lane.prepared = self._catalogue.prepared(endpoint)
            lane.rights = 0 if self._catalogue.limits(endpoint) else None
            lane.window.limit(endpoint.max_in_flight)
        return lane

    async def _make_sure_of(self, endpoint: EndpointId) -> None:
        """Let a lane go on that was put aside while its endpoint was enabled: who did that found it not parked yet."""
        await self._catalogue.refresh()
        if not self._is_off(endpoint):
            await self._lanes.unpark(self._source, endpoint)

    def _is_off(self, endpoint_id: EndpointId) -> bool:
        """Whether an endpoint gets nothing, as far as this worker knows."""
        endpoint = self._catalogue.endpoint(endpoint_id)
        return endpoint is None or endpoint.disabled or endpoint.paused

    def let_all_go(self) -> None:
        """The source is gone: send nothing more of it."""
        for endpoint in list(self._held):
            self._drop(endpoint)

    def _drop(self, endpoint: EndpointId) -> HeldLane | None:
        lane = self._held.pop(endpoint, None)
        if lane is not None:
            lane.is_off = True
            lane.suspects.clear()
            lane.queue.clear()
        return lane

    def _forget(self, given: Given) -> HeldLane | None:
        lane = self._drop(given.endpoint)
        if lane is not None and given.state == "lost":
            # Another worker has taken it up: what waits here is sent by that one.
            log.warning("lane_lost", source=self._source, endpoint=given.endpoint)
        return lane

    async def _lane(self, given: Given) -> HeldLane | None:
        if given.state == "claimed" and self._drop(given.endpoint) is not None:
            # This worker slept so long that the lane was taken from it, and is its again now: with other references.
            log.warning("lane_lost", source=self._source, endpoint=given.endpoint)
        lane = self._held.get(given.endpoint)
        if lane is not None:
            return lane
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
        lane.is_off = self._is_off(endpoint.id)
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
    return {
        *(delivery.stored for delivery in (*lane.waiting(), *lane.flying)),
        *handed.ended,
        *(entry[0] for group in groups for entry in group),
    }


def _key_of(path: str) -> KeyOf:
    read = reader(path)

    def key(delivery: Delivery) -> str | None:
        value = read(decode(delivery.event.body))
        return str(value) if isinstance(value, str | int) and str(value) else None

    return key
