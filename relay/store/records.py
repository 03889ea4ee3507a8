"""Objects of the configuration as they are kept: JSON with sealed secrets, an index, uids, and versions of changes."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec
from redis.asyncio import Redis

from relay.errors import Conflict, NotFound
from relay.store import keys
from relay.store.scripts import script
from relay.store.vault import Vault

T = TypeVar("T", bound=msgspec.Struct)

TRIES = 100
"""How often a change is made again because another one came between: more than any honest contention needs."""
READ_AT_ONCE = 500
"""Objects in one command: 1 MB or so."""


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """What differs between sources, applications and endpoints."""

    name: str
    struct: type[T]
    id_of: Callable[[T], str]
    folder: Callable[[T], str]
    """Where the object stands in the index: lists are one folder's."""
    uid: Callable[[T], str | None] = lambda _: None
    """The object's entry among the uids of its kind."""
    owner: Callable[[T], str] = lambda _: ""
    owners: str = ""
    """The kind that it belongs to."""
    contents: Callable[[T], str] = lambda _: ""
    """The folder that must be empty before the object is deleted."""
    sealed: tuple[str, ...] = ()
    """Fields that hold secrets."""


@dataclass(frozen=True, slots=True)
class Kept(Generic[T]):
    """An object, and the bytes that it was read from: whoever replaces it must have seen them."""

    value: T
    stored: bytes


@dataclass(frozen=True, slots=True)
class Saved(Generic[T]):
    """What one write did. `before` is None for a new object."""

    version: int
    before: T | None
    after: T


class Records(Generic[T]):
    """All objects of one kind."""

    def __init__(self, redis: Redis, vault: Vault, kind: Kind[T]) -> None:
        self._redis = redis
        self._vault = vault
        self.kind = kind

    async def find(self, object_id: str) -> Kept[T] | None:
        """Read one by its id."""
        stored = await self._redis.hget(keys.config(f"{self.kind.name}s"), object_id)  # type: ignore[misc]
        return None if stored is None else Kept(self._decode(object_id, stored), stored)

    async def id_of_uid(self, uid: str) -> str:
        """The id under a uid. Raises NotFound."""
        found = await self._redis.hget(keys.config(f"{self.kind.name}_uids"), uid)  # type: ignore[misc]
        if found is None:
            raise NotFound(f"there is no {self.kind.name} {uid.rpartition('/')[2]}")
        return bytes(found).decode()

    async def read(self, ids: Iterable[str]) -> dict[str, T | None]:
        """Read many by their ids; None for one that is not there."""
        wanted = list(ids)
        found: dict[str, T | None] = {}
        for first in range(0, len(wanted), READ_AT_ONCE):
            some = wanted[first : first + READ_AT_ONCE]
            stored = await self._redis.hmget(keys.config(f"{self.kind.name}s"), some)  # type: ignore[misc]
            found |= {i: None if s is None else self._decode(i, s) for i, s in zip(some, stored, strict=True)}
        return found

    async def page(self, folder: str, *, after: str | None, limit: int, descending: bool = False) -> list[T]:
        """Up to `limit` of a folder in the order of their ids, from behind `after` on."""
        low, high = f"[{folder}/", f"({folder}0"  # '0' follows '/' in ASCII.
        if after is not None:
            low, high = (low, f"({folder}/{after}") if descending else (f"({folder}/{after}", high)
        read = self._redis.zrevrangebylex if descending else self._redis.zrangebylex
        members = await read(keys.config("index"), *((high, low) if descending else (low, high)), start=0, num=limit)
        found = await self.read(bytes(member).decode().rpartition("/")[2] for member in members)
        return [value for value in found.values() if value is not None]

    async def put(self, object_id: str, make: Callable[[T | None], T]) -> Saved[T]:
        """Write what `make` makes of what is there (None: nothing). It is asked again when another writer came between.

        Raises Conflict when the uid is taken, NotFound when what the object belongs to is gone, and what `make` raises.
        """
        for _ in range(TRIES):
            kept = await self.find(object_id)
            value = make(kept.value if kept else None)
            if version := await self._write(value, kept=kept, gone=False):
                return Saved(version, kept.value if kept else None, value)
        raise Conflict(f"{self.kind.name} {object_id} is being changed by others all the time; try again")

    async def delete(self, object_id: str) -> tuple[int, T]:
        """Delete one. Gives the version, and what it was. Raises NotFound, or Conflict when something is in it."""
        for _ in range(TRIES):
            kept = await self.find(object_id)
            if kept is None:
                raise NotFound(f"there is no {self.kind.name} {object_id}")
            if version := await self._write(kept.value, kept=kept, gone=True):
                return version, kept.value
        raise Conflict(f"{self.kind.name} {object_id} is being changed by others all the time; try again")

    async def _write(self, value: T, *, kept: Kept[T] | None, gone: bool) -> int:
        kind = self.kind
        names = (f"{kind.name}s", f"{kind.name}_uids", "index", "version", "changes", f"{kind.owners or kind.name}s")
        args = [
            kind.id_of(value),
            kind.name,
            kind.folder(value),
            kept.stored if kept else b"",
            b"" if gone else self._encode(value),
            (kept and kind.uid(kept.value)) or "",
            (not gone and kind.uid(value)) or "",
            kind.owner(value),
            kind.contents(value) if gone else "",
        ]
        answer = int(await script("save_configuration")(self._redis, [keys.config(name) for name in names], args))
        if answer == -1:
            raise Conflict(f"the uid {(kind.uid(value) or '').rpartition('/')[2]} is taken by another {kind.name}")
        if answer == -2:
            raise NotFound(f"there is no {kind.owners} {kind.owner(value)}")
        if answer == -3:
            raise Conflict(f"{kind.name} {kind.id_of(value)} is not empty")
        return answer

    def _encode(self, value: T) -> bytes:
        fields: dict[str, Any] = msgspec.to_builtins(value)
        for name in self.kind.sealed:
            if fields[name]:
                plain = msgspec.json.encode(fields[name])
                fields[name] = self._vault.seal(plain, f"{self.kind.name}|{self.kind.id_of(value)}|{name}")
        return msgspec.json.encode(fields)

    def _decode(self, object_id: str, stored: bytes) -> T:
        fields: dict[str, Any] = msgspec.json.decode(stored)
        for name in self.kind.sealed:
            if fields[name]:
                plain = self._vault.open(fields[name], f"{self.kind.name}|{object_id}|{name}")
                fields[name] = msgspec.json.decode(plain)
        return msgspec.convert(fields, self.kind.struct)
