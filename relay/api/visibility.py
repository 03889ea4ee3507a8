"""What an application can see: the events of its sources that pass its filter, and the attempts of its endpoints."""

from collections.abc import Callable, Sequence
from typing import Any

from relay.api.feeds import Feed, Item
from relay.concurrency import all_of
from relay.domain import envelope
from relay.domain.identity import posted_id
from relay.domain.matching import compiled
from relay.domain.model import Application, Attempt, Endpoint, MessageId, SourceUid, StoredEvent
from relay.domain.references import Reference, resent, tag_of
from relay.errors import Invalid, NotFound, Unreadable
from relay.store.timeline import Place, above
from relay.wiring import Stores

MESSAGE = "msg_"
"""What the ids of messages begin with."""

Sees = Callable[[StoredEvent], bool]
EventItem = Item[int, StoredEvent]
AttemptItem = Item[Place, Attempt]


def sight(application: Application) -> Sees:
    """Whether an event of one of its sources passes the application's filter. Its posts are its own."""
    if application.filter is None:
        return lambda event: True
    passes = passes_of(application)
    return lambda event: event.post is not None or passes(envelope.decode(event.body))


def passes_of(application: Application) -> Callable[[dict[str, Any]], bool]:
    """Whether the `data` of a row passes the application's filter. Raises Unreadable when the filter cannot be used."""
    try:
        passes = compiled(application.filter)
    except Invalid as error:
        raise Unreadable(
            f"this release cannot use the filter of application {application.id}: {error}. Save another filter"
        ) from None
    return passes or (lambda _: True)


def events_feed(stores: Stores) -> Feed[int, StoredEvent]:
    """The events of sources, by number."""
    return Feed(
        read=stores.events.page, at_ms=lambda event: event.stored_at_ms, place=int, bottom=0, above=lambda n: n + 1
    )


def attempts_feed(stores: Stores, endpoint: Endpoint) -> Feed[Place, Attempt]:
    """The attempts of one endpoint, by the time when they began."""

    async def read(
        source: SourceUid, *, edge: Place | None, newer: bool, limit: int
    ) -> Sequence[tuple[Place, Attempt | None]]:
        return await stores.attempts.of_endpoint(source, endpoint.id, edge=edge, newer=newer, limit=limit)

    return Feed(
        read=read,
        at_ms=lambda attempt: attempt.started_at_ms,
        place=Place,
        bottom=(0, ""),
        above=above,
        edge_at=lambda at_ms: (at_ms, ""),
    )


async def find_event(application: Application, message: str, stores: Stores) -> EventItem:
    """Find a message of an application by its id, or the `eventId` of a post.

    Raises NotFound, also for a message that it cannot see.
    """
    sees = sight(application)
    sought = MessageId(message) if message.startswith(MESSAGE) else posted_id(application.id, message)
    for source in await stores.configuration.streams_of(application):
        found = await stores.events.find(source, sought)
        if found and sees(found[1]):
            return Item(source, *found)
    raise NotFound(f"application {application.id} has no message {message}, or the relay no longer keeps it")


async def attempts_of(item: EventItem, application: Application, stores: Stores) -> list[tuple[Attempt, Endpoint]]:
    """The attempts to send an event to the application's own endpoints, newest first."""
    attempts = await stores.attempts.of_event(item.source, item.place, tag_of(item.value.id))
    ours = await stores.endpoints.among(application.id, (attempt.endpoint_id for attempt in attempts))
    newest_first = sorted(attempts, key=_when, reverse=True)
    return [(attempt, ours[attempt.endpoint_id]) for attempt in newest_first if attempt.endpoint_id in ours]


async def events_of(items: Sequence[AttemptItem], application: Application, stores: Stores) -> list[StoredEvent | None]:
    """The event of each attempt. None: the relay no longer keeps it, or the application cannot see it.

    An event that was sent before the application's filter was narrowed can be one that the application must not see.
    """
    sees = sight(application)
    numbers: dict[SourceUid, set[int]] = {}
    for item in items:
        numbers.setdefault(item.source, set()).add(item.value.seq)
    found = {source: await stores.events.read(source, some) for source, some in numbers.items()}
    events = [found[item.source].get(item.value.seq) for item in items]
    # Another event can have its number by now.
    is_its_own = (e and tag_of(e.id) == item.value.tag for item, e in zip(items, events, strict=True))
    return [e if e and own and sees(e) else None for e, own in zip(events, is_its_own, strict=True)]


async def are_last(items: Sequence[AttemptItem], stores: Stores) -> list[bool]:
    """Whether each attempt is the last one to send its event to its endpoint."""
    of_events = await all_of(*(stores.attempts.of_event(item.source, item.value.seq, item.value.tag) for item in items))
    return [
        all(
            _when(attempt) <= _when(item.value) for attempt in attempts if attempt.endpoint_id == item.value.endpoint_id
        )
        for item, attempts in zip(items, of_events, strict=True)
    ]


def _when(attempt: Attempt) -> tuple[int, int]:
    return attempt.started_at_ms, attempt.number


def reference(item: EventItem, endpoint: Endpoint) -> Reference:
    """A resent delivery of an event to an endpoint, as the first of its types that the endpoint subscribed to."""
    return resent(item.place, item.value, endpoint.event_types)
