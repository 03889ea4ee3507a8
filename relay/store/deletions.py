"""Tombstones: what was deleted, and is not all gone yet. The job that ends them is relay.pipeline.deleting."""

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec
from redis.asyncio import Redis

from relay.domain.model import EndpointId, SourceUid
from relay.domain.streams import are_posts
from relay.store import keys
from relay.store.scripts import script

READ_AT_ONCE = 500
PENDING_MOST = 10_000
"""Tombstones that are looked at in one round."""


class Remainder(msgspec.Struct, frozen=True):
    """What a deletion has to know of what was deleted."""

    sources: tuple[SourceUid, ...] | None = None
    """Whose pages must not be matched against it any more; None: those of every source."""
    posts: SourceUid | None = None
    """The stream of the posts of its application; None: there were never any."""


@dataclass(frozen=True, slots=True)
class Deletion:
    """Something that was deleted."""

    kind: str
    id: str
    version: int
    """That of the configuration since when it is gone."""
    sources: tuple[SourceUid, ...] | None
    posts: SourceUid | None = None

    @property
    def name(self) -> str:
        """`{kind}/{id}`."""
        return f"{self.kind}/{self.id}"


def remainder(sources: Iterable[SourceUid] | None, posts: SourceUid | None = None) -> bytes:
    """The stored form of what a deletion has to know."""
    return msgspec.json.encode(Remainder(None if sources is None else tuple(sources), posts))


class Deletions:
    """All tombstones."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def pending(self) -> list[Deletion]:
        """What is not all gone yet, some of it if it is very much; empty: there is nothing."""
        found: dict[str, Deletion] = {}
        async for name, value in self._redis.hscan_iter(keys.config("deletions"), count=READ_AT_ONCE):
            deletion = _read(bytes(name).decode(), bytes(value))
            found[deletion.name] = deletion
            if len(found) >= PENDING_MOST:
                break
        return list(found.values())

    async def is_pending(self, deletion: Deletion) -> bool:
        """Whether this very deletion has not ended."""
        found = await self._redis.hget(keys.config("deletions"), deletion.name)  # type: ignore[misc]
        return found is not None and _read(deletion.name, bytes(found)).version == deletion.version

    async def end(self, deletion: Deletion) -> None:
        """Nothing is left of it: the tombstone goes, and the name is free."""
        uid = deletion.id if deletion.kind == "source" else ""
        names = [keys.config("deletions"), keys.POLLS, keys.RECONCILED]
        await script("end_deletion")(self._redis, names, [deletion.name, deletion.version, uid])

    async def bury(self, endpoint: EndpointId, stream: SourceUid, *, version: int) -> bool:
        """Have whatever waits for an endpoint deleted that is not there, since a version of the configuration.

        For who finds such a lane, in `stream`; ids are never given twice. False: it is there.
        """
        if await self._redis.hexists(keys.config("endpoints"), endpoint):  # type: ignore[misc]
            return False
        tombstone = f"{version} {remainder(None, stream if are_posts(stream) else None).decode()}"
        await self._redis.hsetnx(keys.config("deletions"), f"endpoint/{endpoint}", tombstone)  # type: ignore[misc]
        return True


def _read(name: str, value: bytes) -> Deletion:
    kind, _, object_id = name.partition("/")
    digits, _, rest = value.partition(b" ")
    version = int(digits) if digits.isdigit() else 0
    try:
        remains = msgspec.json.decode(rest, type=Remainder)
    except msgspec.MsgspecError:
        remains = Remainder()
    return Deletion(kind, object_id, version, remains.sources, remains.posts)
