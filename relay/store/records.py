"""Objects of the configuration in the store: an index, uids, and a history of changes around their records."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

import msgspec
from redis.asyncio import Redis

from relay.domain.operational import OPERATIONAL
from relay.errors import BeingDeleted, Conflict, NotFound, Unreadable
from relay.store import journal, keys, outbox_keys, replay_keys
from relay.store.record_form import Form, Kept, Kind
from relay.store.scripts import script
from relay.store.vault import Vault

T = TypeVar("T", bound=msgspec.Struct)
S_co = TypeVar("S_co", covariant=True)

TRIES = 100
"""How often a change is made again because another one came between: more than any honest contention needs."""
READ_AT_ONCE = 500
"""Objects in one command: 1 MB or so."""
HISTORY_KEPT = 4096
"""Changes that a reader may be behind of before it reads everything again: about 300 kB."""

Note = tuple[Literal["log", "out", "correct"], str, int, bytes]
"""An operational event that belongs to a change: for the log or for the outbox, its kind, ms, and data. Or the
reason of dead deliveries that the change may cure."""
Notes = Callable[[T | None, T | None], Sequence[Note]]
"""The operational events of a change, from what was there (None: nothing, or unreadable) to what is there now."""


@dataclass(frozen=True, slots=True)
class Saved(Generic[T]):
    """The result of one write."""

    version: int
    """0: there was nothing to write."""
    matched: int
    """The version that last changed who gets which events by this object."""
    before: T | None
    """None: it is new, or could not be read."""
    after: T
    new: bool = False
    """Nothing was there."""


@dataclass(frozen=True, slots=True)
class Page(Generic[S_co]):
    """A part of a list."""

    values: Sequence[S_co]
    unreadable: Mapping[str, str] = field(default_factory=dict)
    """Why records that stand among them can't be read, by id."""


class Records(Generic[T]):
    """All objects of one kind."""

    def __init__(self, redis: Redis, vault: Vault, kind: Kind[T]) -> None:
        self._redis = redis
        self._form = Form(kind, vault)
        self.kind = kind

    async def find(self, object_id: str) -> T | None:
        """Read one by its id; None: it is not there. Raises Unreadable."""
        kept = await self._kept(object_id)
        return None if kept is None else self._readable(object_id, kept)

    async def id_of_uid(self, uid: str) -> str:
        """The id under a uid. Raises NotFound."""
        found = await self._redis.hget(keys.config(f"{self.kind.name}_uids"), uid)  # type: ignore[misc]
        if found is None:
            raise NotFound(f"there is no {self.kind.name} {uid.rpartition('/')[2]}")
        return bytes(found).decode()

    async def read(self, ids: Iterable[str]) -> dict[str, Kept[T] | None]:
        """Read many by their ids; None for one that is not there."""
        wanted = list(ids)
        found: dict[str, Kept[T] | None] = {}
        for first in range(0, len(wanted), READ_AT_ONCE):
            some = wanted[first : first + READ_AT_ONCE]
            stored = await self._redis.hmget(keys.config(f"{self.kind.name}s"), some)  # type: ignore[misc]
            found |= {i: None if s is None else self._form.read(i, s) for i, s in zip(some, stored, strict=True)}
        return found

    async def ids(self, folder: str, *, after: str | None, limit: int, descending: bool = False) -> list[str]:
        """Up to `limit` ids of a folder, and of those in it, in the order of the index, from behind `after` on."""
        low, high = f"[{folder}/", f"({folder}0"  # '0' follows '/' in ASCII.
        if after is not None:
            low, high = (low, f"({folder}/{after}") if descending else (f"({folder}/{after}", high)
        read = self._redis.zrevrangebylex if descending else self._redis.zrangebylex
        members = await read(keys.config("index"), *((high, low) if descending else (low, high)), start=0, num=limit)
        return [bytes(member).decode().removeprefix(f"{folder}/") for member in members]

    async def page(self, folder: str, *, after: str | None, limit: int, descending: bool = False) -> Page[T]:
        """Up to `limit` of a folder in the order of their ids, from behind `after` on; fewer are the last ones."""
        values, unreadable = list[T](), dict[str, str]()
        while limit > len(values):
            wanted = limit - len(values)
            places = await self.ids(folder, after=after, limit=wanted, descending=descending)
            for object_id, kept in (await self.read(place.rpartition("/")[2] for place in places)).items():
                if kept is not None and kept.value is not None:
                    values.append(kept.value)
                elif kept is not None:
                    unreadable[object_id] = kept.why
            if len(places) < wanted:
                break
            after = places[-1]
        return Page(values, unreadable)

    async def page_of(self, ids: Iterable[str]) -> Page[T]:
        """Some objects by their ids, as a part of a list."""
        found = {object_id: kept for object_id, kept in (await self.read(ids)).items() if kept is not None}
        return Page(
            [kept.value for kept in found.values() if kept.value is not None],
            {object_id: kept.why for object_id, kept in found.items() if kept.value is None},
        )

    async def exists(self, object_id: str) -> bool:
        """Whether there is an object with an id, readable or not."""
        return bool(await self._redis.hexists(keys.config(f"{self.kind.name}s"), object_id))  # type: ignore[misc]

    async def holds(self, folder: str, object_id: str) -> bool:
        """Whether an object stands in a folder, readable or not."""
        return await self._redis.zscore(keys.config("index"), f"{folder}/{object_id}") is not None

    async def put(
        self,
        object_id: str,
        make: Callable[[T | None], T],
        *,
        replacement: Callable[[], T] | None = None,
        notes: Notes[T] | None = None,
    ) -> Saved[T]:
        """Write what `make` makes of what is there (None: nothing). It is asked again when another writer came between.

        What can't be read is replaced by the result of `replacement`. A change that changes nothing is not written.
        `notes` makes the operational events that are written together with the change.
        Raises Conflict when the uid is taken, NotFound when what the object belongs to is gone, BeingDeleted,
        Unreadable when there is no replacement, and what `make` and `replacement` raise.
        """
        for _ in range(TRIES):
            kept = await self._kept(object_id)
            if kept is not None and kept.value is None and replacement is not None:
                value = replacement()
            else:
                value = make(None if kept is None else self._readable(object_id, kept))
            before = kept.value if kept else None
            if kept is not None and before is not None and self._form.holds(kept, value):
                matched = await self._redis.hget(keys.config("matched"), f"{self.kind.name}/{object_id}")  # type: ignore[misc]
                return Saved(0, int(matched or 0), before, before)
            matching = before is None or self.kind.matching(before) != self.kind.matching(value)
            args = await self._arguments(object_id, kept, value, matching=matching)
            if (answer := await self._write(object_id, args, notes(before, value) if notes else ())) is not None:
                self._note(object_id, before, value)
                return Saved(*answer, before, value, kept is None)
        raise Conflict(f"{self.kind.name} {object_id} is being changed by others all the time; try again")

    async def delete(
        self,
        object_id: str,
        folder: str,
        *,
        deletion: Callable[[T | None], bytes],
        notes: Notes[T] | None = None,
    ) -> tuple[int, T | None]:
        """Delete one, readable or not. Gives the version, and what it was. Raises NotFound.

        `deletion` makes of it (None: it can't be read) the note for the job that deletes the rest. `notes` makes the
        operational events that are written together with the change.
        """
        for _ in range(TRIES):
            kept = await self._kept(object_id) or Kept(b"", {}, None)
            if not await self.holds(folder, object_id):
                raise NotFound(f"there is no {self.kind.name} {object_id}")
            uid, rest = await self._uid(object_id, kept), deletion(kept.value)
            args = [object_id, self.kind.name, folder, kept.stored, b"", uid, "", "", "1", rest, HISTORY_KEPT]
            if (answer := await self._write(object_id, args, notes(kept.value, None) if notes else ())) is not None:
                self._note(object_id, kept.value, None)
                return answer[0], kept.value
        raise Conflict(f"{self.kind.name} {object_id} is being changed by others all the time; try again")

    def _note(self, object_id: str, before: T | None, after: T | None) -> None:
        """Note a change in the journal of the request that made it."""
        name, secret = f"{self.kind.name}/{object_id}", (*self.kind.sealed, *self.kind.hidden)
        journal.current().note(journal.change_of(name, before, after, secret=secret))

    async def _arguments(self, object_id: str, kept: Kept[T] | None, value: T, *, matching: bool) -> list[Any]:
        kind = self.kind
        old_uid = await self._uid(object_id, kept) if kept else ""
        return [
            object_id, kind.name, kind.folder(value), kept.stored if kept else b"", self._form.write(value, over=kept),
            old_uid, kind.uid(value) or "", kind.owner(value), "1" if matching else "", b"", HISTORY_KEPT,
        ]  # fmt: skip

    async def _write(self, object_id: str, args: list[Any], notes: Sequence[Note]) -> tuple[int, int] | None:
        """The new version and the one of matching; None: another writer came between."""
        kind, new_uid, owner = self.kind, args[6], args[7]
        names = (f"{kind.name}s", f"{kind.name}_uids", "index", "history", f"{kind.owners or kind.name}s", "matched",
                 "reported", "deletions")  # fmt: skip
        version, *rest = await script("save_configuration")(
            self._redis,
            [*(keys.config(name) for name in names), keys.OPERATIONS, outbox_keys.OUTBOX, replay_keys.CORRECTIONS],
            [*args, f"endpoint/{OPERATIONAL}", *(part for note in notes for part in note)],
        )
        if version == -1:
            return None
        if version == -2:
            raise Conflict(f"the uid {new_uid.rpartition('/')[2]} is taken by another {kind.name}")
        if version == -3:
            raise NotFound(f"there is no {kind.owners} {owner}")
        if version == -4:
            raise BeingDeleted(f"{kind.name} {object_id} is still being deleted; try again in a moment")
        return int(version), int(rest[0])

    async def _kept(self, object_id: str) -> Kept[T] | None:
        stored = await self._redis.hget(keys.config(f"{self.kind.name}s"), object_id)  # type: ignore[misc]
        return None if stored is None else self._form.read(object_id, stored)

    async def _uid(self, object_id: str, kept: Kept[T]) -> str:
        """An object's entry among the uids: of one that can't be read it is looked for, for it must not stay."""
        if kept.value is not None:
            return self.kind.uid(kept.value) or ""
        table = keys.config(f"{self.kind.name}_uids")
        async for uid, holder in self._redis.hscan_iter(table, count=READ_AT_ONCE):
            if bytes(holder) == object_id.encode():
                return bytes(uid).decode()
        return ""

    def _readable(self, object_id: str, kept: Kept[T]) -> T:
        if kept.value is None:
            raise Unreadable(
                f"{self.kind.name} {object_id} can't be read: {kept.why}. To repair it, PUT all of it, with its "
                "secrets, or DELETE it"
            )
        return kept.value
