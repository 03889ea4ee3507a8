"""Sources, applications and endpoints as this process knows them: a mirror that follows the configuration."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Literal

from relay.domain import envelope
from relay.domain.erasures import Erased, Erasure
from relay.domain.links import EventLinks
from relay.domain.matching import Matcher, unfit_reason, wants
from relay.domain.model import Application, ApplicationId, Endpoint, EndpointId, Source, SourceUid, StoredEvent
from relay.domain.operational import wanted_types
from relay.domain.posting import PostMatcher, wants_post
from relay.domain.rates import Bounds, Budget, bounds_of
from relay.domain.readers import privacy_of, protected
from relay.domain.streams import posts_of
from relay.errors import Unreadable
from relay.outbound.callbacks import CallbackSender
from relay.outbound.preparing import PreparedEndpoint
from relay.pipeline.catalogue_changes import apply, binds, matters
from relay.pipeline.troubles import Troubles, names_of
from relay.store.configuration import APPLICATION, ENDPOINT, Changes, Configuration, UnreadableRecord

Standing = Literal["known", "unreadable", "gone"]


class Catalogue:
    """The mirror. `refresh` brings it up to date; who listens is told which endpoints changed.

    An object is known, or gone, or there and unreadable: then nothing is polled or sent for it, and events are kept for
    it. An endpoint is unfit when its filter, or its application, can't be used: events are kept for it, unchecked.
    """

    def __init__(
        self,
        configuration: Configuration,
        sender: CallbackSender | None = None,
        *,
        troubles: Troubles | None = None,
        links: EventLinks | None = None,
    ) -> None:
        """`sender` prepares endpoints for callbacks, and `links` makes what they include. None: there are none."""
        self._configuration = configuration
        self._sender = sender
        self._troubles = troubles
        self._links = links
        self.version = 0
        self.sources: dict[SourceUid, Source] = {}
        self.streams: frozenset[SourceUid] = frozenset()
        """The sources, and the posts of applications that have any: whatever can have deliveries."""
        self.reports: frozenset[str] | None = None
        """The types of operational events about attempts that operational endpoints want; None: there are none."""
        self._applications: dict[ApplicationId, Application] = {}
        self._endpoints: dict[EndpointId, Endpoint] = {}
        self._erasures: dict[str, Erasure] = {}
        self.erased: Erased | None = None
        """Whom rows must not bring back; None: nobody was erased."""
        self.unreadable: dict[str, UnreadableRecord] = {}
        self._unfit: dict[EndpointId, str | None] = {}
        """What was found out since the endpoint, or its application, changed."""
        self._matchers: dict[SourceUid, Matcher] = {}
        self._post_matchers: dict[ApplicationId, PostMatcher] = {}
        self._changed: set[SourceUid] = set()
        self._refreshing = asyncio.Lock()
        self._listeners: list[Callable[[EndpointId], None]] = []

    def listen(self, listener: Callable[[EndpointId], None]) -> None:
        """Call `listener` with the id of each endpoint that is made, changed or deleted from now on, and of each whose
        application is."""
        self._listeners.append(listener)

    def endpoint(self, endpoint: EndpointId) -> Endpoint | None:
        """An endpoint, or None if there is none (any more), or it can't be read: see `standing`."""
        known = self._endpoints.get(endpoint)
        return known if known is not None and self._has_application(known) else None

    @property
    def endpoints(self) -> Mapping[EndpointId, Endpoint]:
        """All endpoints that can be read."""
        return self._endpoints

    def standing(self, endpoint: EndpointId) -> Standing:
        """Whether an endpoint is known, there but unreadable, or gone: then its application may be gone, too."""
        if self.endpoint(endpoint) is not None:
            return "known"
        record = self.unreadable.get(f"endpoint/{endpoint}")
        glimpse = record.glimpse if record else None
        return "unreadable" if isinstance(glimpse, Endpoint) and self._has_application(glimpse) else "gone"

    def unfit(self, endpoint: EndpointId) -> str | None:
        """Why nothing can be sent to an endpoint until it is corrected; None: it is fit, or gone."""
        if (record := self.unreadable.get(f"endpoint/{endpoint}")) is not None:
            return f"its record can't be read: {record.why}"
        if (known := self._endpoints.get(endpoint)) is None:
            return None
        if (record := self.unreadable.get(f"application/{known.app_id}")) is not None:
            return f"its application's record can't be read: {record.why}"
        if (application := self._applications.get(known.app_id)) is None:
            return None
        if endpoint not in self._unfit:
            self._unfit[endpoint] = unfit_reason(application, known)
        return self._unfit[endpoint]

    def passes(self, endpoint: Endpoint, event: StoredEvent) -> bool:
        """Whether an endpoint gets an event that was put into its lane while it was unfit.

        Raises Unreadable when it (still, or again) is: then the event has to wait.
        """
        application = self._applications.get(endpoint.app_id)
        if application is None or (reason := self.unfit(endpoint.id)) is not None:
            raise Unreadable(reason if application else "its application can't be read, or is gone")
        data = envelope.data_of(event)
        if event.post is not None:
            return wants_post(endpoint, event.post, data)
        if application.sources is not None and data["source"] not in application.sources:
            return False
        return wants(application, endpoint, event.types, data)

    def is_off(self, endpoint_id: EndpointId) -> bool:
        """Whether nothing may be sent to an endpoint, as far as this process knows."""
        endpoint = self.endpoint(endpoint_id)
        return endpoint is None or endpoint.disabled or endpoint.paused or self.unfit(endpoint_id) is not None

    def prepared(self, endpoint: Endpoint) -> PreparedEndpoint:
        """What is made of an endpoint once, for all of its callbacks."""
        assert self._sender is not None  # noqa: S101 - only workers send
        return self._sender.prepare(endpoint)

    def body_for(self, endpoint: Endpoint, event: StoredEvent, type_code: int) -> bytes:
        """The body of a callback: the bytes that are signed and sent. Raises Unreadable if the application is none."""
        application = self._applications.get(endpoint.app_id)
        if application is None:
            raise Unreadable(f"application {endpoint.app_id} can't be read, or is gone")
        if not application.privacy and not endpoint.privacy and not endpoint.include:
            return envelope.body(event, type_code)
        privacy = privacy_of(application, endpoint)
        body = protected(event, type_code, privacy)
        if not endpoint.include or self._links is None:
            return body
        return self._links.added(body, event, endpoint, privacy.rules)

    def bounds(self, endpoint: Endpoint) -> Bounds:
        """What bounds the callbacks to an endpoint: its own limits, those of its budget and of its application."""
        application = self._applications.get(endpoint.app_id)
        of_all = None if application is None else application.rate_limit
        steady = (endpoint.id, endpoint.rate_limit), (endpoint.app_id, of_all)
        return bounds_of(steady, self._shares(endpoint))

    def lookup_bounds(self, endpoint: Endpoint) -> Bounds:
        """What bounds its lookups: their own rate, and the windows of the endpoint and of its budget."""
        lookup = endpoint.request.lookup
        steady = f"lookup:{endpoint.id}", None if lookup is None else lookup.rate_limit
        return bounds_of([steady], self._shares(endpoint), counts_callbacks=False)

    def _shares(self, endpoint: Endpoint) -> Iterator[tuple[str, Budget]]:
        if endpoint.rates or endpoint.concurrency:
            yield endpoint.id, Budget(rates=endpoint.rates, concurrency=endpoint.concurrency)
        application = self._applications.get(endpoint.app_id)
        if endpoint.budget is not None and application is not None and endpoint.budget in application.budgets:
            yield f"{endpoint.app_id}/{endpoint.budget}", application.budgets[endpoint.budget]

    def matcher(self, source: SourceUid) -> Matcher:
        """Which endpoints want which events of a source; made again after a change."""
        matcher = self._matchers.get(source)
        if matcher is None:
            matcher = self._matchers[source] = self._new_matcher(source)
        return matcher

    def _new_matcher(self, source: SourceUid) -> Matcher:
        glimpses = [record.glimpse for record in self.unreadable.values()]
        unread = [each for each in glimpses if isinstance(each, Application)]
        dim = [each for each in glimpses if isinstance(each, Endpoint)]
        applications = [a for a in (*self._applications.values(), *unread) if _takes(a, source)]
        # A poller has no lane: it reads events by their numbers.
        endpoints = [each for each in (*self._endpoints.values(), *dim) if each.type != "poller"]
        owners = {a.id for a in unread}
        unfit = {e.id for e in dim} | {e.id for e in endpoints if e.app_id in owners}
        return Matcher(applications, endpoints, unfit=unfit)

    def post_matcher(self, application: Application) -> PostMatcher:
        """Which of an application's endpoints want which of its posts; made again after a change."""
        matcher = self._post_matchers.get(application.id)
        if matcher is None:
            glimpses = [record.glimpse for record in self.unreadable.values()]
            dim = [each for each in glimpses if isinstance(each, Endpoint)]
            called = [each for each in (*self._endpoints.values(), *dim) if each.type != "poller"]
            matcher = PostMatcher(application, called, unfit={each.id for each in dim})
            self._post_matchers[application.id] = matcher
        return matcher

    async def is_stale(self) -> bool:
        """Whether the configuration has another version: for a process that may have missed a notice."""
        if self._troubles is not None and self._troubles.are_untold():
            return True
        return await self._configuration.version() != self.version

    async def refresh(self) -> None:
        """Read what changed. Raises StoreUnavailable; then nothing here changed."""
        async with self._refreshing:
            before = set(self.sources)
            changes = await self._configuration.changes(self.version)
            endpoints = self._take_in(changes)
            for endpoint in endpoints:
                for listener in self._listeners:
                    listener(endpoint)
            if self._troubles is not None:
                await self._troubles.look(changes)
            self._changed |= set(changes.sources) | (before - set(self.sources))

    @property
    def has_changed(self) -> bool:
        """Whether `take_changed` would give any sources."""
        return bool(self._changed)

    def take_changed(self) -> set[SourceUid]:
        """The sources that changed or went since the last call. Every refresh adds to them."""
        changed, self._changed = self._changed, set()
        return changed

    def put_back(self, changed: Iterable[SourceUid]) -> None:
        """Note sources again that were taken, because nothing could be done about them."""
        self._changed.update(changed)

    def _take_in(self, changes: Changes) -> set[EndpointId]:
        """Gives the endpoints for which something is different."""
        changed, tenants = set(changes.endpoints), self._tenants_changed(changes)
        is_matched_anew = (
            changes.complete
            or bool(changes.sources or changes.unreadable)
            or matters(APPLICATION, self._applications, changes.applications)
            or matters(ENDPOINT, self._endpoints, changes.endpoints)
        )
        if changes.complete:
            unread = {EndpointId(record.id) for record in self.unreadable.values() if record.kind == "endpoint"}
            changed |= set(self._endpoints) | unread
            self.sources, self._applications, self._endpoints, self.unreadable = {}, {}, {}, {}
            self._erasures = {}
        for name in names_of(changes):
            self.unreadable.pop(name, None)
        apply(self.sources, changes.sources)
        apply(self._applications, changes.applications)
        apply(self._endpoints, changes.endpoints)
        apply(self._erasures, changes.erasures)
        if changes.complete or changes.erasures:
            self.erased = Erased(self._erasures.values()) if self._erasures else None
        for record in changes.unreadable:
            self.unreadable[record.name] = record
            match record.kind:
                case "source":
                    self.sources.pop(SourceUid(record.id), None)
                case "application":
                    self._applications.pop(ApplicationId(record.id), None)
                case "endpoint":
                    self._endpoints.pop(EndpointId(record.id), None)
                    changed.add(EndpointId(record.id))
        changed |= {endpoint.id for endpoint in self._endpoints.values() if endpoint.app_id in tenants}
        for endpoint in changed:
            self._unfit.pop(endpoint, None)
        if is_matched_anew:
            self._matchers.clear()
            self._post_matchers.clear()
            self.reports = wanted_types(self._endpoints.values())
        self.streams = frozenset((*self.sources, *self._posts()))
        self.version = changes.version
        return changed

    @property
    def posts(self) -> list[SourceUid]:
        """The streams of posts."""
        return sorted(self.streams - self.sources.keys())

    def _posts(self) -> Iterator[SourceUid]:
        glimpses = (record.glimpse for record in self.unreadable.values())
        unread = (each for each in glimpses if isinstance(each, Application))
        return (posts_of(each.id) for each in (*self._applications.values(), *unread) if each.posts)

    def _tenants_changed(self, changes: Changes) -> set[str]:
        """The applications whose endpoints are concerned: a new name is nothing to them."""
        changed = {record.id for record in changes.unreadable if record.kind == "application"}
        for application, after in changes.applications.items():
            before = self._applications.get(application)
            if before is None or after is None or binds(before) != binds(after):
                changed.add(application)
        return changed

    def _has_application(self, endpoint: Endpoint) -> bool:
        return endpoint.app_id in self._applications or f"application/{endpoint.app_id}" in self.unreadable


def _takes(application: Application, source: SourceUid) -> bool:
    return application.sources is None or source in application.sources
