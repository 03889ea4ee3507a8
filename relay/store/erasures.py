"""Erasures in the store: objects of the configuration, so that workers follow them, and checkpoints have them."""

import os
from contextlib import suppress

from msgspec.structs import replace
from redis.asyncio import Redis

from relay.domain.erasing_task import Found
from relay.domain.erasures import KEY_BYTES, Erasure
from relay.errors import Conflict, NotFound
from relay.store import keys
from relay.store.record_form import Kept, Kind
from relay.store.records import Page, Records
from relay.store.vault import Vault

FOLDER = "erasure"
ERASURE = Kind(
    "erasure", Erasure, id_of=lambda e: e.id, folder=lambda _: FOLDER, sealed=("key",), hidden=("digests", "lengths")
)


class Erasures:
    """All erasures."""

    def __init__(self, redis: Redis, vault: Vault, *, most: int) -> None:
        self._redis = redis
        self._vault = vault
        self._records = Records(redis, vault, ERASURE)
        self._most = most

    async def check_room(self) -> None:
        """Raise Conflict if there can be no further one. Requests that run side by side can exceed this by a few."""
        if await self._redis.hlen(keys.config("erasures")) >= self._most:  # type: ignore[misc]
            raise Conflict(
                f"the rows of {self._most} persons are kept out, which is the most that RELAY_ERASURES allows: raise it"
            )

    async def all(self) -> list[Erasure]:
        """Those that can be read. Raises StoreUnavailable."""
        return [kept.value for kept in (await self._kept()).values() if kept and kept.value]

    async def page(self, *, after: str | None, limit: int, descending: bool = False) -> Page[Erasure]:
        """Up to `limit` in the order of their ids, from behind `after` on. Raises StoreUnavailable."""
        return await self._records.page(FOLDER, after=after, limit=limit, descending=descending)

    async def seal_again(self) -> None:
        """Seal those under the newest key that an older one has sealed. Raises StoreUnavailable."""
        for erasure_id, kept in (await self._kept()).items():
            if kept is not None and kept.value is not None and not self._vault.is_current(str(kept.fields["key"])):
                # One that was dropped in the meantime stays away.
                with suppress(NotFound):
                    await self._records.put(erasure_id, _unchanged)

    async def key(self) -> str:
        """The key (hex) for the hashes of a new erasure: that of the others, if there are any. Raises StoreUnavailable.

        Two of the first erasures can get a key each.
        """
        there = await self.all()
        return there[0].key if there else os.urandom(KEY_BYTES).hex()

    async def keep(self, erasure: Erasure) -> int:
        """Keep one; gives the version of the configuration, or 0 if it was there. Raises StoreUnavailable."""
        return (await self._records.put(erasure.id, lambda before: before or erasure)).version

    async def note_found(self, erasure_id: str, found: Found) -> int:
        """Note what was erased, if the erasure is there; gives the version of the configuration, or 0.

        Raises StoreUnavailable.
        """
        try:
            saved = await self._records.put(erasure_id, lambda before: replace(_unchanged(before), found=found))
        except NotFound:
            return 0
        return saved.version

    async def lift(self, erasure_id: str) -> int:
        """Delete one; gives the version of the configuration. Raises NotFound or StoreUnavailable."""
        return (await self._records.delete(erasure_id, FOLDER, deletion=lambda _: b""))[0]

    async def drop(self, erasure_id: str) -> int:
        """Delete one, if it is there; gives the version of the configuration, or 0. Raises StoreUnavailable."""
        try:
            return await self.lift(erasure_id)
        except NotFound:
            return 0

    async def _kept(self) -> dict[str, Kept[Erasure] | None]:
        ids = [bytes(each).decode() for each in await self._redis.hkeys(keys.config("erasures"))]  # type: ignore[misc]
        return await self._records.read(ids)


def _unchanged(before: Erasure | None) -> Erasure:
    if before is None:
        raise NotFound("it is not there any more")
    return before
