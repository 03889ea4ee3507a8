"""The configuration as a whole: what changed since a version, and telling everybody who must know."""

from collections.abc import Iterable
from dataclasses import dataclass

from redis.asyncio import Redis

from relay.domain.model import Application, ApplicationId, Endpoint, EndpointId, Source, SourceUid
from relay.store import keys
from relay.store.records import Kind, Records
from relay.store.scripts import script
from relay.store.vault import Vault

SOURCE = Kind("source", Source, id_of=lambda s: s.uid, folder=lambda _: "source", sealed=("auth",))
APPLICATION = Kind(
    "application",
    Application,
    id_of=lambda a: a.id,
    folder=lambda _: "application",
    uid=lambda a: a.uid,
    contents=lambda a: f"endpoint/{a.id}",
)
ENDPOINT = Kind(
    "endpoint",
    Endpoint,
    id_of=lambda e: e.id,
    folder=lambda e: f"endpoint/{e.app_id}",
    uid=lambda e: e.uid and f"{e.app_id}/{e.uid}",
    owner=lambda e: e.app_id,
    owners="application",
    sealed=("keys", "headers", "auth", "client_certificate"),
)


@dataclass(frozen=True, slots=True)
class Changes:
    """What differs from an older version of the configuration. None: it was deleted."""

    version: int
    complete: bool
    """This is all there is: forget whatever is not in it."""
    sources: dict[SourceUid, Source | None]
    applications: dict[ApplicationId, Application | None]
    endpoints: dict[EndpointId, Endpoint | None]


class Configuration:
    """Reads changes, and announces them."""

    def __init__(self, redis: Redis, vault: Vault) -> None:
        self._redis = redis
        self._sources = Records(redis, vault, SOURCE)
        self._applications = Records(redis, vault, APPLICATION)
        self._endpoints = Records(redis, vault, ENDPOINT)

    async def changes(self, since: int) -> Changes:
        """What changed after version `since`; 0, or a version that the store is behind of, gives everything.

        An object may be newer than the version that is given with it, never older. Raises StoreUnavailable when a
        secret can't be opened.
        """
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.get(keys.config("version"))
            pipe.zrangebyscore(keys.config("changes"), f"({since}", "+inf")
            newest, members = await pipe.execute()
        version = int(newest or 0)
        if version < since:  # The store was emptied, or put back to an older state.
            return await self.changes(0)
        ids: dict[str, list[str]] = {"source": [], "application": [], "endpoint": []}
        for member in members:
            kind, _, object_id = bytes(member).decode().partition("/")
            ids[kind].append(object_id)
        sources = await self._sources.read(ids["source"])
        applications = await self._applications.read(ids["application"])
        endpoints = await self._endpoints.read(ids["endpoint"])
        keep_deleted = since > 0
        return Changes(
            version,
            not keep_deleted,
            {SourceUid(i): s for i, s in sources.items() if s or keep_deleted},
            {ApplicationId(i): a for i, a in applications.items() if a or keep_deleted},
            {EndpointId(i): e for i, e in endpoints.items() if e or keep_deleted},
        )

    async def version(self) -> int:
        """The newest version: it counts changes."""
        return int(await self._redis.get(keys.config("version")) or 0)

    async def source_uids(self) -> list[SourceUid]:
        """The uids of all sources."""
        return [SourceUid(bytes(uid).decode()) for uid in await self._redis.hkeys(keys.config("sources"))]  # type: ignore[misc]

    async def sources_of(self, application: Application | None) -> list[SourceUid]:
        """The sources whose events an application may get; none for one that is gone."""
        if application is None:
            return []
        return await self.source_uids() if application.sources is None else list(application.sources)

    async def announce(self, version: int, sources: Iterable[SourceUid]) -> None:
        """Make pages of these sources that were matched against an older version be matched again; tell the workers.

        Call it before the change is answered, so that an endpoint that was answered misses nothing.
        """
        raising = script("raise_subscriptions")
        async with self._redis.pipeline(transaction=False) as pipe:
            for source in dict.fromkeys(sources):
                pipe.eval(raising.text, 1, keys.subscriptions(source), str(version))
            pipe.publish(keys.CHANGED_CHANNEL, version)
            await pipe.execute()
