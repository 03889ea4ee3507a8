"""The oldest undelivered messages of all sources."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

from litestar import get
from litestar.params import QueryParameter

from relay.api.access import Reach, needs
from relay.api.dependencies import PrincipalGiven, StoresGiven
from relay.api.schemas.undelivered import OldestUndeliveredOut, UndeliveredOut
from relay.api.undelivered import scope_of, shown
from relay.api.undelivered_steps import Found, Scope, why_it_waits
from relay.domain.model import Application, Endpoint, EndpointId
from relay.domain.names import NAME, UID_MOST
from relay.domain.principals import Resource
from relay.store.fronts import Entry, Front, Heads
from relay.store.oldest import LISTS_MOST
from relay.wiring import Stores

LOOKED_AT = 100_000
"""Deliveries that one request looks at in the order of their age: about half a second."""
READ_AT_ONCE = 250


@get(
    "/stats/oldest-undelivered",
    tags=["statistics"],
    summary="List the oldest undelivered messages",
    opt=needs(Resource.MESSAGE, Reach.EVERY),
)
async def oldest_undelivered(
    principal: PrincipalGiven,
    stores: StoresGiven,
    limit: Annotated[int, QueryParameter(ge=1, le=50, description="How many messages to return at most")] = 10,
    app: Annotated[str | None, QueryParameter(min_length=1, max_length=UID_MOST, pattern=NAME)] = None,
) -> OldestUndeliveredOut:
    """List the messages that have been undelivered longest, of all sources and posts, oldest first.

    Dead and dropped messages count from the time when the relay gave up. Messages that wait for a disabled, paused or
    unfit endpoint count from the time when the relay stored them. A waiting message that the relay no longer has is not
    listed.
    """
    scope = await scope_of(stores, principal, app=app)
    search = Search(stores, scope, scope.application if principal.application else None)
    data = await search.oldest(limit)
    return OldestUndeliveredOut(data=data, complete=search.complete)


@dataclass(slots=True)
class Search:
    """The search of one request."""

    stores: Stores
    scope: Scope
    reader: Application | None
    """Whose filter hides messages. None: nobody's."""
    complete: bool = True
    own: set[EndpointId] | None = None
    """The endpoints of the application that is asked for. None: all endpoints."""
    known: dict[EndpointId, Endpoint] = field(default_factory=dict)
    reasons: dict[EndpointId, str] = field(default_factory=dict)
    """Why deliveries wait for endpoints."""

    async def oldest(self, limit: int) -> list[UndeliveredOut]:
        """Take the oldest from all lists, of which those with the oldest heads are read on."""
        reader = self.stores.statistics.oldest
        fronts = await self._fronts()
        await reader.fill(fronts, self.own, limit=limit)
        heads, looked_at = Heads(fronts), 0
        data: list[UndeliveredOut] = []
        while heads and len(data) < limit:
            if looked_at >= LOOKED_AT:
                self.complete = False
                break
            some = heads.pop(limit)
            short = [front for front in some if len(front.entries) < limit and not front.ended]
            looked_at += await reader.fill(short, self.own, limit=limit)
            until_ms = heads.until_ms(some)
            data += await self._shown([entry for front in some for entry in front.take(until_ms)], limit - len(data))
            self.complete = self.complete and not any(front.doubtful for front in some)
            heads.push(some)
        return data

    async def _fronts(self) -> list[Front]:
        oldest, sources = self.stores.statistics.oldest, self.scope.sources
        if self.scope.application is not None:
            ids = await self.stores.endpoints.ids(self.scope.application.id, limit=LISTS_MOST + 1)
            self.own, self.complete = set(ids), len(ids) <= LISTS_MOST
        given_up, are_all_given_up = await oldest.given_up(sources, self.own)
        queues, are_all_queues = await oldest.queues(sources, self.own)
        self.reasons = await self._reasons({endpoint for endpoint, _ in queues})
        held = {pair: names for pair, names in queues.items() if pair[0] in self.reasons}
        waiting, are_all_waiting = await oldest.waiting(held)
        self.complete = self.complete and are_all_given_up and are_all_queues and are_all_waiting
        return [*given_up, *waiting]

    async def _reasons(self, ids: set[EndpointId]) -> dict[EndpointId, str]:
        """The endpoints to which nothing is sent."""
        self.known |= await self.stores.endpoints.read(ids)
        owners = await self.stores.applications.read({each.app_id for each in self.known.values()})
        reasons = {each.id: why_it_waits(owners.get(each.app_id), each) for each in self.known.values()}
        return {each: reason for each, reason in reasons.items() if reason is not None}

    async def _shown(self, entries: Sequence[Entry], most: int) -> list[UndeliveredOut]:
        """Up to `most` of some entries that the principal can see, oldest first."""
        self.known |= await self.stores.endpoints.read({entry.endpoint for entry in entries} - self.known.keys())
        found = [self._found(entry) for entry in sorted(entries, key=_age) if entry.endpoint in self.known]
        data: list[UndeliveredOut] = []
        first, size = 0, most
        while first < len(found) and len(data) < most:
            data += await shown(self.stores, found[first : first + size], self.reader)
            first, size = first + size, min(2 * size, READ_AT_ONCE)
        return data[:most]

    def _found(self, entry: Entry) -> Found:
        at_ms, source, endpoint, reference, why, message, row = entry
        if why is None:
            return Found(source, self.known[endpoint], reference, "waiting", self.reasons[endpoint])
        return Found(source, self.known[endpoint], reference, "dead", why, at_ms, message, row)


def _age(entry: Entry) -> tuple[int, str, str, int]:
    return entry.at_ms, entry.source, entry.endpoint, entry.reference.number
