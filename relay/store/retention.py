"""Retention: what is kept no longer. An event goes when its time is over and every delivery of it has ended."""

from redis.asyncio import Redis

from relay.domain.model import SourceUid
from relay.store import keys
from relay.store.events import Events, bucket_of, shard_of
from relay.store.routes import space_of
from relay.store.scripts import script

DEAD_AT_ONCE = 1000
ROW_BUCKETS_AT_ONCE = 2000


class Retention:
    """Forgets what is over, in steps of bounded work."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._events = Events(redis)

    async def forget_dead(self, source: SourceUid, *, before_ms: int) -> int:
        """Forget deliveries that were given up before a time; their events need not be kept for them any more."""
        names = [keys.dead(source), keys.references(source)]
        args = [before_ms, DEAD_AT_ONCE, keys.EVENTS_PER_BUCKET]
        forgotten = 0
        while gone := int(await script("forget_dead")(self._redis, names, args)):
            forgotten += gone
        return forgotten

    async def forget_events(self, source: SourceUid, *, before_ms: int) -> int:
        """Forget buckets of events that were stored before a time and have no delivery left; gives how many events."""
        counts = await self._redis.hgetall(keys.references(source))  # type: ignore[misc]
        newest = bucket_of(await self._events.newest(source))
        ended = sorted(int(bucket) for bucket, count in counts.items() if int(count) <= 0 and int(bucket) < newest)
        forgotten = 0
        for bucket in ended:
            first = bucket * keys.EVENTS_PER_BUCKET
            events = await self._events.read(source, range(first, first + keys.EVENTS_PER_BUCKET))
            if events and max(event.stored_at_ms for event in events.values()) >= before_ms:
                break  # Buckets are in the order of time: the later ones are younger.
            args: list[str | int] = [keys.prefix(source), bucket]
            for number, event in events.items():
                args += (*shard_of(event.id), number)
            forgotten += int(await script("forget_events")(self._redis, [keys.references(source)], args))
        return forgotten

    async def forget_rows(self, source: SourceUid, routes: tuple[str, ...]) -> int:
        """Forget what is known of rows that are behind every route's cursor and its overlap; gives how many buckets."""
        forgotten = 0
        for space in {space_of(route) for route in routes}:
            floors = [await self._floor(source, route) for route in routes if space_of(route) == space]
            if floors and None not in floors:
                forgotten += await self._forget_rows(source, space, min(f for f in floors if f is not None))
        return forgotten

    async def _floor(self, source: SourceUid, route: str) -> int | None:
        # The oldest cursor on the trail is the furthest that an overlap reaches back.
        oldest = await self._redis.zrange(keys.trail(source, route), 0, 0)
        return int(oldest[0]) if oldest else None

    async def _forget_rows(self, source: SourceUid, space: str, floor: int) -> int:
        mark = keys.seen_floor(source, space)
        end = floor // keys.ROWS_PER_BUCKET
        start = int(await self._redis.get(mark) or end)
        forgotten = 0
        while start < end:
            stop = min(end, start + ROW_BUCKETS_AT_ONCE)
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.unlink(*[keys.seen(source, space, bucket) for bucket in range(start, stop)])
                pipe.set(mark, stop)
                gone, _ = await pipe.execute()
            forgotten += int(gone)
            start = stop
        return forgotten
