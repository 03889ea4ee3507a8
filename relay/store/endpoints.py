"""Endpoints: subscribers of one application, found by id or by the uid that their owner gave them."""

import re
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager

import msgspec
from msgspec import structs
from redis.asyncio import Redis

from relay.domain.credentials import EndpointAuth
from relay.domain.matching import filter_fault
from relay.domain.model import Application, ApplicationId, Endpoint, EndpointId, SourceUid
from relay.domain.operational import disabled_data, endpoint_events
from relay.domain.requests.correcting import cured
from relay.domain.streams import posts_of
from relay.errors import NotFound, Unreadable
from relay.store.conditions import Conditions
from relay.store.configuration import APPLICATION, ENDPOINT, Configuration
from relay.store.deletions import remainder
from relay.store.idempotency import Once
from relay.store.identifiers import new_id
from relay.store.lanes import Lanes
from relay.store.records import Note, Page, Records, Saved
from relay.store.vault import Vault

PREFIX = "ep_"
ENDPOINT_ID = re.compile(r"ep_[0-9A-Za-z]{1,64}")
WORTH_A_TRY = ("disabled", "paused", "url", "secret_url", "keys", "headers", "auth", "client_certificate", "request")
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
        """Read one of an application by its id or uid. Raises NotFound, or Unreadable."""
        found = await self._id(application, id_or_uid)
        async with self._only_of(application, found):
            endpoint = await self._records.find(found)
        if endpoint is None or endpoint.app_id != application:
            raise _missing(application, id_or_uid)
        return endpoint

    async def page(
        self, application: ApplicationId, *, after: str | None, limit: int, descending: bool = False
    ) -> Page[Endpoint]:
        """Up to `limit` endpoints in the order in which they were made, from behind the id `after` on."""
        return await self._records.page(_folder(application), after=after, limit=limit, descending=descending)

    async def everywhere(
        self, *, after: tuple[ApplicationId, EndpointId] | None, limit: int, descending: bool = False
    ) -> Page[Endpoint]:
        """Up to `limit` endpoints of all applications, in the order of both ids, from behind `after` on."""
        behind = None if after is None else "/".join(after)
        return await self._records.page("endpoint", after=behind, limit=limit, descending=descending)

    async def ids(self, application: ApplicationId, *, limit: int) -> list[EndpointId]:
        """The first `limit` endpoints of an application, readable or not."""
        return [EndpointId(i) for i in await self._records.ids(_folder(application), after=None, limit=limit)]

    async def among(self, application: ApplicationId, ids: Iterable[EndpointId]) -> dict[EndpointId, Endpoint]:
        """Those of some endpoints that are the application's."""
        return {i: e for i, e in (await self.read(ids)).items() if e.app_id == application}

    async def read(self, ids: Iterable[EndpointId]) -> dict[EndpointId, Endpoint]:
        """Some endpoints by their ids, of whatever application; those that are gone or unreadable are left out."""
        found = await self._records.read(dict.fromkeys(ids))
        return {kept.value.id: kept.value for kept in found.values() if kept is not None and kept.value is not None}

    async def named(self, endpoint: EndpointId) -> Endpoint:
        """Read one by its id, of whatever application. Raises NotFound, or Unreadable."""
        if (found := await self._records.find(endpoint)) is None:
            raise NotFound(f"there is no endpoint {endpoint}")
        return found

    async def create(
        self, make: Callable[[EndpointId], Endpoint], *, now_ms: int, once: Once | None = None
    ) -> Endpoint:
        """Create one under a new id, or give the one that the same request created before it failed.

        Raises Conflict when its uid is taken, and NotFound when its application is gone.
        """
        new = once.new_id(PREFIX) if once else new_id(PREFIX, now_ms=now_ms)
        return await self._announced(
            await self._records.put(new, lambda before: before or make(EndpointId(new)), notes=_notes)
        )

    async def change(
        self,
        application: ApplicationId,
        id_or_uid: str,
        change: Callable[[Endpoint], Endpoint],
        *,
        replacement: Callable[[EndpointId], Endpoint] | None = None,
    ) -> Endpoint:
        """Change one; deliveries that were put aside for it continue if the change may help.

        One that can't be read is replaced by the result of `replacement`. Raises NotFound, Conflict or Unreadable.
        """
        found = EndpointId(await self._id(application, id_or_uid))
        if replacement is not None and not await self._records.holds(_folder(application), found):
            raise _missing(application, id_or_uid)

        def make(endpoint: Endpoint | None) -> Endpoint:
            if endpoint is None or endpoint.app_id != application:
                raise _missing(application, id_or_uid)
            return _reordered(endpoint, change(endpoint))

        async with self._only_of(application, found):
            saved = await self._records.put(
                found, make, replacement=replacement and (lambda: replacement(found)), notes=_change_notes
            )
        await self._announced(saved)
        await self._go_on(saved)
        return saved.after

    async def disable(self, endpoint: Endpoint, reason: str, *, now_ms: int) -> bool:
        """Disable one and note that as an operational event, in one step; False: it is disabled already.

        Raises NotFound, or Unreadable.
        """

        def off(current: Endpoint | None) -> Endpoint:
            if current is None:
                raise NotFound(f"there is no endpoint {endpoint.id}")
            return current if current.disabled else structs.replace(current, disabled=True, disabled_reason=reason)

        def notes(_: Endpoint | None, after: Endpoint | None) -> Sequence[Note]:
            data = disabled_data(after or endpoint, reason=reason, failing_since_ms=failing.failing_since_ms)
            return [("log", "endpoint.disabled", now_ms, msgspec.json.encode(data))]

        failing = (await self._conditions.read([endpoint.id]))[endpoint.id]
        saved = await self._records.put(endpoint.id, off, notes=notes)
        await self._announced(saved)
        return saved.before is not None and not saved.before.disabled

    async def rotate(
        self, endpoint: EndpointId, rotated: Callable[[EndpointAuth | None], EndpointAuth | None]
    ) -> EndpointAuth | None:
        """Put credentials into the place of those that a server has replaced, in one step. Gives what is stored then.

        Nobody is told, because the owner changed nothing. Raises NotFound, Conflict or Unreadable.
        """

        def make(current: Endpoint | None) -> Endpoint:
            if current is None:
                raise NotFound(f"there is no endpoint {endpoint}")
            return structs.replace(current, auth=rotated(current.auth))

        return (await self._announced(await self._records.put(endpoint, make))).auth

    async def delete(self, application: ApplicationId, id_or_uid: str) -> None:
        """Delete one, readable or not: it gets nothing from now on. Raises NotFound.

        Whatever waits for it goes by and by, see relay.pipeline.deleting.
        """
        found = await self._id(application, id_or_uid)
        if not await self._records.holds(_folder(application), found):
            raise _missing(application, id_or_uid)
        streams, posts = await self._streams(application), posts_of(application)
        left = remainder(streams, posts if posts in streams else None)
        unread = Endpoint(id=EndpointId(found), app_id=application, url="")
        version, _ = await self._records.delete(
            found, _folder(application), deletion=lambda _: left, notes=lambda had, _: _notes(had or unread, None)
        )
        await self._configuration.announce(version, streams, matched=version)

    @asynccontextmanager
    async def _only_of(self, application: ApplicationId, endpoint: str) -> AsyncIterator[None]:
        """That a record can't be read is no affair of another application."""
        try:
            yield
        except Unreadable:
            if await self._records.holds(_folder(application), endpoint):
                raise
            raise _missing(application, endpoint) from None

    async def _announced(self, saved: Saved[Endpoint]) -> Endpoint:
        streams = await self._streams(saved.after.app_id)
        await self._configuration.announce(saved.version, streams, matched=saved.matched)
        return saved.after

    async def _go_on(self, saved: Saved[Endpoint]) -> None:
        """Take up what is put aside, from every source: also those that the application does not have any more."""
        before, after = saved.before, saved.after
        reordered, helped = before is not None and _order(before) != _order(after), _may_go_on(before, after)
        if helped:
            await self._conditions.forget(after.id)
        if not reordered and not helped:
            return
        for stream in (*await self._configuration.source_uids(), posts_of(after.app_id)):
            if reordered:
                await self._lanes.release_waiting(stream, after.id, after.order_version)
            if helped:
                await self._lanes.unpark(stream, after.id)

    async def _streams(self, application: ApplicationId) -> list[SourceUid]:
        # Read after the write: a source or a change of the application that comes later raises a later version itself.
        try:
            kept = await self._applications.find(application)
        except Unreadable:  # It may have any source, and posts.
            kept = Application(id=application, name="", posts=True)
        return await self._configuration.streams_of(kept)

    async def _id(self, application: ApplicationId, id_or_uid: str) -> str:
        if id_or_uid.startswith(PREFIX):
            return id_or_uid
        return await self._records.id_of_uid(f"{application}/{id_or_uid}")


def _notes(before: Endpoint | None, after: Endpoint | None) -> list[Note]:
    """The operational events of a change. The server's clock gives their time."""
    return [("out", kind, 0, msgspec.json.encode(data)) for kind, data in endpoint_events(before, after)]


def _change_notes(before: Endpoint | None, after: Endpoint | None) -> list[Note]:
    """The same of one that was there, readable or not."""
    return [*_notes(before or after, after), *(("correct", reason, 0, b"") for reason in _cured(before, after))]


def _cured(before: Endpoint | None, after: Endpoint | None) -> Sequence[str]:
    """The reasons of dead deliveries that a change of expressions may cure."""
    if before is None or after is None:
        return ()
    return cured(before.request, before.dialled_url, after.request, after.dialled_url)


def _folder(application: ApplicationId) -> str:
    return f"endpoint/{application}"


def _missing(application: ApplicationId, id_or_uid: str) -> NotFound:
    return NotFound(f"application {application} has no endpoint {id_or_uid}")


def _reordered(before: Endpoint, after: Endpoint) -> Endpoint:
    """An endpoint whose order is another one has a new version of it."""
    moved = before.order_version + (_order(before) != _order(after))
    return structs.replace(after, order_version=moved)


def _may_go_on(before: Endpoint | None, after: Endpoint) -> bool:
    if after.disabled or after.paused:
        return False
    if before is None or (filter_fault(before) and not filter_fault(after)):
        return True
    return any(getattr(before, name) != getattr(after, name) for name in WORTH_A_TRY)


def _order(endpoint: Endpoint) -> tuple[str, str | None]:
    return endpoint.order, endpoint.order_key
