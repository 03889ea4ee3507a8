"""What is known of rows, and for how long: until no route can show them again."""

from redis.asyncio import Redis

from relay.domain.forgetting import known_from
from relay.domain.model import RouteState, Source, SourceUid
from relay.store import keys
from relay.store.routes import Routes, space_of
from relay.store.scripts import script

BUCKETS_AT_ONCE = 500
STEPS = 400
"""200,000 buckets a round: more rows than a minute can bring."""
LATE_S = 120.0
"""In addition to the overlap's own reach: upkeep looks each minute, and an overlap takes a while."""


class Rows:
    """Forgets what is known of rows."""

    def __init__(
        self, redis: Redis, *, overlap_rows: int, overlap_s: float, overlap_interval_s: float, longest_s: float
    ) -> None:
        """`longest_s`: for how long rows are known for a route that is behind, and can't go on."""
        self._redis = redis
        self._routes = Routes(redis)
        self._overlap_rows = overlap_rows
        self._overlap_s = overlap_s
        self._overlap_interval_s = overlap_interval_s
        self._longest_ms = round(longest_s * 1000)

    async def forget(self, source: Source, *, now_ms: int) -> int:
        """Forget what is known of rows that no route can show again; gives how many buckets. `now_ms`: the server's."""
        forgotten = 0
        for space in sorted({space_of(route) for route in source.routes}):
            routes = [route for route in source.routes if space_of(route) == space]
            states = await self._routes.states(source.uid, routes)
            await self._mark(source.uid, space, routes)
            floor = min([await self._floor(source, space, state, now_ms) for state in states])
            forgotten += await self._forget(source.uid, space, floor)
        return forgotten

    async def _mark(self, source: SourceUid, space: str, routes: list[str]) -> None:
        names = [keys.marks(source, space), *(keys.route(source, route) for route in routes)]
        await script("mark_rows")(self._redis, names, [self._longest_ms])

    async def _floor(self, source: Source, space: str, state: RouteState, now_ms: int) -> int:
        oldest = await self._redis.zrange(keys.trail(source.uid, state.route), 0, 0)
        reach_s = self._overlap_s + 2 * max(self._overlap_interval_s, source.poll_interval_s) + LATE_S
        marks = [await self._furthest(source.uid, space, now_ms - self._longest_ms)]
        if state.caught_up_at_ms is not None:
            caught_up_ms = min(state.caught_up_at_ms, now_ms)
            marks.append(await self._furthest(source.uid, space, caught_up_ms - round(reach_s * 1000)))
        return known_from(
            state,
            oldest_cursor=int(oldest[0]) if oldest else None,
            shown_up_to=max((mark for mark in marks if mark is not None), default=None),
            most_rows=self._overlap_rows,
        )

    async def _furthest(self, source: SourceUid, space: str, time_ms: int) -> int | None:
        """The furthest cursor at a time, or a little before; None: that is not known."""
        found = await self._redis.zrevrangebyscore(keys.marks(source, space), time_ms, "-inf", start=0, num=1)
        return int(found[0]) if found else None

    async def _forget(self, source: SourceUid, space: str, floor: int) -> int:
        index, end = keys.seen_buckets(source, space), floor // keys.ROWS_PER_BUCKET
        forgotten = 0
        for _ in range(STEPS):
            found = await self._redis.zrangebyscore(index, "-inf", f"({end}", start=0, num=BUCKETS_AT_ONCE)
            # Scores are rounded where ids have 18 digits; members are not.
            buckets = [bucket for bucket in map(int, found) if bucket < end]
            if not buckets:
                break
            # One step, so that no bucket that gets a row in between is left without its entry.
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.unlink(*[keys.seen(source, space, bucket) for bucket in buckets])
                pipe.zrem(index, *buckets)
                await pipe.execute()
            forgotten += len(buckets)
        return forgotten
