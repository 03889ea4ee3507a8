"""Sources: kept, listed, and deleted with all that was ever kept of them."""

from collections.abc import Callable

from redis.asyncio import Redis

from relay.domain.model import Source, SourceUid
from relay.errors import NotFound
from relay.store import keys
from relay.store.configuration import SOURCE, Configuration
from relay.store.records import Records
from relay.store.vault import Vault

DELETED_AT_ONCE = 1000


class Sources:
    """All sources."""

    def __init__(self, redis: Redis, vault: Vault) -> None:
        self._redis = redis
        self._records = Records(redis, vault, SOURCE)
        self._configuration = Configuration(redis, vault)

    async def get(self, uid: SourceUid) -> Source:
        """Read one. Raises NotFound."""
        if (kept := await self._records.find(uid)) is None:
            raise NotFound(f"there is no source {uid}")
        return kept.value

    async def uids(self) -> list[SourceUid]:
        """The uids of all sources."""
        return await self._configuration.source_uids()

    async def page(self, *, after: str | None, limit: int, descending: bool = False) -> list[Source]:
        """Up to `limit` sources in the order of their uids, from behind `after` on."""
        return await self._records.page("source", after=after, limit=limit, descending=descending)

    async def put(self, uid: SourceUid, make: Callable[[Source | None], Source]) -> tuple[Source, bool]:
        """Write what `make` makes of the source that is there, or of None. Gives it, and whether it is new."""
        saved = await self._records.put(uid, make)
        await self._configuration.announce(saved.version, [uid])
        # A source without a time is polled at the next tick: what was changed should show at once.
        await self._redis.zrem(keys.POLLS, uid)
        return saved.after, saved.before is None

    async def change(self, uid: SourceUid, change: Callable[[Source], Source]) -> Source:
        """Change one. Raises NotFound."""

        def make(source: Source | None) -> Source:
            if source is None:
                raise NotFound(f"there is no source {uid}")
            return change(source)

        return (await self.put(uid, make))[0]

    async def delete(self, uid: SourceUid) -> None:
        """Delete a source with its routes, events, lanes and attempts. Raises NotFound.

        Its fencing counter stays: a poller that sleeps through this, and through the making of another source of that
        uid, must still be refused.
        """
        version, _ = await self._records.delete(uid)
        await self._configuration.announce(version, [uid])
        await self._redis.incr(keys.fence(uid))
        await self._redis.zrem(keys.POLLS, uid)
        kept = keys.fence(uid).encode()
        batch: list[bytes] = []
        async for key in self._redis.scan_iter(match=f"{keys.prefix(uid)}*", count=DELETED_AT_ONCE):
            if key != kept:
                batch.append(key)
            if len(batch) >= DELETED_AT_ONCE:
                await self._redis.unlink(*batch)
                batch.clear()
        if batch:
            await self._redis.unlink(*batch)
