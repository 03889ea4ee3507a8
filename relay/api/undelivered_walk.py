"""A walk over all that was not delivered, step by step, that can be left anywhere and taken up again."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

import msgspec
from msgspec import structs

from relay.api.schemas.undelivered import State
from relay.domain.matching import unfit_reason
from relay.domain.model import Application, ApplicationId, Endpoint, EndpointId, SourceUid
from relay.domain.references import Reference
from relay.errors import NotFound, Unreadable
from relay.store.undelivered import DroppedDelivery
from relay.wiring import Stores

STEPS_AT_MOST = 2_000
"""Deliveries, lanes and endpoints that one request looks at, whatever of them is asked for: half a second."""
READ_AT_ONCE = 250


class AtDead(msgspec.Struct, frozen=True, tag="dead", array_like=True):
    """Behind a delivery that was given up."""

    source: SourceUid
    at_ms: int
    member: str


class AtDropped(msgspec.Struct, frozen=True, tag="dropped", array_like=True):
    """Behind a delivery that was dropped."""

    source: SourceUid
    endpoint: EndpointId
    at_ms: int
    member: str


class AtWaiting(msgspec.Struct, frozen=True, tag="waiting", array_like=True):
    """In the lanes of an endpoint: behind its first `first` deliveries from `source`, and all of lesser sources."""

    application: ApplicationId
    endpoint: EndpointId
    source: SourceUid = SourceUid("")
    first: int = 0


Place = AtDead | AtDropped | AtWaiting
"""From where a walk goes on."""


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


async def walk(stores: Stores, scope: Scope, *, start: Place | None, limit: int) -> tuple[list[Found], Place | None]:
    """Up to `limit` deliveries from `start` on, and where to go on; None: that was all.

    By source the dead ones, newest first; then by source and endpoint those that were dropped; then by endpoint what
    waits for those that are disabled or paused.
    """
    parts: list[Steps] = []
    if scope.state != "waiting" and not isinstance(start, AtDropped | AtWaiting):
        parts.append(_dead(stores, scope, start))
    if scope.state != "waiting" and not isinstance(start, AtWaiting):
        parts.append(_dropped(stores, scope, start if isinstance(start, AtDropped) else None))
    if scope.state != "dead":
        parts.append(_waiting(stores, scope, start if isinstance(start, AtWaiting) else None))
    found: list[Found] = []
    last, steps = start, 0
    for part in parts:
        async with aclosing(part):
            async for place, each in part:
                if steps == STEPS_AT_MOST or (each is not None and len(found) == limit):
                    return found, last
                found += [] if each is None else [each]
                last, steps = place, steps + 1
    return found, None


async def _dead(stores: Stores, scope: Scope, start: AtDead | None) -> Steps:
    for source in scope.sources:
        if start is not None and source < start.source:
            continue
        before = (start.at_ms, start.member) if start is not None and source == start.source else None
        while batch := await stores.undelivered.dead(source, before=before, limit=READ_AT_ONCE):
            endpoints = await stores.endpoints.read(dead.endpoint for dead in batch)
            for dead in batch:
                place = AtDead(source, dead.at_ms, dead.member)
                endpoint = endpoints.get(dead.endpoint)
                if endpoint is None or dead.reference is None or not scope.holds(endpoint):
                    yield place, None
                else:
                    yield place, Found(source, endpoint, dead.reference, "dead", dead.reason, dead.at_ms)
            before = batch[-1].at_ms, batch[-1].member


async def _dropped(stores: Stores, scope: Scope, start: AtDropped | None) -> Steps:
    for source in scope.sources:
        if start is not None and source < start.source:
            continue
        here = start if start is not None and source == start.source else None
        endpoints = await stores.undelivered.dropped_for(source)
        known = await stores.endpoints.read(endpoints)
        for uid in endpoints:
            endpoint = known.get(uid)
            if endpoint is None or not scope.holds(endpoint) or (here is not None and uid < here.endpoint):
                continue
            before = (here.at_ms, here.member) if here is not None and uid == here.endpoint else None
            while batch := await stores.undelivered.dropped(source, uid, before=before, limit=READ_AT_ONCE):
                for each in batch:
                    place = AtDropped(source, uid, each.at_ms, each.member)
                    yield place, _found_dropped(source, endpoint, each)
                before = batch[-1].at_ms, batch[-1].member


def _found_dropped(source: SourceUid, endpoint: Endpoint, each: DroppedDelivery) -> Found | None:
    if each.reference is None:
        return None
    return Found(source, endpoint, each.reference, "dead", each.reason, each.at_ms, each.message, each.row)


async def _waiting(stores: Stores, scope: Scope, start: AtWaiting | None) -> Steps:
    owners: dict[ApplicationId, Application | None] = {}
    async for endpoint in _endpoints(stores, scope, start):
        here = AtWaiting(endpoint.app_id, endpoint.id)
        if start is not None and start.endpoint == endpoint.id:
            here = start
        yield here, None
        if endpoint.app_id not in owners:  # Endpoints come by application.
            owners = {endpoint.app_id: await _owner(stores, endpoint)}
        reason = _why_it_waits(owners[endpoint.app_id], endpoint)
        if reason is None:
            continue
        for source in scope.sources:
            if source < here.source:
                continue
            first = here.first if source == here.source else 0
            yield structs.replace(here, source=source, first=first), None
            while batch := await stores.undelivered.waiting(source, endpoint.id, first=first, limit=READ_AT_ONCE):
                for place, reference in batch:
                    behind = structs.replace(here, source=source, first=place + 1)
                    found = reference and Found(source, endpoint, reference, "waiting", reason)
                    yield behind, found
                first += len(batch)


async def _owner(stores: Stores, endpoint: Endpoint) -> Application | None:
    """The application of an endpoint; None: it can't be read, or is being deleted."""
    try:
        return await stores.applications.get(endpoint.app_id)
    except (NotFound, Unreadable):
        return None


def _why_it_waits(owner: Application | None, endpoint: Endpoint) -> str | None:
    """Why nothing is sent to an endpoint; None: nothing keeps its events from being sent."""
    if endpoint.disabled:
        return "endpoint_disabled"
    if endpoint.paused:
        return "endpoint_paused"
    return "endpoint_unfit" if owner is None or unfit_reason(owner, endpoint) else None


async def _endpoints(stores: Stores, scope: Scope, start: AtWaiting | None) -> AsyncGenerator[Endpoint, None]:
    """The endpoints that are asked for, in the order of their applications' ids and their own, from `start` on."""
    if scope.endpoint is not None:
        yield scope.endpoint
        return
    last = None
    if start is not None:
        last = start.application, start.endpoint
        for endpoint in (await stores.endpoints.read([start.endpoint])).values():
            yield endpoint
    while batch := await _behind(stores, scope, last):
        for endpoint in batch:
            yield endpoint
        last = batch[-1].app_id, batch[-1].id


async def _behind(stores: Stores, scope: Scope, last: tuple[ApplicationId, EndpointId] | None) -> Sequence[Endpoint]:
    if scope.application is None:
        page = await stores.endpoints.everywhere(after=last, limit=READ_AT_ONCE)
    else:
        page = await stores.endpoints.page(scope.application.id, after=last and last[1], limit=READ_AT_ONCE)
    return page.values
