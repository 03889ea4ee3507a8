"""The whole configuration as it is stored: copied, and put back into a store that lost it, or a part of it."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from redis.asyncio import Redis

from relay.domain.checkpoint import KINDS, Kind, RouteMark, SavedConfiguration
from relay.domain.merging import common_version, lost_members
from relay.domain.model import SourceUid
from relay.store import keys, outbox_keys, reading_keys, replay_keys
from relay.store.api_keys import NOBODYS
from relay.store.configuration import newest_version
from relay.store.deletions import remainder
from relay.store.records import HISTORY_KEPT
from relay.store.routes import Routes, space_of
from relay.store.scripts import Call, run_all, script

log = structlog.get_logger()

AT_ONCE = 200
"""Objects that are written in one round trip: half a megabyte, and 10 ms of the server's time."""
READ_AT_ONCE = 500
TRIES = 3
"""Rounds of writing: an object may need what another one has to give up first, such as a uid."""
_OWNERS: Mapping[Kind, Kind] = {
    "source": "source", "application": "application", "endpoint": "application", "key": "application",
    "event_type": "event_type", "erasure": "erasure",
}  # fmt: skip
_REFUSED = {
    -1: "it was changed at the same time",
    -2: "its uid is taken",
    -3: "its application is gone",
    -4: "it is being deleted",
}


@dataclass(slots=True)
class PutBack:
    """What was put back: how many objects of each kind, and what could not be, with the reason."""

    written: Counter[str] = field(default_factory=Counter)
    deleted: Counter[str] = field(default_factory=Counter)
    refused: dict[str, str] = field(default_factory=dict)
    version: int = 0
    """Of the configuration then; 0: nothing was changed."""

    def note(self, kind: Kind, object_id: str, code: int, *, is_there: bool) -> None:
        """Take in what the store said to one object; `is_there`: it was written, not deleted."""
        name = f"{kind}/{object_id}"
        if code < 0:
            self.refused[name] = _REFUSED.get(code, f"the store said {code}")
        else:
            self.refused.pop(name, None)
            (self.written if is_there else self.deleted)[kind] += 1


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an object stands: a member of the index, taken apart."""

    kind: Kind
    folder: str
    id: str


class Copying:
    """Copies the configuration, and puts it back."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def version(self) -> int:
        """The configuration's version; 0: there is none, and there never was. Raises StoreUnavailable."""
        return await newest_version(self._redis)

    async def take(self) -> SavedConfiguration | None:
        """A copy of one version. None: it changed while it was read, so try again. Raises StoreUnavailable."""
        version = await self.version()
        records = {kind: await self._hash(keys.config(f"{kind}s")) for kind in KINDS}
        uids = {kind: await self._uids(kind) for kind in KINDS}
        copied = SavedConfiguration(
            version=version,
            index=tuple(await self._index()),
            records=records,
            uids=uids,
            history=tuple(await self._history()),
        )
        return copied if await self.version() == version else None

    async def is_kin(self, saved: SavedConfiguration) -> bool:
        """Whether the store's configuration and a saved one have a history in common."""
        return common_version(saved.history, await self._history()) > 0

    async def holds(self, version: int) -> bool:
        """Whether the store has a version of the configuration, or had it and forgot it among thousands of others."""
        history = keys.config("history")
        if not version or await self._redis.zcount(history, version, version):
            return True
        oldest = await self._redis.zrange(history, 0, 0, withscores=True)
        return await self._redis.zcard(history) >= HISTORY_KEPT and int(oldest[0][1]) > version

    async def put_back(self, saved: SavedConfiguration) -> PutBack:
        """Bring back what the store lost of a saved configuration. What was changed in the store since stays.

        It can be cut short anywhere, and repeated. Sources come last. Raises StoreUnavailable.
        """
        lost = lost_members(
            saved=saved.history,
            saved_index=saved.index,
            saved_version=saved.version,
            store=await self._history(),
            store_index=await self._index(),
        )
        # A checkpoint of an older release says nothing about kinds that it does not know.
        places = [place for member in lost if (place := _place(member)) is not None and place.kind in saved.records]
        done, left = PutBack(), sorted(places, key=lambda place: (KINDS.index(place.kind), place.id))
        for _ in range(TRIES):
            if left:
                left = await self._write_all(saved, left, done)
        for member, why in done.refused.items():
            log.error("not_restored", object=member, reason=why)
        # Only now: a store that has the checkpoint's version is taken for one that has all of it.
        if saved.history:
            await self._redis.zadd(keys.config("history"), {change: change.split(" ")[0] for change in saved.history})
            await self._redis.zremrangebyrank(keys.config("history"), 0, -1 - HISTORY_KEPT)
        done.version = await self.version() if lost else 0
        return done

    async def put_marks(
        self, routes: Mapping[SourceUid, Mapping[str, RouteMark]], *, only_new: bool, now_ms: int
    ) -> dict[str, int]:
        """Have routes continue from their marks, unless they are behind them: `{source}/{route}` → rowId.

        `only_new`: leave routes alone that have a cursor. Raises StoreUnavailable.
        """
        moved: dict[str, int] = {}
        for source, marks in routes.items():
            states = await Routes(self._redis).states(source, marks)
            chosen = [s.route for s in states if not (only_new and (s.cursor is not None or s.unreadable))]
            calls: list[Call] = [
                (script("restore_route"), _names(source, route), _arguments(marks[route], now_ms)) for route in chosen
            ]
            answers = await run_all(self._redis, calls) if calls else []
            for route, answer in zip(chosen, answers, strict=True):
                if int(answer) and (cursor := marks[route].cursor) is not None:
                    moved[f"{source}/{route}"] = cursor
        return moved

    async def _write_all(self, saved: SavedConfiguration, places: Sequence[_Place], done: PutBack) -> list[_Place]:
        """Write objects; gives those that were refused and may be accepted once others are written."""
        left: list[_Place] = []
        old_uids = {kind: await self._uids(kind) for kind in KINDS}
        for first in range(0, len(places), AT_ONCE):
            some = places[first : first + AT_ONCE]
            stored = dict(zip(some, await self._stored(some), strict=True))
            some = [place for place in some if stored[place] != saved.records[place.kind].get(place.id, b"")]
            calls = [_call(saved, each, stored[each], old_uids[each.kind].get(each.id, "")) for each in some]
            for place, answer in zip(some, await run_all(self._redis, calls) if calls else (), strict=True):
                code = int(answer[0])
                done.note(place.kind, place.id, code, is_there=place.id in saved.records[place.kind])
                if code < 0:
                    left.append(place)
        return left

    async def _stored(self, places: Sequence[_Place]) -> list[bytes]:
        async with self._redis.pipeline(transaction=False) as pipe:
            for place in places:
                pipe.hget(keys.config(f"{place.kind}s"), place.id)
            return [found or b"" for found in await pipe.execute()]

    async def _history(self) -> list[str]:
        return [bytes(change).decode() for change in await self._redis.zrange(keys.config("history"), 0, -1)]

    async def _index(self) -> list[str]:
        return [bytes(m).decode() async for m, _ in self._redis.zscan_iter(keys.config("index"), count=READ_AT_ONCE)]

    async def _uids(self, kind: Kind) -> dict[str, str]:
        return {value.decode(): uid for uid, value in (await self._hash(keys.config(f"{kind}_uids"))).items()}

    async def _hash(self, key: str) -> dict[str, bytes]:
        return {
            bytes(name).decode(): bytes(value) async for name, value in self._redis.hscan_iter(key, count=READ_AT_ONCE)
        }


def _place(member: str) -> _Place | None:
    """None: a newer release has more kinds than this one."""
    folder, _, object_id = member.rpartition("/")
    kind = folder.partition("/")[0]
    return _Place(kind, folder, object_id) if kind in KINDS and object_id else None


def _call(saved: SavedConfiguration, place: _Place, stored: bytes, old_uid: str) -> Call:
    """The change that brings an object to its saved state, as relay.store.records makes it."""
    record, kind = saved.records[place.kind].get(place.id, b""), place.kind
    owner = place.folder.partition("/")[2].replace(NOBODYS, "") if record else ""
    new_uid = saved.uids[kind].get(place.id, "") if record else ""
    rest = b"" if record or kind in ("key", "event_type", "erasure") else remainder(() if kind == "source" else None)
    args: list[Any] = [place.id, kind, place.folder, stored, record, old_uid, new_uid, owner, "1", rest, HISTORY_KEPT]
    names = (f"{kind}s", f"{kind}_uids", "index", "history", f"{_OWNERS[kind]}s", "matched", "reported", "deletions")
    return (
        script("save_configuration"),
        [*(keys.config(name) for name in names), keys.OPERATIONS, outbox_keys.OUTBOX, replay_keys.CORRECTIONS],
        args,
    )


def _names(source: SourceUid, route: str) -> list[str]:
    state = (keys.route(source, route), keys.trail(source, route), reading_keys.known_from(source, space_of(route)))
    return [keys.fence(source), keys.sequence(source), *state]


def _arguments(mark: RouteMark, now_ms: int) -> list[Any]:
    fields: Iterable[tuple[str, str | None]] = (("joined", mark.joined), ("start", mark.start))
    cursor = "" if mark.cursor is None else mark.cursor
    return [cursor, now_ms, *(part for pair in fields if pair[1] is not None for part in pair)]
