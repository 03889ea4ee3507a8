"""Operational events become posts of the operator's application, which the relay sends as any other post."""

import asyncio
from collections.abc import Sequence
from typing import Any

import structlog
from msgspec import structs

from relay.domain.identity import posted_id
from relay.domain.model import Application, ApplicationId, EndpointId, SourceUid
from relay.domain.operational import OPERATIONAL, is_about, operational_body, poison_data
from relay.domain.post import Post
from relay.domain.references import parse_reference, tag_of
from relay.errors import NotFound, StoreFull, StoreRefused, StoreUnavailable, Unreadable
from relay.pipeline.apart import ask_apart
from relay.pipeline.catalogue import Catalogue
from relay.pipeline.operational_subscriptions import OperationalSubscriptions
from relay.pipeline.posting import Posting
from relay.store.applications import Applications
from relay.store.chores import Chores
from relay.store.endpoints import Endpoints
from relay.store.events import Events
from relay.store.operations import Operation, Operations
from relay.store.outboxes import Outboxes
from relay.store.posts import Taken

log = structlog.get_logger()

AT_ONCE = 100
"""Operational events that one round posts at most, of the log and of each outbox."""
EVERY_S = 1.0
STREAMS_EVERY_S = 5.0
"""How often the outboxes of all streams are looked at."""
CHANGES = "changes"
"""Stands for the outbox of changes in the eventId of its events."""


class OperationalPosts:
    """Posts the log of operational events from the place where it last ended, and empties the outboxes."""

    def __init__(
        self,
        *,
        operations: Operations,
        outboxes: Outboxes,
        applications: Applications,
        endpoints: Endpoints,
        events: Events,
        subscriptions: OperationalSubscriptions,
        posting: Posting,
        chores: Chores,
    ) -> None:
        """`posting` has `subscriptions` as its mirror of the configuration."""
        self._operations = operations
        self._outboxes = outboxes
        self._applications = applications
        self._endpoints = endpoints
        self._events = events
        self._subscriptions = subscriptions
        self._posting = posting
        self._chores = chores

    async def run(self, catalogue: Catalogue) -> None:
        """Work until cancelled, while a catalogue has operational endpoints. Without them it costs nothing."""
        while True:
            more = False
            try:
                is_wanted = catalogue.reports is not None
                if is_wanted and await self._chores.take("operational", seconds=EVERY_S * 0.9):
                    more = await self.round(list(catalogue.streams))
            except (NotFound, Unreadable, StoreUnavailable, StoreRefused) as error:
                log.warning("operational_posts_interrupted", error=str(error))
            except Exception as error:  # noqa: BLE001 - a round that fails must not end the worker, nor the next round
                log.error("operational_posts_failed", error=repr(error), do="see docs/runbook.md")
            await asyncio.sleep(EVERY_S * 0.1 if more else EVERY_S)

    async def round(self, streams: Sequence[SourceUid]) -> bool:
        """Post the events of the log and of the outboxes, at most AT_ONCE of each; says whether there is more.

        Raises NotFound or Unreadable if the operator's application cannot be used, or StoreUnavailable.
        """
        to = await self._applications.get(OPERATIONAL)
        more = await self.post_log(to) >= AT_ONCE
        outboxes: list[SourceUid | None] = [None]
        if await self._chores.take("outboxes", seconds=STREAMS_EVERY_S * 0.9):
            sizes = await ask_apart("outboxes", streams, self._outboxes.sizes)
            outboxes += [stream for stream in streams if sizes.get(stream)]
        for stream in outboxes:
            try:
                more = await self.empty(to, stream) >= AT_ONCE or more
            except StoreFull:
                log.debug("outbox_waits", stream=stream or CHANGES)
        return more

    async def post_log(self, to: Application) -> int:
        """Post what was noted in the log since the last round; gives how many entries it passed.

        The place is written after the append, and an entry's position is its `eventId`: a crash in between, or two
        workers at once, repeat only what the application has. A full store takes them too, because one of them says
        that it is full, and the log bounds their number.
        """
        entries = await self._operations.page(after=await self._operations.posted(), limit=AT_ONCE, descending=False)
        for entry in entries:
            await self._post(to, entry, entry.position, is_urgent=True)
            await self._operations.set_posted(entry.position)
        return len(entries)

    async def empty(self, to: Application, stream: SourceUid | None) -> int:
        """Post the events of an outbox, and remove them there; gives how many entries that were.

        An entry is removed after the append, and its name is its `eventId`, as in `post_log`. What is older than all
        operational endpoints was written for others. Raises StoreFull.
        """
        entries = await self._outboxes.oldest(stream, limit=AT_ONCE)
        for entry in entries:
            if (told := await self._told(stream, entry)) is not None:
                await self._post(to, told, f"{stream or CHANGES}:{entry.position}", is_urgent=False)
            await self._outboxes.remove(stream, entry.position)
        return len(entries)

    async def _told(self, stream: SourceUid | None, entry: Operation) -> Operation | None:
        """An event with all of its data: the sweep that finds a delivery to be poison knows only its reference.

        None: the message or the endpoint is gone.
        """
        if stream is None or "reference" not in entry.data:
            return entry
        endpoint_id = EndpointId(entry.data["endpointId"])
        reference = parse_reference(entry.data["reference"].encode())
        event = (await self._events.read(stream, [reference.number])).get(reference.number)
        endpoint = (await self._endpoints.read([endpoint_id])).get(endpoint_id)
        if endpoint is None or event is None or tag_of(event.id) != reference.tag:
            return None
        return structs.replace(entry, data=poison_data(endpoint, reference, event, at_ms=entry.at_ms))

    async def _post(self, to: Application, entry: Operation, name: str, *, is_urgent: bool) -> None:
        """Post an event, unless it is about operational endpoints: each callback about them could cause the next."""
        if await self._subscriptions.is_stale():
            await self._subscriptions.refresh()
        data = await self._named(entry.data)
        is_own = is_about(data, to.id) or data.get("endpointId") in self._subscriptions.ids()
        if is_own or entry.at_ms < (0 if is_urgent else self._subscriptions.since_ms()):
            return
        post = Post(event_type=entry.kind, event_id=name)
        body = operational_body(entry.kind, entry.at_ms, data)
        try:
            await self._posting.post(to, posted_id(to.id, name), post, body, is_urgent=is_urgent)
        except Taken:
            return  # The process that posted it ended before it wrote that down, or another one is at it.

    async def _named(self, data: dict[str, Any]) -> dict[str, Any]:
        """The data of an event with the application of its endpoint, and that application's uid."""
        application = data.get("appId")
        if application is None and isinstance(endpoint := data.get("endpointId"), str):
            found = (await self._endpoints.read([EndpointId(endpoint)])).get(EndpointId(endpoint))
            application = found and found.app_id
        if application is None:
            return data
        return {"appId": application, "appUid": await self._uid(ApplicationId(application)), **data}

    async def _uid(self, application: ApplicationId) -> str | None:
        try:
            return (await self._applications.get(application)).uid
        except (NotFound, Unreadable):
            return None
