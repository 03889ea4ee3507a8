"""Applications: tenants, found by id or by the uid that their owner gave them."""

import re
from collections.abc import Callable, Iterable

from redis.asyncio import Redis

from relay.domain.model import Application, ApplicationId, Endpoint, SourceUid
from relay.domain.operational import OPERATIONAL
from relay.domain.streams import posts_of
from relay.errors import NotFound, Unreadable
from relay.store.configuration import APPLICATION, Configuration
from relay.store.deletions import remainder
from relay.store.idempotency import Once
from relay.store.identifiers import new_id
from relay.store.records import READ_AT_ONCE, Page, Records, Saved
from relay.store.vault import Vault

PREFIX = "app_"
APPLICATION_ID = re.compile(r"app_[0-9A-Za-z]{1,64}")
FOLDER = "application"


class Applications:
    """All applications."""

    def __init__(self, redis: Redis, vault: Vault) -> None:
        self._redis = redis
        self._records = Records(redis, vault, APPLICATION)
        self._configuration = Configuration(redis, vault)

    async def get(self, id_or_uid: str) -> Application:
        """Read one by its id or uid. Raises NotFound, or Unreadable."""
        application = await self._records.find(await self._id(id_or_uid))
        if application is None:
            raise NotFound(f"there is no application {id_or_uid}")
        return application

    async def owner_of(self, endpoint: Endpoint) -> Application | None:
        """The application of an endpoint. None: it is gone or cannot be read. Raises StoreUnavailable."""
        try:
            return await self.get(endpoint.app_id)
        except (NotFound, Unreadable):
            return None

    async def read(self, ids: Iterable[ApplicationId]) -> dict[ApplicationId, Application]:
        """Some applications by their ids; those that are gone or unreadable are left out."""
        found = await self._records.read(dict.fromkeys(ids))
        return {kept.value.id: kept.value for kept in found.values() if kept is not None and kept.value is not None}

    async def page(
        self, *, after: str | None, limit: int, descending: bool = False, only: ApplicationId | None = None
    ) -> Page[Application]:
        """Up to `limit` applications in the order in which they were made, from behind the id `after` on.

        The operator's own, that of operational endpoints, is not among them. `only` is the one that exists for the
        principal. None: all do.
        """
        if only is not None:
            is_behind = after is None or (only < after if descending else only > after)
            return await self._records.page_of([only] if is_behind else [])
        # One more, in case the operator's own is among them.
        page = await self._records.page(FOLDER, after=after, limit=limit + 1, descending=descending)
        customers = [each for each in page.values if each.id != OPERATIONAL]
        return Page(customers[:limit], {each: why for each, why in page.unreadable.items() if each != OPERATIONAL})

    async def naming(self, source: SourceUid) -> list[str]:
        """The applications that name a source, readable or not: their uids or ids, sorted."""
        names: list[str] = []
        after: str | None = None
        while ids := await self._records.ids(FOLDER, after=after, limit=READ_AT_ONCE):
            for application, kept in (await self._records.read(ids)).items():
                named = kept.fields.get("sources") if kept else None
                if kept and isinstance(named, list) and source in named:
                    names.append((kept.value.uid if kept.value else None) or application)
            after = ids[-1]
        return sorted(names)

    async def posting(self) -> list[SourceUid]:
        """The streams of the posts of all applications, readable or not, that have any."""
        found: list[SourceUid] = []
        after: str | None = None
        while ids := await self._records.ids(FOLDER, after=after, limit=READ_AT_ONCE):
            for application, kept in (await self._records.read(ids)).items():
                if kept and kept.fields.get("posts"):
                    found.append(posts_of(ApplicationId(application)))
            after = ids[-1]
        return found

    async def create(
        self, make: Callable[[ApplicationId], Application], *, now_ms: int, once: Once | None = None
    ) -> Application:
        """Create one under a new id, or give the one that the same request created before it failed.

        Raises Conflict when its uid is taken.
        """
        new = once.new_id(PREFIX) if once else new_id(PREFIX, now_ms=now_ms)
        return await self._announced(await self._records.put(new, lambda before: before or make(ApplicationId(new))))

    async def operational(self, new: Application) -> Application:
        """The application of operational endpoints: `new` if there is none, or none that can be read."""
        return await self._announced(
            await self._records.put(OPERATIONAL, lambda before: before or new, replacement=lambda: new)
        )

    async def change(
        self,
        id_or_uid: str,
        change: Callable[[Application], Application],
        *,
        replacement: Callable[[ApplicationId], Application] | None = None,
    ) -> Application:
        """Change one; one that can't be read is replaced by the result of `replacement`.

        Raises NotFound, Conflict when its new uid is taken, or Unreadable.
        """
        found = ApplicationId(await self._id(id_or_uid))

        def make(application: Application | None) -> Application:
            if application is None:
                raise NotFound(f"there is no application {id_or_uid}")
            return change(application)

        return await self._announced(
            await self._records.put(found, make, replacement=replacement and (lambda: replacement(found)))
        )

    async def delete(self, id_or_uid: str) -> None:
        """Delete one, readable or not: none of its endpoints gets anything from now on. Raises NotFound.

        They, and whatever waits for them, go by and by, see relay.pipeline.deleting.
        """
        found = await self._id(id_or_uid)
        # One that can't be read may have had any source, and posts.
        unread = Application(id=ApplicationId(found), name="", posts=True)
        version, gone = await self._records.delete(found, FOLDER, deletion=lambda had: _left(had or unread))
        had = gone or unread
        await self._configuration.announce(version, await self._configuration.streams_of(had), matched=version)

    async def _announced(self, saved: Saved[Application]) -> Application:
        # Those that it had and those that it has: both kinds of page were matched against something else.
        sources = [s for a in (saved.before, saved.after) for s in await self._configuration.streams_of(a)]
        await self._configuration.announce(saved.version, sources, matched=saved.matched)
        return saved.after

    async def _id(self, id_or_uid: str) -> str:
        return id_or_uid if id_or_uid.startswith(PREFIX) else await self._records.id_of_uid(id_or_uid)


def _left(application: Application) -> bytes:
    return remainder(application.sources, posts_of(application.id) if application.posts else None)
