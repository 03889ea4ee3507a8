"""The log of attempts: one record for each HTTP try, written with what came of it, shed oldest first."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from redis.asyncio import Redis

from relay.domain.model import Attempt, EndpointId, SourceUid
from relay.errors import Unreadable
from relay.store import keys
from relay.store.packing import Packing
from relay.store.scripts import script

PACKING = Packing(Attempt, version=1)
pack_attempt = PACKING.pack
"""Attempt → bytes, the form that is stored."""
UNLISTED_AT_ONCE = 1000


class Attempts:
    """The attempts of all sources."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def of_event(self, source: SourceUid, number: int, tag: str) -> list[Attempt]:
        """All attempts to deliver one event, to whichever endpoint, oldest first. `tag` is its references' tag."""
        key = keys.attempts(source, number // keys.ATTEMPTS_PER_BUCKET)
        records = [record async for _, record in self._redis.hscan_iter(key, match=f"{number}:*", count=1000)]
        # Its number may have been another event's before.
        found = [attempt for attempt in _readable(records) if attempt.tag == tag]
        return sorted(found, key=lambda attempt: attempt.started_at_ms)

    async def of_endpoint(
        self, source: SourceUid, endpoint: EndpointId, *, before: int | None, limit: int
    ) -> list[tuple[int, Attempt]]:
        """Up to `limit` attempts of an endpoint, newest first, each with its position; `before`: below that position.

        Positions count from the oldest that is listed, so one that was given stays right until older ones are shed.
        """
        key = keys.endpoint_attempts(source, endpoint)
        end = await self._redis.llen(key) if before is None else before  # type: ignore[misc]
        if end <= 0:
            return []
        first = max(0, end - limit)
        entries = await self._redis.lrange(key, first, end - 1)  # type: ignore[misc]
        async with self._redis.pipeline(transaction=False) as pipe:
            for entry in entries:
                number, began_ms = entry.decode().split(":")
                bucket = int(number) // keys.ATTEMPTS_PER_BUCKET
                pipe.hget(keys.attempts(source, bucket), f"{number}:{endpoint}:{began_ms}")
            records = await pipe.execute()
        found = [(first + i, attempt) for i, record in enumerate(records) for attempt in _readable([record])]
        return found[::-1]

    async def total_bytes(self, source: SourceUid) -> int:
        """What the log of a source holds."""
        return int(await self._redis.hget(keys.attempt_sizes(source), "total") or 0)  # type: ignore[misc]

    async def shed(self, source: SourceUid, *, budget_bytes: int) -> int:
        """Drop the oldest buckets until the log is within its budget; gives the number of bytes dropped."""
        dropped = 0
        while await self.total_bytes(source) > budget_bytes:
            oldest = await self._redis.zrange(keys.attempt_buckets(source), 0, 0)
            if not oldest:
                break
            bucket = int(oldest[0])
            await self._unlist(source, await self._redis.hkeys(keys.attempts(source, bucket)))  # type: ignore[misc]
            names = [keys.attempt_buckets(source), keys.attempt_sizes(source)]
            dropped += int(await script("shed_attempts")(self._redis, names, [keys.prefix(source), bucket]))
        return dropped

    async def _unlist(self, source: SourceUid, fields: Sequence[bytes]) -> None:
        """Take attempts out of their endpoints' lists. They stand at the beginning, for they are the oldest."""
        for first in range(0, len(fields), UNLISTED_AT_ONCE):
            async with self._redis.pipeline(transaction=False) as pipe:
                for field in fields[first : first + UNLISTED_AT_ONCE]:
                    number, endpoint, began_ms = field.decode().split(":")
                    pipe.lrem(keys.endpoint_attempts(source, EndpointId(endpoint)), 1, f"{number}:{began_ms}")
                await pipe.execute()


def _readable(records: Iterable[bytes | None]) -> Iterator[Attempt]:
    """Attempts that are there, and of a form that this release knows."""
    for record in records:
        if record is not None:
            with suppress(Unreadable):
                yield PACKING.unpack(record)
