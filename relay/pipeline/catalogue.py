"""Sources, applications and endpoints as this process knows them: a mirror that follows the configuration."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from relay.domain.matching import Matcher
from relay.domain.model import Application, ApplicationId, Endpoint, EndpointId, Source, SourceUid
from relay.outbound.callbacks import CallbackSender, PreparedEndpoint
from relay.store.configuration import Changes, Configuration

K = TypeVar("K")
V = TypeVar("V")


class Catalogue:
    """The mirror. `refresh` brings it up to date; who listens is told which endpoints changed."""

    def __init__(self, configuration: Configuration, sender: CallbackSender) -> None:
        self._configuration = configuration
        self._sender = sender
        self.version = 0
        self.sources: dict[SourceUid, Source] = {}
        self._applications: dict[ApplicationId, Application] = {}
        self._endpoints: dict[EndpointId, Endpoint] = {}
        self._matchers: dict[SourceUid, Matcher] = {}
        self._refreshing = asyncio.Lock()
        self._listeners: list[Callable[[EndpointId], None]] = []

    def listen(self, listener: Callable[[EndpointId], None]) -> None:
        """Call `listener` with the id of each endpoint that is made, changed or deleted from now on."""
        self._listeners.append(listener)

    def endpoint(self, endpoint: EndpointId) -> Endpoint | None:
        """An endpoint, or None if there is none (any more)."""
        return self._endpoints.get(endpoint)

    def is_off(self, endpoint_id: EndpointId) -> bool:
        """Whether nothing may be sent to an endpoint, as far as this process knows."""
        endpoint = self._endpoints.get(endpoint_id)
        return endpoint is None or endpoint.disabled or endpoint.paused

    def prepared(self, endpoint: Endpoint) -> PreparedEndpoint:
        """What is made of an endpoint once, for all of its callbacks."""
        return self._sender.prepare(endpoint)

    def limits(self, endpoint: Endpoint) -> dict[str, int]:
        """The rate limits that bind an endpoint, by the name of their bucket: its own, and its application's."""
        application = self._applications.get(endpoint.app_id)
        bounds = ((endpoint.id, endpoint.rate_limit), (endpoint.app_id, application and application.rate_limit))
        return {bucket: limit for bucket, limit in bounds if limit}

    def endpoints_of(self, source: SourceUid) -> list[Endpoint]:
        """The endpoints whose applications take events of a source."""
        takers = {a.id for a in self._applications.values() if a.sources is None or source in a.sources}
        return [endpoint for endpoint in self._endpoints.values() if endpoint.app_id in takers]

    def matcher(self, source: SourceUid) -> Matcher:
        """Who wants which events of a source; made anew after a change."""
        matcher = self._matchers.get(source)
        if matcher is None:
            applications = [a for a in self._applications.values() if a.sources is None or source in a.sources]
            matcher = self._matchers[source] = Matcher(applications, self.endpoints_of(source))
        return matcher

    async def is_stale(self) -> bool:
        """Whether the configuration has another version: for whoever may have missed a notice."""
        return await self._configuration.version() != self.version

    async def refresh(self) -> set[SourceUid]:
        """Read what changed; gives the sources that did. Raises StoreUnavailable; then nothing here changed."""
        async with self._refreshing:
            changes = await self._configuration.changes(self.version)
            self._take_in(changes)
        return set(changes.sources)

    def _take_in(self, changes: Changes) -> None:
        changed = set(changes.endpoints)
        if changes.complete:
            changed |= set(self._endpoints)
            self.sources, self._applications, self._endpoints = {}, {}, {}
        _apply(self.sources, changes.sources)
        _apply(self._applications, changes.applications)
        _apply(self._endpoints, changes.endpoints)
        if changed or changes.applications or changes.sources or changes.complete:
            self._matchers.clear()
        self.version = changes.version
        for endpoint in changed:
            for listener in self._listeners:
                listener(endpoint)


def _apply(known: dict[K, V], changes: dict[K, V | None]) -> None:
    for key, value in changes.items():
        if value is None:
            known.pop(key, None)
        else:
            known[key] = value
