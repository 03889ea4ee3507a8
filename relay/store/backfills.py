"""Backfills: what operators asked for, and the results."""

from collections.abc import Callable
from contextlib import suppress

from redis.asyncio import Redis

from relay.domain.model import SourceUid
from relay.domain.reading.backfill import Backfill, BackfillReading, read_backfill, written
from relay.errors import Conflict, NotFound
from relay.store import keys, reading_keys
from relay.store.identifiers import new_id
from relay.store.routes import Token, refused
from relay.store.scripts import script

PREFIX = "bf_"
MOST_RUNNING = 10
KEPT = 100
"""Backfills of a source that are listed; those that ended first make room."""


class Backfills:
    """The backfills of all sources."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def all(self, source: SourceUid) -> list[Backfill]:
        """All backfills of a source that can be read, newest first."""
        return [backfill for _, backfill in await self._kept(source)]

    async def get(self, source: SourceUid, backfill_id: str) -> Backfill:
        """One backfill. Raises NotFound."""
        kept = await self._redis.hget(reading_keys.backfills(source), backfill_id)  # type: ignore[misc]
        backfill = None if kept is None else read_backfill(kept)
        if backfill is None:
            raise NotFound(f"source {source} has no backfill {backfill_id}")
        return backfill

    async def create(self, source: SourceUid, make: Callable[[str], Backfill], *, now_ms: int) -> Backfill:
        """Begin a backfill, under an id of its own. Raises Conflict if too many run, NotFound if the source goes."""
        made = make(new_id(PREFIX, now_ms=now_ms))
        await self._put(source, made.id, b"", made)
        ended = [(raw, each) for raw, each in await self._kept(source) if each.state != "running"]
        for raw, each in ended[KEPT - MOST_RUNNING :]:
            # Another request may make room at the same time.
            with suppress(Conflict):
                await self._put(source, each.id, raw, None)
        return made

    async def cancel(self, source: SourceUid, ended: Backfill, *, before: Backfill) -> None:
        """Note that a backfill was cancelled. Raises Conflict when it is not as it was `before`."""
        await self._put(source, before.id, await self._as_kept(source, before), ended, reading=_field(before))

    async def end(self, source: SourceUid, ended: Backfill, *, before: Backfill, token: Token) -> None:
        """Note that a backfill has ended, as its poller. Raises Fenced, Astray, or Conflict."""
        raw = await self._as_kept(source, before)
        await self._put(source, before.id, raw, ended, reading=_field(before), token=token)

    async def _as_kept(self, source: SourceUid, backfill: Backfill) -> bytes:
        """The bytes of a backfill that is to be replaced: another release can have written them in another form."""
        kept: bytes | None = await self._redis.hget(reading_keys.backfills(source), backfill.id)  # type: ignore[misc]
        return kept if kept is not None and read_backfill(kept) == backfill else written(backfill)

    async def _kept(self, source: SourceUid) -> list[tuple[bytes, Backfill]]:
        return readable(await self._redis.hvals(reading_keys.backfills(source)))  # type: ignore[misc]

    async def _put(
        self,
        source: SourceUid,
        backfill_id: str,
        before: bytes,
        after: Backfill | None,
        *,
        reading: str = "",
        token: Token | None = None,
    ) -> None:
        names = [
            keys.fence(source),
            keys.sequence(source),
            reading_keys.backfills(source),
            reading_keys.readings(source),
        ]
        held = ("", "") if token is None else (token.number, token.sequence)
        raw = b"" if after is None else written(after)
        answer = await script("put_backfill")(
            self._redis, names, [*held, backfill_id, before, raw, reading, MOST_RUNNING]
        )
        if answer == b"full":
            raise Conflict(f"source {source} has {MOST_RUNNING} backfills that run: wait for one, or cancel it")
        if answer == b"closed":
            raise NotFound(f"source {source} is being deleted")
        if answer == b"changed":
            raise Conflict(f"backfill {backfill_id} has changed: it may have ended")
        if answer != b"ok":
            raise refused(answer, source)


def readable(found: list[bytes]) -> list[tuple[bytes, Backfill]]:
    """The backfills that can be read, newest first, each with what is kept of it."""
    kept = [(raw, backfill) for raw in found if (backfill := read_backfill(raw)) is not None]
    return sorted(kept, key=lambda each: (-each[1].created_ms, each[1].id))


def _field(backfill: Backfill) -> str:
    """Of its place, see keys.readings."""
    return f"{backfill.route}/{BackfillReading.of(backfill).name}"
