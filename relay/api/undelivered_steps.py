"""The steps of a walk over all that was not delivered, in both directions: dead, dropped and waiting deliveries."""

from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec
from msgspec import structs

from relay.api.schemas.undelivered import State
from relay.domain.matching import unfit_reason
from relay.domain.model import Application, ApplicationId, Endpoint, EndpointId, SourceUid
from relay.domain.references import Reference
from relay.store.timeline import above
from relay.store.undelivered import DroppedDelivery
from relay.wiring import Stores

N = TypeVar("N", bound=str)

READ_AT_ONCE = 250
LAST_SOURCE = SourceUid("~")
"""Behind all uids of sources."""
MOST = 2**53


class AtDead(msgspec.Struct, frozen=True, tag="dead", array_like=True):
    """At a delivery that was given up."""

    source: SourceUid
    at_ms: int
    member: str


class AtDropped(msgspec.Struct, frozen=True, tag="dropped", array_like=True):
    """At a delivery that was dropped."""

    source: SourceUid
    endpoint: EndpointId
    at_ms: int
    member: str


class AtWaiting(msgspec.Struct, frozen=True, tag="waiting", array_like=True):
    """In the lanes of an endpoint: at its delivery number `count` from `source`, the first being 1; 0: before it."""

    application: ApplicationId
    endpoint: EndpointId
    source: SourceUid = SourceUid("")
    count: int = 0


Place = AtDead | AtDropped | AtWaiting
"""From where a walk continues, in either direction, without what is there."""


@dataclass(frozen=True, slots=True)
class Found:
    """A delivery that was not delivered."""

    source: SourceUid
    endpoint: Endpoint
    reference: Reference
    state: State
    reason: str
    dead_at_ms: int | None = None
    message: str | None = None
    """What is known of its message, if that need not be kept for it."""
    row: str | None = None
    place: Place | None = None
    """Where it stands in the walk."""


Steps = AsyncGenerator[tuple[Place, Found | None], None]
"""Where each step leads, and what was found there, if it is asked for."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What is asked for."""

    sources: Sequence[SourceUid]
    """In order."""
    application: Application | None = None
    endpoint: Endpoint | None = None
    state: State | None = None

    def holds(self, endpoint: Endpoint) -> bool:
        """Whether an endpoint's deliveries are asked for."""
        if self.endpoint is not None:
            return endpoint.id == self.endpoint.id
        return self.application is None or endpoint.app_id == self.application.id


async def dead_steps(stores: Stores, scope: Scope, start: AtDead | None, *, back: bool) -> Steps:
    """By source, the newest first; all backwards if `back`."""
    for source in _from(start.source if start else None, scope.sources, back=back):
        edge = (start.at_ms, start.member) if start is not None and source == start.source else None
        edge = above(edge) if edge and back else edge
        while batch := await stores.undelivered.dead(source, edge=edge, newer=back, limit=READ_AT_ONCE):
            endpoints = await stores.endpoints.read(dead.endpoint for dead in batch)
            for dead in batch:
                place = AtDead(source, dead.at_ms, dead.member)
                endpoint = endpoints.get(dead.endpoint)
                if endpoint is None or dead.reference is None or not scope.holds(endpoint):
                    yield place, None
                else:
                    yield place, Found(source, endpoint, dead.reference, "dead", dead.reason, dead.at_ms, place=place)
            edge = batch[-1].at_ms, batch[-1].member
            edge = above(edge) if back else edge


async def dropped_steps(stores: Stores, scope: Scope, start: AtDropped | None, *, back: bool) -> Steps:
    """By source and endpoint, the newest first; all backwards if `back`."""
    for source in _from(start.source if start else None, scope.sources, back=back):
        here = start if start is not None and source == start.source else None
        endpoints = await stores.undelivered.dropped_for(source)
        known = await stores.endpoints.read(endpoints)
        for uid in _from(here.endpoint if here else None, endpoints, back=back):
            endpoint = known.get(uid)
            if endpoint is None or not scope.holds(endpoint):
                continue
            edge = (here.at_ms, here.member) if here is not None and uid == here.endpoint else None
            edge = above(edge) if edge and back else edge
            while batch := await stores.undelivered.dropped(source, uid, edge=edge, newer=back, limit=READ_AT_ONCE):
                for each in batch:
                    place = AtDropped(source, uid, each.at_ms, each.member)
                    yield place, _found_dropped(place, endpoint, each)
                edge = batch[-1].at_ms, batch[-1].member
                edge = above(edge) if back else edge


def _found_dropped(place: AtDropped, endpoint: Endpoint, each: DroppedDelivery) -> Found | None:
    if each.reference is None:
        return None
    source, reference = place.source, each.reference
    return Found(source, endpoint, reference, "dead", each.reason, each.at_ms, each.message, each.row, place)


async def waiting_steps(stores: Stores, scope: Scope, start: AtWaiting | None, *, back: bool) -> Steps:
    """By endpoint and source, the oldest first; all backwards if `back`."""
    owners: dict[ApplicationId, Application | None] = {}
    async for endpoint in _endpoints(stores, scope, start, back=back):
        here = AtWaiting(endpoint.app_id, endpoint.id, *((LAST_SOURCE,) if back else ()))
        if start is not None and start.endpoint == endpoint.id:
            here = start
        yield here, None
        if endpoint.app_id not in owners:  # Endpoints come by application.
            owners = {endpoint.app_id: await stores.applications.owner_of(endpoint)}
        reason = why_it_waits(owners[endpoint.app_id], endpoint)
        if reason is None:
            continue
        for source in _from(here.source or None, scope.sources, back=back):
            lane = here if source == here.source else structs.replace(here, source=source, count=MOST if back else 0)
            yield lane, None
            async for place, reference in _lane(stores, lane, back=back):
                yield place, reference and Found(source, endpoint, reference, "waiting", reason, place=place)


async def _lane(
    stores: Stores, start: AtWaiting, *, back: bool
) -> AsyncGenerator[tuple[AtWaiting, Reference | None], None]:
    """The waiting deliveries of one lane, from behind `start` on, or on the way back from before it."""
    read = stores.undelivered.waiting
    if not back:
        first = start.count
        while batch := await read(start.source, start.endpoint, first=first, limit=READ_AT_ONCE):
            for index, reference in batch:
                yield structs.replace(start, count=index + 1), reference
            first += len(batch)
        return
    end = min(start.count - 1, await stores.undelivered.count_waiting(start.source, start.endpoint))
    while end > 0:
        first = max(0, end - READ_AT_ONCE)
        for index, reference in reversed(await read(start.source, start.endpoint, first=first, limit=end - first)):
            yield structs.replace(start, count=index + 1), reference
        end = first


def _from(start: N | None, names: Iterable[N], *, back: bool) -> list[N]:
    """Names in order from one of them on, that one included."""
    if back:
        return [name for name in sorted(names, reverse=True) if start is None or name <= start]
    return [name for name in sorted(names) if start is None or name >= start]


def why_it_waits(owner: Application | None, endpoint: Endpoint) -> str | None:
    """Why nothing is sent to an endpoint; None: nothing keeps its events from being sent."""
    if endpoint.disabled:
        return "endpoint_disabled"
    if endpoint.paused:
        return "endpoint_paused"
    return "endpoint_unfit" if owner is None or unfit_reason(owner, endpoint) else None


async def _endpoints(
    stores: Stores, scope: Scope, start: AtWaiting | None, *, back: bool
) -> AsyncGenerator[Endpoint, None]:
    """The endpoints that are asked for, in the order of their applications' ids and their own, from `start` on."""
    if scope.endpoint is not None:
        yield scope.endpoint
        return
    last = None
    if start is not None:
        last = start.application, start.endpoint
        for endpoint in (await stores.endpoints.read([start.endpoint])).values():
            yield endpoint
    while batch := await _behind(stores, scope, last, back=back):
        for endpoint in batch:
            yield endpoint
        last = batch[-1].app_id, batch[-1].id


async def _behind(
    stores: Stores, scope: Scope, last: tuple[ApplicationId, EndpointId] | None, *, back: bool
) -> Sequence[Endpoint]:
    if scope.application is None:
        page = await stores.endpoints.everywhere(after=last, limit=READ_AT_ONCE, descending=back)
    else:
        page = await stores.endpoints.page(
            scope.application.id, after=last and last[1], limit=READ_AT_ONCE, descending=back
        )
    return page.values
