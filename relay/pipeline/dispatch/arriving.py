"""From references that the store gave to what the core takes in: endpoints, conditions and events are looked up."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from relay.domain.envelope import is_code, is_expunged
from relay.domain.model import Endpoint, EndpointId, SourceUid, StoredEvent
from relay.domain.rates import FREE
from relay.domain.references import Reference, parse_reference, tag_of
from relay.domain.sending.arrivals import Arrival, Claim
from relay.domain.sending.core import Core
from relay.domain.settling import held_until_ms, is_settled
from relay.errors import Unreadable
from relay.pipeline.catalogue import Catalogue
from relay.pipeline.clock import Clock
from relay.pipeline.dispatch.settling import Due, Settling
from relay.store.bodies import Bodies
from relay.store.conditions import Conditions
from relay.store.deletions import Deletions

REREAD_S = 0.2
"""How long notices of events that lost their content are gathered: a person who is erased can have many events."""


class Arriving:
    """Looks up what the core must know before references arrive."""

    def __init__(
        self,
        *,
        core: Core,
        catalogue: Catalogue,
        bodies: Bodies,
        conditions: Conditions,
        deletions: Deletions,
        clock: Clock,
        settling: Settling,
    ) -> None:
        self._settling = settling
        self._core = core
        self._catalogue = catalogue
        self._bodies = bodies
        self._conditions = conditions
        self._deletions = deletions
        self._clock = clock
        self._expunged: set[SourceUid] = set()
        """Sources with events that lost their content, until lanes are claimed again for it."""

    def expunged(self, source: SourceUid | None, follow: Callable[[], None]) -> None:
        """Events of a source (None: of any) lost their content: whatever is in memory of them is read again.

        `follow` is called when the core has been told, in a moment.
        """
        self._bodies.clear()
        if not self._expunged:
            asyncio.get_running_loop().call_later(REREAD_S, self._reread, follow)
        self._expunged |= self._catalogue.streams if source is None else {source}

    def _reread(self, follow: Callable[[], None]) -> None:
        # What was on its way from the store when the notice came is in memory by now.
        self._bodies.clear()
        sources, self._expunged = self._expunged, set()
        for source in sources:
            self._core.reread(source, self._clock.now_ms())
        follow()

    async def introduce(self, source: SourceUid, endpoints: Sequence[EndpointId]) -> None:
        """Put the endpoints of lanes of a source that are claimed into the core. Raises StoreUnavailable."""
        if not endpoints:
            return
        if any(self._catalogue.is_off(endpoint) for endpoint in endpoints):
            # Made, enabled or deleted a moment ago? The configuration knows.
            await self._catalogue.refresh()
        for endpoint in endpoints:
            if self._catalogue.standing(endpoint) == "gone":
                # A lane that is left of it, in a store that lost its deletion or was never told of it.
                await self._deletions.bury(endpoint, source, version=self._catalogue.version)
        conditions = await self._conditions.read(endpoints)
        now_ms = self._clock.now_ms()
        for endpoint in endpoints:
            if not self._core.is_known(endpoint):
                self.configure(endpoint)
            self._core.learnt(endpoint, conditions[endpoint], now_ms)

    def configure(self, endpoint_id: EndpointId) -> None:
        """Put an endpoint into the core as it is now."""
        endpoint = self._catalogue.endpoint(endpoint_id)
        bounds = self._catalogue.bounds(endpoint) if endpoint is not None else FREE
        is_off = self._catalogue.is_off(endpoint_id)
        self._core.configured(endpoint_id, endpoint, bounds, is_off=is_off, now_ms=self._clock.now_ms())

    async def arrivals(
        self, source: SourceUid, references: Mapping[EndpointId, Sequence[bytes]]
    ) -> dict[EndpointId, list[Arrival]]:
        """References with their events, by endpoint. One round trip, but for delays. Raises StoreUnavailable."""
        parsed = {endpoint: [(stored, _parse(stored)) for stored in some] for endpoint, some in references.items()}
        wanted = [reference for some in parsed.values() for _, reference in some if reference is not None]
        events = await self._bodies.read(source, wanted) if wanted else {}
        found: dict[EndpointId, list[Arrival]] = {}
        for endpoint_id, some in parsed.items():
            arrivals = found[endpoint_id] = []
            for stored, reference in some:
                event = events.get(reference.number) if reference is not None else None
                # Its number may have another event by now, which another reference means.
                if event is not None and reference is not None and tag_of(event.id) != reference.tag:
                    event = None
                is_wanted = event is None or self._is_wanted(endpoint_id, reference, event)
                if event is not None and is_expunged(event):
                    is_wanted = False
                arrivals.append(Arrival(stored, reference, event, is_wanted))
            endpoint = self._catalogue.endpoint(endpoint_id)
            if endpoint is not None and endpoint.delay_s:
                found[endpoint_id] = await self._held_back(source, endpoint, arrivals)
        return found

    async def _held_back(self, source: SourceUid, endpoint: Endpoint, arrivals: Sequence[Arrival]) -> list[Arrival]:
        """Those for an endpoint with a delay: some have to wait, or end because a newer revision was confirmed."""
        now_ms = self._clock.now_ms()
        held: list[Arrival] = []
        dues: dict[int, Due] = {}
        for at, each in enumerate(arrivals):
            reference, event = each.reference, each.event
            if reference is not None and event is not None and each.is_wanted:
                if until_ms := held_until_ms(endpoint, reference, event, now_ms):
                    each = each._replace(until_ms=until_ms, in_order=True)  # noqa: PLW2901
                elif not is_settled(endpoint, reference, event):
                    dues[at] = Due(endpoint, reference, event)
            held.append(each)
        settled = await self._settling.settle(source, list(dues.values()))
        for at, (until_ms, superseded) in zip(dues, settled, strict=True):
            held[at] = held[at]._replace(until_ms=until_ms, superseded=superseded)
        return held

    def _is_wanted(self, endpoint_id: EndpointId, reference: Reference | None, event: StoredEvent) -> bool:
        """Whether an event that came while the endpoint's filter could not be used passes it by now."""
        endpoint = self._catalogue.endpoint(endpoint_id)
        if reference is None or not reference.unchecked or endpoint is None:
            return True
        try:
            return self._catalogue.passes(endpoint, event)
        except Unreadable:
            # It is unfit again, and off for that: the event waits.
            return True

    async def claims(
        self,
        source: SourceUid,
        references: Mapping[EndpointId, Sequence[bytes]],
        blocked: Mapping[EndpointId, Mapping[str, int]],
        *,
        wanted: int = 0,
    ) -> list[Claim]:
        """Lanes that are held from now on, of which so many references were wanted. Raises StoreUnavailable."""
        await self.introduce(source, list(references))
        arrivals = await self.arrivals(source, references)
        return [Claim(endpoint, some, blocked[endpoint], len(some) < wanted) for endpoint, some in arrivals.items()]


def _parse(stored: bytes) -> Reference | None:
    try:
        reference = parse_reference(stored)
    except ValueError:
        return None
    return reference if is_code(reference.type_code) else None
