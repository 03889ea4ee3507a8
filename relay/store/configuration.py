"""The configuration as a whole: what changed since a version, and telling everybody who must know."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec
from redis.asyncio import Redis

from relay.domain.erasures import Erasure
from relay.domain.model import ROUTES, Application, ApplicationId, Endpoint, EndpointId, EndpointType, Source, SourceUid
from relay.domain.streams import posts_of
from relay.store import keys
from relay.store.erasures import ERASURE
from relay.store.record_form import VERSION, Kind
from relay.store.records import READ_AT_ONCE, Records
from relay.store.scripts import script
from relay.store.vault import Vault

T = TypeVar("T", bound=msgspec.Struct)


def _source_fault(source: Source) -> str | None:
    if not source.routes or not set(source.routes) <= set(ROUTES):
        return "it has a route that this release does not know, or none"
    return None if source.poll_interval_s > 0 and source.batch_size > 0 else "it has an interval or a batch of nothing"


def _limit_fault(limited: Application | Endpoint) -> str | None:
    return None if limited.rate_limit is None or limited.rate_limit > 0 else "it has a rate limit of nothing"


def _glimpse_application(application: str, _: str, fields: Mapping[str, Any]) -> Application:
    """An application that may not see less than the one that can't be read."""
    sources = _legible(fields, "sources", tuple[SourceUid, ...] | None)
    posts = _legible(fields, "posts", bool) is not False
    return Application(id=ApplicationId(application), name="", sources=sources, posts=posts)


def _glimpse_endpoint(endpoint: str, application: str, fields: Mapping[str, Any]) -> Endpoint:
    """An endpoint that does not want less than the one that can't be read."""
    types = _legible(fields, "event_types", tuple[str, ...] | None)
    kind: EndpointType = _legible(fields, "type", EndpointType) or "webhook"
    return Endpoint(id=EndpointId(endpoint), app_id=ApplicationId(application), url="", type=kind, event_types=types)


def _legible(fields: Mapping[str, Any], name: str, kind: Any) -> Any:
    """A field of an unreadable record; None where it can't be trusted."""
    if fields.get("v", VERSION) != VERSION:
        return None
    try:
        return msgspec.convert(fields.get(name), kind)
    except msgspec.ValidationError:
        return None


SOURCE = Kind("source", Source, id_of=lambda s: s.uid, folder=lambda _: "source", sealed=("auth",), fault=_source_fault)
APPLICATION = Kind(
    "application",
    Application,
    id_of=lambda a: a.id,
    folder=lambda _: "application",
    uid=lambda a: a.uid,
    sealed=("token_key",),
    matching=lambda a: (a.sources, a.filter, a.privacy),
    fault=_limit_fault,
    glimpse=_glimpse_application,
)
ENDPOINT = Kind(
    "endpoint",
    Endpoint,
    id_of=lambda e: e.id,
    folder=lambda e: f"endpoint/{e.app_id}",
    uid=lambda e: e.uid and f"{e.app_id}/{e.uid}",
    owner=lambda e: e.app_id,
    owners="application",
    sealed=("keys", "headers", "auth", "client_certificate", "secret_url"),
    matching=lambda e: (e.app_id, e.type, e.event_types, e.channels, e.filter),
    fault=_limit_fault,
    glimpse=_glimpse_endpoint,
)


@dataclass(frozen=True, slots=True)
class UnreadableRecord:
    """A record that this release can't read."""

    kind: str
    id: str
    why: str
    glimpse: Source | Application | Endpoint | None
    """What can be trusted of it: enough to keep events for the endpoints that should get them."""

    @property
    def name(self) -> str:
        """`{kind}/{id}`."""
        return f"{self.kind}/{self.id}"


@dataclass(slots=True)
class Changes:
    """What differs from an older version of the configuration. None: it was deleted."""

    version: int
    complete: bool
    """This is all there is: forget whatever is not in it."""
    sources: dict[SourceUid, Source | None]
    applications: dict[ApplicationId, Application | None]
    endpoints: dict[EndpointId, Endpoint | None]
    unreadable: list[UnreadableRecord]
    """What is there, and in none of the others."""
    erasures: dict[str, Erasure | None] = field(default_factory=dict)


async def newest_version(redis: Redis) -> int:
    """The version of a store's configuration; 0: nothing was ever written."""
    newest = await redis.zrange(keys.config("history"), -1, -1)
    return int(bytes(newest[0]).partition(b" ")[0]) if newest else 0


class Configuration:
    """Reads changes, and announces them."""

    def __init__(self, redis: Redis, vault: Vault) -> None:
        self._redis = redis
        self._sources = Records(redis, vault, SOURCE)
        self._applications = Records(redis, vault, APPLICATION)
        self._endpoints = Records(redis, vault, ENDPOINT)
        self._erasures = Records(redis, vault, ERASURE)

    async def changes(self, since: int) -> Changes:
        """What changed after version `since`.

        0 gives everything, and so does a version that is not in the store's history: it is too old, or the store lost
        it, and with it who knows what. An object may be newer than the version that is given with it, never older.
        """
        found = await self._redis.zrangebyscore(keys.config("history"), since, "+inf") if since else []
        entries = [bytes(member).decode().partition(" ")[::2] for member in found]
        if entries and int(entries[0][0]) == since:
            changed = dict.fromkeys(member for _, member in entries[1:])
            return await self._read(int(entries[-1][0]), changed, complete=False)
        version = await self.version()
        return await self._read(version, await self._index(), complete=True)

    async def _index(self) -> list[str]:
        """All objects, as they stand in the index."""
        members: list[str] = []
        while True:
            low = f"({members[-1]}" if members else "-"
            found = await self._redis.zrangebylex(keys.config("index"), low, "+", start=0, num=READ_AT_ONCE)
            members += [bytes(member).decode() for member in found]
            if len(found) < READ_AT_ONCE:
                return members

    async def _read(self, version: int, members: Iterable[str], *, complete: bool) -> Changes:
        owners: dict[str, dict[str, str]] = {"source": {}, "application": {}, "endpoint": {}, "erasure": {}}
        for member in members:
            kind, _, place = member.partition("/")
            if kind in owners:  # A newer release may have more.
                owner, _, object_id = place.rpartition("/")
                owners[kind][object_id] = owner
        changes = Changes(version, complete, {}, {}, {}, [])
        changes.sources = await self._some(self._sources, owners["source"], changes)  # type: ignore[assignment]
        changes.applications = await self._some(self._applications, owners["application"], changes)  # type: ignore[assignment]
        changes.endpoints = await self._some(self._endpoints, owners["endpoint"], changes)  # type: ignore[assignment]
        changes.erasures = await self._some(self._erasures, owners["erasure"], changes)
        return changes

    async def _some(self, records: Records[T], owners: Mapping[str, str], changes: Changes) -> dict[str, T | None]:
        found: dict[str, T | None] = {}
        for object_id, kept in (await records.read(owners)).items():
            if kept is None:
                if not changes.complete:
                    found[object_id] = None
            elif kept.value is not None:
                found[object_id] = kept.value
            else:
                glimpse: Any = records.kind.glimpse(object_id, owners[object_id], kept.fields)
                changes.unreadable.append(UnreadableRecord(records.kind.name, object_id, kept.why, glimpse))
        return found

    async def version(self) -> int:
        """The newest version; 0: nothing was ever written. Versions grow, and none is given twice."""
        return await newest_version(self._redis)

    async def source_uids(self) -> list[SourceUid]:
        """The uids of all sources."""
        return [SourceUid(bytes(uid).decode()) for uid in await self._redis.hkeys(keys.config("sources"))]  # type: ignore[misc]

    async def sources_of(self, application: Application | None) -> list[SourceUid]:
        """The sources whose events an application may get; none for one that is gone."""
        if application is None:
            return []
        known = await self.source_uids()
        return known if application.sources is None else [uid for uid in application.sources if uid in set(known)]

    async def streams_of(self, application: Application | None) -> list[SourceUid]:
        """The streams whose events an application may get: its sources, and its own posts if there are any."""
        posts = [posts_of(application.id)] if application is not None and application.posts else []
        return [*await self.sources_of(application), *posts]

    async def announce(self, version: int, sources: Iterable[SourceUid] = (), *, matched: int = 0) -> None:
        """Make pages of `sources` that were matched before version `matched` be matched again; tell the workers.

        Call it before the change is answered, so that an endpoint that was answered misses nothing. `version` 0:
        nothing was changed, and nobody has to be told.
        """
        raising = script("raise_subscriptions")
        async with self._redis.pipeline(transaction=False) as pipe:
            for source in dict.fromkeys(sources) if matched else ():
                pipe.eval(raising.text, 1, keys.subscriptions(source), str(matched))
            if version:
                pipe.publish(keys.CHANGED_CHANNEL, version)
            await pipe.execute()
