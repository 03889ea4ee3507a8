"""Applications: tenants, found by id or by the uid that their owner gave them."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from redis.asyncio import Redis

from relay.domain.model import Application, ApplicationId, Endpoint
from relay.errors import NotFound
from relay.store.configuration import APPLICATION, Configuration
from relay.store.endpoints import Endpoints
from relay.store.idempotency import Once, settle
from relay.store.identifiers import new_id
from relay.store.records import Records
from relay.store.vault import Vault

PREFIX = "app_"
DELETED_AT_ONCE = 20
"""Each takes a connection for a moment."""


class Applications:
    """All applications."""

    def __init__(self, redis: Redis, vault: Vault) -> None:
        self._redis = redis
        self._records = Records(redis, vault, APPLICATION)
        self._configuration = Configuration(redis, vault)
        self._endpoints = Endpoints(redis, vault)

    async def get(self, id_or_uid: str) -> Application:
        """Read one by its id or uid. Raises NotFound."""
        kept = await self._records.find(await self._id(id_or_uid))
        if kept is None:
            raise NotFound(f"there is no application {id_or_uid}")
        return kept.value

    async def page(self, *, after: str | None, limit: int, descending: bool = False) -> list[Application]:
        """Up to `limit` applications in the order in which they were made, from behind the id `after` on."""
        return await self._records.page("application", after=after, limit=limit, descending=descending)

    async def create(
        self, make: Callable[[ApplicationId], Application], *, now_ms: int, once: Once | None = None
    ) -> Application:
        """Make one under a new id, or give the one that the same request made before.

        Raises Conflict when its uid is taken.
        """
        application_id = await settle(self._redis, once, new_id(PREFIX, now_ms=now_ms))
        return await self._put(application_id, lambda made_id, before: before or make(made_id))

    async def change(self, id_or_uid: str, change: Callable[[Application], Application]) -> Application:
        """Change one. Raises NotFound, or Conflict when its new uid is taken."""

        def make(_: ApplicationId, application: Application | None) -> Application:
            if application is None:
                raise NotFound(f"there is no application {id_or_uid}")
            return change(application)

        return await self._put(await self._id(id_or_uid), make)

    async def delete(self, id_or_uid: str) -> None:
        """Delete one with its endpoints and whatever waits for them. Raises NotFound."""
        application = await self.get(id_or_uid)
        while endpoints := await self._endpoints.page(application.id, after=None, limit=DELETED_AT_ONCE):
            async with asyncio.TaskGroup() as group:
                for endpoint in endpoints:
                    group.create_task(self._delete(endpoint))
        version, application = await self._records.delete(application.id)
        await self._configuration.announce(version, await self._configuration.sources_of(application))

    async def _delete(self, endpoint: Endpoint) -> None:
        with suppress(NotFound):  # Somebody else was quicker.
            await self._endpoints.delete(endpoint.app_id, endpoint.id)

    async def _put(
        self, application_id: str, make: Callable[[ApplicationId, Application | None], Application]
    ) -> Application:
        saved = await self._records.put(application_id, lambda before: make(ApplicationId(application_id), before))
        # Those that it had and those that it has: both kinds of page were matched against something else.
        sources = [s for a in (saved.before, saved.after) for s in await self._configuration.sources_of(a)]
        await self._configuration.announce(saved.version, sources)
        return saved.after

    async def _id(self, id_or_uid: str) -> str:
        return id_or_uid if id_or_uid.startswith(PREFIX) else await self._records.id_of_uid(id_or_uid)
