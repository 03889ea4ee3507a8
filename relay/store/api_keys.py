"""API keys: named, with scopes, and hashed. The token of a key has its id, so finding it is one read."""

import os
import re
from collections.abc import Callable, Sequence

from redis.asyncio import Redis

from relay.domain.base62 import base62
from relay.domain.model import ApplicationId
from relay.domain.principals import ApiKey, KeyId
from relay.errors import NotFound
from relay.store import request_keys
from relay.store.identifiers import SECRET_BYTES
from relay.store.record_form import Kind
from relay.store.records import Page, Records
from relay.store.vault import Vault

PLACE = re.compile(r"(-|app_[0-9A-Za-z]{1,64})/key_[0-9A-Za-z]{1,64}")
"""Where a key stands in the list of all: by application, and then in the order in which keys were made."""
FOLDER = "key"
NOBODYS = "-"
"""The folder of keys that are for every application."""

KEY = Kind(
    "key",
    ApiKey,
    id_of=lambda k: k.id,
    folder=lambda k: _folder(k.app_id),
    owner=lambda k: k.app_id or "",
    owners="application",
    hidden=("secrets",),
)


class ApiKeys:
    """All keys but the operator's own, which is a setting."""

    def __init__(self, redis: Redis, vault: Vault) -> None:
        self._redis = redis
        self._records = Records(redis, vault, KEY)

    async def find(self, key: KeyId) -> ApiKey | None:
        """Read one by its id; None: it is not there. Raises Unreadable."""
        return await self._records.find(key)

    async def page(
        self, application: ApplicationId | None, *, after: str | None, limit: int, descending: bool = False
    ) -> Page[ApiKey]:
        """Up to `limit` keys, from behind the place `after` on: of one application, or (None) all of them."""
        if application is None:
            return await self._records.page(FOLDER, after=after, limit=limit, descending=descending)
        behind = None if after is None else after.rpartition("/")[2]
        return await self._records.page(_folder(application), after=behind, limit=limit, descending=descending)

    async def last_used(self, ids: Sequence[KeyId]) -> list[int | None]:
        """When each key was used last, in ms; None: never."""
        if not ids:
            return []
        return [at and int(at) for at in await self._redis.hmget(request_keys.KEY_USES, list(ids))]  # type: ignore[misc]

    async def create(self, key: ApiKey) -> ApiKey:
        """Keep a new key. One of that id that is there is replaced: nobody has seen its token.

        Raises NotFound when its application is gone.
        """
        return (await self._records.put(key.id, lambda _: key)).after

    async def change(self, key: KeyId, change: Callable[[ApiKey], ApiKey]) -> ApiKey:
        """Change one. Raises NotFound, or what `change` raises."""

        def make(before: ApiKey | None) -> ApiKey:
            if before is None:
                raise _missing(key)
            return change(before)

        return (await self._records.put(key, make)).after

    async def delete(self, key: ApiKey) -> None:
        """Delete one: it lets nobody in any more. Raises NotFound."""
        await self._records.delete(key.id, _folder(key.app_id), deletion=lambda _: b"")
        await self._redis.hdel(request_keys.KEY_USES, key.id)  # type: ignore[misc]

    async def delete_some(self, application: ApplicationId, *, limit: int) -> int:
        """Delete up to `limit` keys of an application that is gone; gives how many there were."""
        found = await self._records.ids(_folder(application), after=None, limit=limit)
        for key in found:
            try:
                await self._records.delete(key, _folder(application), deletion=lambda _: b"")
            except NotFound:
                continue  # Another process was quicker.
        if found:
            await self._redis.hdel(request_keys.KEY_USES, *found)  # type: ignore[misc]
        return len(found)


def place_of(key: ApiKey) -> str:
    """Where a key stands in the list of all."""
    return f"{key.app_id or NOBODYS}/{key.id}"


def new_secret() -> str:
    """A secret for a token: 160 random bits."""
    return base62(int.from_bytes(os.urandom(SECRET_BYTES), "big"))


def _folder(application: ApplicationId | None) -> str:
    return f"{FOLDER}/{application or NOBODYS}"


def _missing(key: KeyId) -> NotFound:
    return NotFound(f"there is no key {key}")
