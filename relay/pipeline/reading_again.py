"""Reading again: what replays chose and the relay no longer has, the upstream shows once more, in backfills."""

import hashlib

from msgspec.structs import replace

from relay.domain.base62 import base62
from relay.domain.model import SourceUid
from relay.domain.reading.backfill import Backfill
from relay.domain.reading.too_old import TooOld
from relay.domain.replaying import Replay
from relay.domain.streams import are_posts
from relay.pipeline.reading.old_rows import OldRows
from relay.store.backfills import PREFIX, Backfills
from relay.store.identifiers import RANDOM_BYTES, TIME_BYTES
from relay.store.routes import Routes
from relay.store.sources import Sources


class ReadingAgain:
    """Continues replays that have chosen from all events that are kept."""

    def __init__(self, *, sources: Sources, routes: Routes, backfills: Backfills, old_rows: OldRows) -> None:
        self._sources = sources
        self._routes = routes
        self._backfills = backfills
        self._old_rows = old_rows

    async def step(self, uid: SourceUid, replay: Replay, *, now_ms: int) -> Replay:
        """Begin the next backfill of a replay, or see what became of the last one; gives the replay as it is then.

        Each route with such rows has one backfill, and one runs at a time. Its id is a function of the replay and the
        route, so a worker that dies before it is written down creates no second one.
        """
        kept = {each.id: each for each in await self._backfills.all(uid)}
        last = kept.get(replay.backfills[-1]) if replay.backfills else None
        if last is not None and last.state == "running":
            return replay
        if last is not None and last.state != "done":
            error = f"backfill {last.id} of source {uid} has the state {last.state}: {last.error or 'see its record'}"
            return replace(replay, phase="failed", error=error, updated_ms=now_ms)
        source = await self._sources.get(uid)
        for state in await self._routes.states(uid, source.routes):
            own = backfill_id(replay.id, state.route)
            if own in replay.backfills or state.cursor is None:
                continue
            backfill = _backfill(replay, own, state.route, state.cursor, now_ms=now_ms)
            if own in kept or (await self._has_rows(uid, backfill) and await self._create(uid, backfill)):
                return replace(replay, backfills=(*replay.backfills, own), updated_ms=now_ms)
        return replace(replay, phase="finished", updated_ms=now_ms)

    async def _has_rows(self, source: SourceUid, backfill: Backfill) -> bool:
        """Whether the books have a row for a backfill: a number without an event need not be one that is gone."""
        assert backfill.too_old is not None  # noqa: S101 - it is a replay's
        span = {"after": backfill.after, "until": backfill.until}
        return await self._old_rows.first(source, backfill.route, backfill.too_old, **span) is not None

    async def _create(self, source: SourceUid, backfill: Backfill) -> bool:
        """Create a backfill. Raises Conflict if too many run: the replay waits for one of them."""
        await self._backfills.create(source, lambda _: backfill, now_ms=backfill.created_ms)
        await self._routes.poll_at(source, 0)
        return True


def _backfill(replay: Replay, own: str, route: str, cursor: int, *, now_ms: int) -> Backfill:
    wanted = replay.wanted
    return Backfill(
        id=own,
        route=route,
        after=wanted.after_row_id,
        until=cursor if wanted.until_row_id is None else min(cursor, wanted.until_row_id),
        endpoints=(),
        created_ms=now_ms,
        too_old=TooOld(
            task=replay.id,
            endpoint=replay.endpoint,
            states=wanted.booked,
            first=replay.gone_first,
            last=replay.gone_last,
        ),
    )


def reads_again(source: SourceUid, replay: Replay) -> bool:
    """Whether rows of a replay are to be read again. Posted messages have no rows, and books no event types."""
    return replay.gone_last > 0 and not (replay.dry_run or replay.wanted.types or are_posts(source))


def backfill_id(task: str, route: str) -> str:
    """The id of the backfill that reads a route again for a replay."""
    digest = hashlib.sha256(f"{task} {route}".encode()).digest()[: TIME_BYTES + RANDOM_BYTES]
    return PREFIX + base62(int.from_bytes(digest, "big"))
