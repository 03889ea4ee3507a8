"""Endpoints: subscribers of one application, found by id or by the uid that their owner gave them."""

from collections.abc import Callable, Iterable

import msgspec
from redis.asyncio import Redis

from relay.domain.model import ApplicationId, Endpoint, EndpointId, SourceUid
from relay.errors import NotFound
from relay.store.conditions import Conditions
from relay.store.configuration import APPLICATION, ENDPOINT, Configuration
from relay.store.idempotency import Once, settle
from relay.store.identifiers import new_id
from relay.store.lanes import Lanes
from relay.store.records import Records
from relay.store.vault import Vault

PREFIX = "ep_"
WORTH_A_TRY = ("disabled", "paused", "url", "keys", "headers", "auth", "client_certificate")
"""A change of these may help an endpoint that was put aside."""


class Endpoints:
    """All endpoints."""

    def __init__(self, redis: Redis, vault: Vault) -> None:
        self._redis = redis
        self._records = Records(redis, vault, ENDPOINT)
        self._applications = Records(redis, vault, APPLICATION)
        self._configuration = Configuration(redis, vault)
        self._lanes = Lanes(redis)
        self._conditions = Conditions(redis)

    async def get(self, application: ApplicationId, id_or_uid: str) -> Endpoint:
        """Read one of an application by its id or uid. Raises NotFound."""
        kept = await self._records.find(await self._id(application, id_or_uid))
        if kept is None or kept.value.app_id != application:
            raise _missing(application, id_or_uid)
        return kept.value

    async def page(
        self, application: ApplicationId, *, after: str | None, limit: int, descending: bool = False
    ) -> list[Endpoint]:
        """Up to `limit` endpoints in the order in which they were made, from behind the id `after` on."""
        return await self._records.page(f"endpoint/{application}", after=after, limit=limit, descending=descending)

    async def everywhere(self, *, after: tuple[ApplicationId, EndpointId] | None, limit: int) -> list[Endpoint]:
        """Up to `limit` endpoints of all applications, in the order of both ids, from behind `after` on."""
        behind = None if after is None else "/".join(after)
        return await self._records.page("endpoint", after=behind, limit=limit)

    async def among(self, application: ApplicationId, ids: Iterable[EndpointId]) -> dict[EndpointId, Endpoint]:
        """Those of some endpoints that are the application's."""
        return {i: e for i, e in (await self.read(ids)).items() if e.app_id == application}

    async def read(self, ids: Iterable[EndpointId]) -> dict[EndpointId, Endpoint]:
        """Some endpoints by their ids, of whatever application; those that are gone are left out."""
        found = await self._records.read(dict.fromkeys(ids))
        return {e.id: e for e in found.values() if e is not None}

    async def named(self, endpoint: EndpointId) -> Endpoint:
        """Read one by its id, of whatever application. Raises NotFound."""
        if (kept := await self._records.find(endpoint)) is None:
            raise NotFound(f"there is no endpoint {endpoint}")
        return kept.value

    async def create(
        self, make: Callable[[EndpointId], Endpoint], *, now_ms: int, once: Once | None = None
    ) -> Endpoint:
        """Make one under a new id, or give the one that the same request made before.

        Raises Conflict when its uid is taken, NotFound when its application is gone.
        """
        endpoint_id = EndpointId(await settle(self._redis, once, new_id(PREFIX, now_ms=now_ms)))
        saved = await self._records.put(endpoint_id, lambda before: before or make(endpoint_id))
        await self._configuration.announce(saved.version, await self._sources(saved.after.app_id))
        return saved.after

    async def change(
        self, application: ApplicationId, id_or_uid: str, change: Callable[[Endpoint], Endpoint]
    ) -> Endpoint:
        """Change one; what is put aside for it goes on if the change may help. Raises NotFound or Conflict."""

        def make(endpoint: Endpoint | None) -> Endpoint:
            if endpoint is None or endpoint.app_id != application:
                raise _missing(application, id_or_uid)
            return _count_order(endpoint, change(endpoint))

        saved = await self._records.put(await self._id(application, id_or_uid), make)
        sources = await self._sources(application)
        await self._configuration.announce(saved.version, sources)
        if _may_go_on(saved.before, saved.after):
            await self._conditions.forget(saved.after.id)
            for source in sources:
                await self._lanes.unpark(source, saved.after.id)
        return saved.after

    async def delete(self, application: ApplicationId, id_or_uid: str) -> None:
        """Delete one with whatever waits for it. Raises NotFound."""
        endpoint = await self.get(application, id_or_uid)
        version, _ = await self._records.delete(endpoint.id)
        await self._configuration.announce(version, await self._sources(application))
        # Of every source: the application may have had others before.
        for source in await self._configuration.source_uids():
            await self._lanes.drop(source, endpoint.id)

    async def _sources(self, application: ApplicationId) -> list[SourceUid]:
        # Read after the write: a source or a change of the application that comes later raises a later version itself.
        kept = await self._applications.find(application)
        return await self._configuration.sources_of(kept.value if kept else None)

    async def _id(self, application: ApplicationId, id_or_uid: str) -> str:
        if id_or_uid.startswith(PREFIX):
            return id_or_uid
        return await self._records.id_of_uid(f"{application}/{id_or_uid}")


def _missing(application: ApplicationId, id_or_uid: str) -> NotFound:
    return NotFound(f"application {application} has no endpoint {id_or_uid}")


def _count_order(before: Endpoint, after: Endpoint) -> Endpoint:
    changed = (before.order, before.order_key) != (after.order, after.order_key)
    return msgspec.structs.replace(after, order_version=before.order_version + changed)


def _may_go_on(before: Endpoint | None, after: Endpoint) -> bool:
    return not (after.disabled or after.paused) and any(getattr(before, f) != getattr(after, f) for f in WORTH_A_TRY)
