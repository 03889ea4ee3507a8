"""What is known of rows, and for how long: until no reading can show them again, within a bound of bytes."""

from collections.abc import Mapping

from redis.asyncio import Redis

from relay.domain.forgetting import known_from, most_buckets
from relay.domain.model import Source, SourceUid
from relay.domain.polling import overlap_floor
from relay.domain.reading.place import Place
from relay.domain.reading.plan import Plan
from relay.domain.reading.trail import cursor_at
from relay.domain.route_state import RouteState
from relay.store import keys, reading_keys
from relay.store.readings import Readings
from relay.store.routes import Routes, space_of
from relay.store.scripts import script

BUCKETS_AT_ONCE = 500
STEPS = 400
"""200,000 buckets a round: more rows than a minute can bring."""
SAMPLED = 50
"""Buckets whose rows are counted, to estimate the bytes of all."""
LATE_S = 120.0
"""In addition to the overlap's own reach: upkeep looks each minute, and an overlap takes a while."""


class Rows:
    """Forgets what is known of rows."""

    def __init__(self, redis: Redis, *, plan: Plan, longest_s: float, most_bytes: int) -> None:
        """`longest_s`: for how long rows are known for a route that is behind, and can't go on."""
        self._redis = redis
        self._routes = Routes(redis)
        self._readings = Readings(redis)
        self._plan = plan
        self._longest_ms = round(max(longest_s, 2 * plan.longest_s) * 1000)
        self._most_bytes = most_bytes

    async def forget(self, source: Source, *, now_ms: int) -> int:
        """Forget what is known of rows that no reading can show again; gives how many buckets. `now_ms`: the server's.

        What is too much, or was kept for too long, is forgotten although readings need it: it is announced first, so
        that they leave these rows out, and forgotten in the next round.
        """
        forgotten, places = 0, (await self._readings.load(source.uid)).of
        for space in sorted({space_of(route) for route in source.routes}):
            routes = [route for route in source.routes if space_of(route) == space]
            states = await self._routes.states(source.uid, routes)
            await self._mark(source.uid, space, routes)
            needed = min([await self._needed(source, space, state, places, now_ms) for state in states])
            outlived = await self._furthest(source.uid, space, now_ms - self._longest_ms)
            cut = max(outlived or 0, await self._beyond_bound(source.uid, space))
            announced = await self._readings.known_from(source.uid, space)
            if cut > max(needed, announced):
                of_space = [keys.route(source.uid, route) for route in routes]
                names = [reading_keys.known_from(source.uid, space), *of_space]
                await script("cut_rows")(self._redis, names, [cut])
            forgotten += await self._forget(source.uid, space, max(needed, min(cut, announced)))
        return forgotten

    async def _mark(self, source: SourceUid, space: str, routes: list[str]) -> None:
        names = [keys.marks(source, space), *(keys.route(source, route) for route in routes)]
        await script("mark_rows")(self._redis, names, [self._longest_ms])

    async def _needed(
        self, source: Source, space: str, state: RouteState, places: Mapping[str, Mapping[str, Place]], now_ms: int
    ) -> int:
        """Behind which rowId rows must be known for a route's sake."""
        cursor, of = state.cursor or 0, places.get(state.route, {})
        reach_ms = round((self._plan.overlap.back_s(source.poll_interval_s) + LATE_S) * 1000)
        trail = await self._readings.trail(source.uid, state.route)
        overlap_from = None
        if trail:
            then = cursor_at(trail, now_ms - reach_ms)
            before = trail[0].cursor if then is None else then
            overlap_from = overlap_floor(cursor, cursor_before=before, most_rows=self._plan.overlap.rows)
        shown_up_to = None
        if state.caught_up_at_ms is not None:
            caught_up_ms = min(state.caught_up_at_ms, now_ms)
            shown_up_to = await self._furthest(source.uid, space, caught_up_ms - reach_ms)
        overlap = of.get(self._plan.overlap.name)
        under_way = [overlap] if overlap is not None and overlap.until is not None else []
        followers = [of[each.name] for each in self._plan.followers if each.name in of]
        return known_from(state, shown_up_to=shown_up_to, overlap_from=overlap_from, places=[*under_way, *followers])

    async def _furthest(self, source: SourceUid, space: str, time_ms: int) -> int | None:
        """The furthest cursor at a time, or a little before; None: that is not known."""
        found = await self._redis.zrevrangebyscore(keys.marks(source, space), time_ms, "-inf", start=0, num=1)
        return int(found[0]) if found else None

    async def _beyond_bound(self, source: SourceUid, space: str) -> int:
        """Up to which rowId the oldest known rows would have to go, for the others to keep to the bound; 0: none."""
        index = keys.seen_buckets(source, space)
        count = await self._redis.zcard(index)
        if count <= most_buckets([keys.ROWS_PER_BUCKET], most_bytes=self._most_bytes):
            return 0
        async with self._redis.pipeline(transaction=False) as pipe:
            for at in range(SAMPLED):
                pipe.zrange(index, at * count // SAMPLED, at * count // SAMPLED)
            sampled = [int(found[0]) for found in await pipe.execute() if found]
            for bucket in sampled:
                pipe.hlen(keys.seen(source, space, bucket))
            most = most_buckets(await pipe.execute(), most_bytes=self._most_bytes)
        if count <= most:
            return 0
        first = await self._redis.zrange(index, count - most, count - most)
        return int(first[0]) * keys.ROWS_PER_BUCKET - 1 if first else 0

    async def _forget(self, source: SourceUid, space: str, floor: int) -> int:
        index, end = keys.seen_buckets(source, space), (floor + 1) // keys.ROWS_PER_BUCKET
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
