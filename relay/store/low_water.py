"""Where each route would have to continue if the store was lost, read from what commits and deliveries leave behind."""

from collections.abc import Iterable, Sequence

from redis.asyncio import Redis

from relay.domain.checkpoint import RouteMark
from relay.domain.low_water import low_water
from relay.domain.model import Source, SourceUid
from relay.domain.reading.place import Place, read_place
from relay.domain.reading.plan import Overlap
from relay.domain.route_state import RouteState
from relay.store import keys, reading_keys
from relay.store.routes import Routes, space_of

SOURCES_AT_ONCE = 500
BUCKETS_AT_ONCE = 5_000
AGAIN_AFTER_MS = 60_000
"""A source in which nothing happened is looked at so often: its overlap reaches less far back as time passes."""
Marks = dict[str, RouteMark]


class LowWater:
    """Reads the marks of all sources. Sources in which nothing happens cost one command a round, in one round trip."""

    def __init__(self, redis: Redis, *, overlap: Overlap, reach_s: float) -> None:
        """`reach_s`: how far back a restored relay looks for the sake of deliveries that had not ended."""
        self._redis = redis
        self._routes = Routes(redis)
        self._overlap = overlap
        self._reach_ms = round(reach_s * 1000)
        self._quiet: dict[SourceUid, tuple[tuple[bytes | None, ...], int, Source, Marks]] = {}

    async def read(self, sources: Sequence[Source], *, now_ms: int) -> dict[SourceUid, Marks]:
        """The marks of each source's routes. `now_ms`: the server's. Raises StoreUnavailable."""
        marks: dict[SourceUid, Marks] = {}
        for first in range(0, len(sources), SOURCES_AT_ONCE):
            some = sources[first : first + SOURCES_AT_ONCE]
            async with self._redis.pipeline(transaction=False) as pipe:
                for source in some:
                    pipe.mget(keys.sequence(source.uid), keys.revived(source.uid))
                told = await pipe.execute()
            for source, state in zip(some, told, strict=True):
                marks[source.uid] = await self._of(source, tuple(state), now_ms)
        self._quiet = {uid: kept for uid, kept in self._quiet.items() if uid in marks}
        return marks

    async def _of(self, source: Source, state: tuple[bytes | None, ...], now_ms: int) -> Marks:
        kept = self._quiet.get(source.uid)
        if kept is not None and kept[0] == state and kept[2] == source and now_ms - kept[1] < AGAIN_AFTER_MS:
            return kept[3]
        # Cursors first: a page that is committed in between is outstanding, and behind the cursor that was read.
        states = await self._routes.states(source.uid, source.routes)
        buckets = await self._outstanding(source.uid)
        marks = await self._marks(source, states, buckets, now_ms)
        if buckets:
            self._quiet.pop(source.uid, None)
        else:
            self._quiet[source.uid] = state, now_ms, source, marks
        return marks

    async def _outstanding(self, source: SourceUid) -> list[bytes]:
        """The buckets of events with deliveries that have not ended."""
        counts = await self._redis.hgetall(keys.references(source))  # type: ignore[misc]
        # What is no number is damage: nobody knows whether somebody waits.
        return [bucket for bucket, count in counts.items() if not count.isdigit() or int(count) > 0]

    async def _marks(
        self, source: Source, states: Sequence[RouteState], buckets: Sequence[bytes], now_ms: int
    ) -> Marks:
        oldest = {space: await self._oldest(source.uid, space, now_ms) for space in set(map(space_of, source.routes))}
        return {
            state.route: RouteMark(
                cursor=await self._mark(source, state, buckets, oldest[space_of(state.route)], now_ms),
                joined=state.joined,
                start=state.start,
            )
            for state in states
            # A route whose cursor is damaged stands still, and nobody knows where.
            if not state.unreadable
        }

    async def _mark(
        self, source: Source, state: RouteState, buckets: Sequence[bytes], oldest: int, now_ms: int
    ) -> int | None:
        if state.cursor is None:
            return None
        floor = await self._floor(source, state, state.cursor, now_ms)
        lowest = await self._lowest(source.uid, state.route, buckets)
        return low_water(state.cursor, floor=floor, lowest=lowest, oldest=oldest)

    async def _floor(self, source: Source, state: RouteState, cursor: int, now_ms: int) -> int:
        """How far behind the cursor rows may still appear: as far as the overlap reads, or is reading now."""
        trail, then_ms = keys.trail(source.uid, state.route), now_ms - self._overlap.back_ms(source.poll_interval_s)
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.zrevrangebyscore(trail, then_ms, "-inf", start=0, num=1)
            pipe.zrange(trail, 0, 0)
            pipe.hget(reading_keys.readings(source.uid), f"{state.route}/{self._overlap.name}")
            then, first, kept = await pipe.execute()
        place = read_place(kept or b"") or Place(cursor)
        oldest = next(iter(_numbers(first)), cursor)
        floor, _ = self._overlap.span(place, cursor=cursor, then=next(iter(_numbers(then)), None), first=oldest)
        return floor if place.until is None else min(floor, place.after)

    async def _lowest(self, source: SourceUid, route: str, buckets: Sequence[bytes]) -> int | None:
        least: int | None = None
        for first in range(0, len(buckets), BUCKETS_AT_ONCE):
            found = await self._redis.hmget(keys.lowest(source, route), [*buckets[first : first + BUCKETS_AT_ONCE]])  # type: ignore[misc]
            least = min([*_numbers(found), *([] if least is None else [least])], default=None)
        return least

    async def _oldest(self, source: SourceUid, space: str, now_ms: int) -> int:
        """The furthest cursor of all routes when a restored relay begins to look back."""
        marks = keys.marks(source, space)
        found = await self._redis.zrevrangebyscore(marks, now_ms - self._reach_ms, "-inf", start=0, num=1)
        return next(iter(_numbers(found)), 0)


def _numbers(values: Iterable[bytes | None]) -> list[int]:
    return [int(value) for value in values if value is not None and value.isdigit()]
