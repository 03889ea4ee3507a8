"""What was not delivered, and why."""

from collections.abc import Sequence
from typing import Annotated

from litestar import Controller, get
from litestar.di import Provide
from litestar.params import QueryParameter

from relay.api.access import Reach, needs, own_application
from relay.api.dependencies import PagingGiven, PrincipalGiven, StoresGiven
from relay.api.iterators import SealedIterators
from relay.api.paging import BACK, provide_newest_first
from relay.api.schemas.common import ListOut, moment
from relay.api.schemas.undelivered import State, UndeliveredOut
from relay.api.undelivered_steps import Found, Place, Scope
from relay.api.undelivered_walk import walk
from relay.api.visibility import sight
from relay.domain.envelope import type_name
from relay.domain.event_types import EVENT_TYPES, POSTED
from relay.domain.model import Application, Endpoint, EndpointId, SourceUid, StoredEvent
from relay.domain.names import NAME, UID_MOST, source_uid
from relay.domain.outcomes import FINAL
from relay.domain.principals import Principal, Resource
from relay.domain.references import Reference, tag_of
from relay.domain.streams import are_posts, posts_of
from relay.errors import Fault, Invalid, NotFound
from relay.store.endpoints import PREFIX
from relay.wiring import Stores

ENDED_BY_AN_ATTEMPT = frozenset({"schedule_used_up", "verdict_rule", *FINAL})
"""Reasons that `relay.domain.judging` gives a delivery that it gives up."""
Name = Annotated[str | None, QueryParameter(min_length=1, max_length=UID_MOST, pattern=NAME)]


class UndeliveredController(Controller):
    """`/api/v1/undelivered`."""

    path = "/undelivered"
    tags = ["undelivered"]  # noqa: RUF012 - the framework's own attribute
    opt = needs(Resource.MESSAGE, Reach.EVERY)
    dependencies = {"paging": Provide(provide_newest_first, sync_to_thread=False)}  # noqa: RUF012

    @get("/", summary="List undelivered messages")
    async def list_undelivered(
        self,
        principal: PrincipalGiven,
        stores: StoresGiven,
        paging: PagingGiven,
        app: Name = None,
        endpoint: Name = None,
        source: Name = None,
        which: Annotated[State | None, QueryParameter(name="state")] = None,
    ) -> ListOut[UndeliveredOut]:
        """List dead deliveries, and deliveries that wait for a disabled or paused endpoint.

        For each source, the list has the dead deliveries that can be resent, newest first. Then come dropped deliveries
        by source and endpoint, newest first, and waiting deliveries by endpoint, oldest first. Pending deliveries,
        which wait for their next attempt, are not listed. With `order=ascending`, the list is the same backwards. A
        page can be short without being the last: see `done`.
        """
        scope = await scope_of(stores, principal, app=app, endpoint=endpoint, source=source, state=which)
        places = SealedIterators(stores.vault, f"undelivered|{principal.application or ''}")
        start: Place | None = places.read(paging.place, Place) if paging.place is not None else None  # type: ignore[arg-type]
        found, end = await walk(stores, scope, start=start, limit=paging.limit, back=paging.descending is paging.back)
        before, behind = (found[0].place if found else None), end
        if paging.back:
            found.reverse()
            before, behind = end or (found[0].place if found else None), before
        return ListOut(
            data=await shown(stores, found, scope.application if principal.application else None),
            iterator=places.write(behind) if behind else None,
            prev_iterator=BACK + places.write(before) if before and start else None,
            done=end is None,
        )


async def scope_of(
    stores: Stores,
    principal: Principal,
    *,
    app: str | None,
    endpoint: str | None = None,
    source: str | None = None,
    state: State | None = None,
) -> Scope:
    """What a request asks for, and its principal can see. Raises Invalid, NotFound or Unreadable."""
    application = None
    if named := app or principal.application:
        application = await own_application(principal, named, stores)
    if endpoint and not application and not endpoint.startswith(PREFIX):
        raise Invalid(Fault(("query", "endpoint"), "must be an id, or come with the app in which it is a uid"))
    one = None
    if endpoint and application:
        one = await stores.endpoints.get(application.id, endpoint)
    elif endpoint:
        one = await stores.endpoints.named(EndpointId(endpoint))
    own = application if principal.application else None
    streams = await (stores.configuration.streams_of(own) if own else _streams(stores, application, one))
    if source:
        uid = source_uid(source, path=("query", "source"))
        if uid not in streams:
            raise NotFound(f"there is no source {uid}")
        streams = [uid]
    return Scope(sorted(streams), application, one, state)


async def _streams(stores: Stores, application: Application | None, endpoint: Endpoint | None) -> list[SourceUid]:
    """Every source, and the posts of one application, or of all."""
    named = application.id if application else endpoint.app_id if endpoint else None
    posts = [posts_of(named)] if named else await stores.applications.posting()
    return [*await stores.sources.uids(), *posts]


async def shown(stores: Stores, found: Sequence[Found], reader: Application | None) -> list[UndeliveredOut]:
    """What was found, without events that a reader cannot see (None: it sees every event).

    Events that were stored before the filter of an application was narrowed can be such.
    """
    sees = sight(reader) if reader is not None else None
    numbers: dict[SourceUid, set[int]] = {}
    for each in found:
        numbers.setdefault(each.source, set()).add(each.reference.number)
    events = await stores.events.of(numbers)
    meant = [(each, _meant(each.reference, events[each.source])) for each in found]
    return [_show(each, event) for each, event in meant if event is None or sees is None or sees(event)]


def _meant(reference: Reference, events: dict[int, StoredEvent]) -> StoredEvent | None:
    event = events.get(reference.number)
    return event if event is not None and tag_of(event.id) == reference.tag else None


def _type(reference: Reference, event: StoredEvent | None) -> str | None:
    if event is not None:
        return type_name(event, reference.type_code)
    return None if reference.type_code == POSTED else EVENT_TYPES[reference.type_code]


def _show(found: Found, event: StoredEvent | None) -> UndeliveredOut:
    at_ms = event.stored_at_ms if found.dead_at_ms is None and event is not None else found.dead_at_ms
    # A reference counts the try that comes next; that of a delivery which an attempt ended names the attempt.
    untried = 0 if found.reason in ENDED_BY_AN_ATTEMPT else 1
    return UndeliveredOut(
        app_id=found.endpoint.app_id,
        endpoint_id=found.endpoint.id,
        endpoint_uid=found.endpoint.uid,
        endpoint_description=found.endpoint.description,
        source=None if are_posts(found.source) else found.source,
        msg_id=event.id if event else found.message,
        row_id=(event.row_id or None) if event else found.row,
        event_type=_type(found.reference, event),
        state=found.state,
        reason=found.reason,
        kept=event is not None,
        since=None if at_ms is None else moment(at_ms),
        attempts=found.reference.attempt - untried,
    )
