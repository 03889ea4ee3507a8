"""Sources: kept and listed. Deleting one removes its record; what was kept of it goes by and by."""

from collections.abc import Callable

from redis.asyncio import Redis

from relay.domain.model import Source, SourceUid
from relay.errors import NotFound
from relay.store import keys
from relay.store.configuration import SOURCE, Configuration
from relay.store.deletions import remainder
from relay.store.records import Page, Records
from relay.store.vault import Vault

FOLDER = "source"


class Sources:
    """All sources."""

    def __init__(self, redis: Redis, vault: Vault) -> None:
        self._redis = redis
        self._records = Records(redis, vault, SOURCE)
        self._configuration = Configuration(redis, vault)

    async def get(self, uid: SourceUid) -> Source:
        """Read one. Raises NotFound, or Unreadable."""
        if (source := await self._records.find(uid)) is None:
            raise NotFound(f"there is no source {uid}")
        return source

    async def uids(self) -> list[SourceUid]:
        """The uids of all sources, also of those that can't be read."""
        return await self._configuration.source_uids()

    async def page(self, *, after: str | None, limit: int, descending: bool = False) -> Page[Source]:
        """Up to `limit` sources in the order of their uids, from behind `after` on."""
        return await self._records.page(FOLDER, after=after, limit=limit, descending=descending)

    async def put(
        self,
        uid: SourceUid,
        make: Callable[[Source | None], Source],
        *,
        replacement: Callable[[], Source] | None = None,
    ) -> tuple[Source, bool]:
        """Write what `make` makes of the source that is there, or of None. Gives it, and whether it is new.

        One that can't be read is replaced by the result of `replacement`. Raises BeingDeleted when one of that uid is
        not gone yet, and Unreadable.
        """
        saved = await self._records.put(uid, make, replacement=replacement)
        await self._configuration.announce(saved.version, [uid], matched=saved.matched)
        # What was changed should show at once.
        await self._redis.zadd(keys.POLLS, {uid: 0})
        return saved.after, saved.new

    async def change(self, uid: SourceUid, change: Callable[[Source], Source]) -> Source:
        """Change one. Raises NotFound, or Unreadable."""

        def make(source: Source | None) -> Source:
            if source is None:
                raise NotFound(f"there is no source {uid}")
            return change(source)

        return (await self.put(uid, make))[0]

    async def delete(self, uid: SourceUid) -> None:
        """Delete a source, readable or not: nobody polls it or sends anything of it from now on. Raises NotFound.

        Its routes, events, lanes and attempts go by and by, see relay.pipeline.deleting. Until they are gone there can
        be no other source of that uid.
        """
        version, _ = await self._records.delete(uid, FOLDER, deletion=lambda _: remainder(()))
        await self._configuration.announce(version)
