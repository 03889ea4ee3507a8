"""Deleting what is left of deleted sources, applications and endpoints: a job that continues wherever it was cut short.

A deletion removes a record and leaves a tombstone, in one step. This job removes the rest and then the tombstone. Any
number of workers may do it at once, and the API does the first second of it, so that small things are gone at once.
"""

import asyncio
from collections.abc import Awaitable, Collection
from contextlib import suppress

import structlog

from relay.domain.model import ApplicationId, EndpointId, SourceUid
from relay.errors import NotFound, StoreRefused, StoreUnavailable
from relay.store.api_keys import ApiKeys
from relay.store.configuration import Configuration
from relay.store.deleted_lanes import DeletedLanes
from relay.store.deleted_sources import DeletedSources
from relay.store.deletions import Deletion, Deletions
from relay.store.endpoints import Endpoints

log = structlog.get_logger()

IDLE_S = 2.0
BUSY_S = 0.05
"""Between two rounds: a worker that has a lane needs a moment to let it go."""
ENDPOINTS_AT_ONCE = 100
"""Endpoints of an application that one round deletes."""


class Deleting:
    """Ends deletions."""

    def __init__(
        self,
        *,
        deletions: Deletions,
        configuration: Configuration,
        endpoints: Endpoints,
        api_keys: ApiKeys,
        lanes: DeletedLanes,
        sources: DeletedSources,
    ) -> None:
        self._deletions = deletions
        self._configuration = configuration
        self._endpoints = endpoints
        self._api_keys = api_keys
        self._lanes = lanes
        self._sources = sources
        self._woken = asyncio.Event()
        self._raised: set[str] = set()
        """Deletions that pages are matched without already, as far as this process knows."""

    def wake(self) -> None:
        """Something may have been deleted."""
        self._woken.set()

    async def forever(self) -> None:
        """Look for what was deleted until cancelled. Redis may go away and come back."""
        while True:
            pending = False
            try:
                pending = await self.round()
            except (StoreUnavailable, StoreRefused) as error:
                log.warning("deleting_interrupted", error=str(error))
            with suppress(TimeoutError):
                async with asyncio.timeout(BUSY_S if pending else IDLE_S):
                    await self._woken.wait()
            self._woken.clear()

    async def run(self, *, within_s: float) -> bool:
        """Go on for a while; True: nothing is left to delete. Raises StoreUnavailable."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while await self.round():  # noqa: ASYNC110 - what is waited for happens in the store
                    await asyncio.sleep(BUSY_S)
                return True
        return False

    async def round(self) -> bool:
        """Take every deletion a step further; False: there was none. Raises StoreUnavailable."""
        pending = await self._deletions.pending()
        await self._raise_subscriptions(pending)
        for deletion in pending:
            if deletion.kind == "application":
                await self._step(self._application(deletion, pending))
            elif deletion.kind == "source":
                await self._step(self._source(deletion))
        await self._step(self._lanes_of([deletion for deletion in pending if deletion.kind == "endpoint"]))
        return bool(pending)

    async def _step(self, step: Awaitable[list[Deletion]]) -> None:
        """Take a step, and end the deletions that it gives. One that can't go on is in nobody's way."""
        try:
            for deletion in await step:
                await self._deletions.end(deletion)
        except Exception as error:
            if isinstance(error, StoreUnavailable):
                raise
            log.exception("deletion_failed")

    async def _raise_subscriptions(self, pending: Collection[Deletion]) -> None:
        """Have pages matched again that were matched before: who deleted may have died before it did that."""
        new = {deletion.name: deletion for deletion in pending if deletion.name not in self._raised}
        known = await self._configuration.source_uids() if new else []
        for source in known:
            about = [each.version for each in new.values() if each.sources is None or source in each.sources]
            if about:
                await self._configuration.announce(0, [source], matched=max(about))
        self._raised = {deletion.name for deletion in pending}

    async def _source(self, deletion: Deletion) -> list[Deletion]:
        return [deletion] if await self._sources.empty(SourceUid(deletion.id), deletion) else []

    async def _application(self, deletion: Deletion, pending: Collection[Deletion]) -> list[Deletion]:
        """Delete some of its keys, and some of its endpoints with their own tombstones, until it has none any more.

        Its posts go last: as long as one of its endpoints is being deleted, their lanes are worked on.
        """
        application = ApplicationId(deletion.id)
        found = await self._endpoints.ids(application, limit=ENDPOINTS_AT_ONCE)
        for endpoint in found:
            with suppress(NotFound):  # Another worker was quicker.
                await self._endpoints.delete(application, endpoint)
        keys = await self._api_keys.delete_some(application, limit=ENDPOINTS_AT_ONCE)
        if found or keys:
            return []
        if deletion.posts is None:
            return [deletion]
        if any(each.kind == "endpoint" and each.posts == deletion.posts for each in pending):
            return []
        return [deletion] if await self._sources.empty(deletion.posts, deletion) else []

    async def _lanes_of(self, deletions: Collection[Deletion]) -> list[Deletion]:
        """Drop waiting deliveries of some endpoints, in every source: their application may have had others before.

        And in the posts of their application.
        """
        endpoints, left = [EndpointId(deletion.id) for deletion in deletions], set[EndpointId]()
        for source in await self._configuration.source_uids() if endpoints else ():
            left |= await self._lanes.empty(source, endpoints)
        for posts in {deletion.posts for deletion in deletions if deletion.posts}:
            left |= await self._lanes.empty(posts, [EndpointId(each.id) for each in deletions if each.posts == posts])
        return [deletion for deletion in deletions if deletion.id not in left]
