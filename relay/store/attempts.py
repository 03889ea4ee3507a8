"""The log of attempts: one record for each HTTP try, written together with its result, shed oldest first."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from redis.asyncio import Redis

from relay.domain.model import Attempt, EndpointId, SourceUid
from relay.errors import Unreadable
from relay.store import keys
from relay.store.packing import Packing
from relay.store.scripts import script
from relay.store.tallies import Pair
from relay.store.timeline import Place, read_timeline

PACKING = Packing(Attempt, version=1)
pack_attempt = PACKING.pack
"""Attempt → bytes, the form that is stored."""
ATTEMPT_BYTES = 112
"""In addition to its names and its record: entries of a hash table and a sorted set, rounded up by the allocator."""
BUCKET_BYTES = 272
"""A bucket's key and hash, and its entries in the sets of buckets and sizes."""
UNLISTED_AT_ONCE = 1000
BUCKETS_AT_ONCE = 64
BYTES_AT_ONCE = 2**20
STEPS = 200


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
        self, source: SourceUid, endpoint: EndpointId, *, edge: Place | None = None, newer: bool = False, limit: int
    ) -> list[tuple[Place, Attempt | None]]:
        """Up to `limit` attempts of an endpoint by the time when they began, each with its place.

        The newest below `edge` come first; with `newer`, the oldest at or above it. None: an attempt is unreadable.
        """
        key = keys.endpoint_attempts(source, endpoint)
        places = await read_timeline(self._redis, key, edge=edge, newer=newer, limit=limit)
        async with self._redis.pipeline(transaction=False) as pipe:
            for _, entry in places:
                pipe.hget(*_record_of(source, endpoint, entry))
            records = await pipe.execute()
        return [(place, next(_readable([record]), None)) for place, record in zip(places, records, strict=True)]

    async def newest(self, pairs: Sequence[Pair], *, each: int) -> dict[Pair, list[Attempt]]:
        """The newest attempts of some endpoints in some streams, at most `each` of a pair, newest first.

        Two round trips. Raises StoreUnavailable.
        """
        async with self._redis.pipeline(transaction=False) as pipe:
            for endpoint, stream in pairs:
                pipe.zrevrangebyscore(keys.endpoint_attempts(stream, endpoint), "+inf", "-inf", start=0, num=each)
            entries = await pipe.execute() if pairs else []
        places = [
            (pair, entry.decode("utf-8", "replace"))
            for pair, some in zip(pairs, entries, strict=True)
            for entry in some
        ]
        found: dict[Pair, list[Attempt]] = {pair: [] for pair in pairs}
        async with self._redis.pipeline(transaction=False) as pipe:
            for (endpoint, stream), entry in places:
                pipe.hget(*_record_of(stream, endpoint, entry))
            records = await pipe.execute() if places else []
        for (pair, _), record in zip(places, records, strict=True):
            found[pair] += _readable([record])
        return found

    async def total_bytes(self, source: SourceUid) -> int:
        """What the log of a source takes of the server's memory."""
        return (await self.totals([source]))[source]

    async def totals(self, sources: Sequence[SourceUid]) -> dict[SourceUid, int]:
        """The same for several sources, in one round trip."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for source in sources:
                pipe.hget(keys.attempt_sizes(source), "total")
                pipe.hlen(keys.attempt_sizes(source))
            found = await pipe.execute()
        return {
            source: int(total or 0) + max(0, int(fields) - 1) * BUCKET_BYTES
            for source, total, fields in zip(sources, found[::2], found[1::2], strict=True)
        }

    async def shed(self, source: SourceUid, *, budget_bytes: int) -> int:
        """Drop the oldest buckets until the log is within its budget, at most 20 MB or so; gives the bytes dropped."""
        dropped = 0
        for _ in range(STEPS):
            # Looked up each time: another worker may shed too.
            too_much = await self.total_bytes(source) - budget_bytes
            step = await self._shed_oldest(source, too_much) if too_much > 0 else 0
            if not step:
                break
            dropped += step
        return dropped

    async def _shed_oldest(self, source: SourceUid, wanted: int) -> int:
        """Drop as many of the oldest buckets as hold so many bytes, a step's work at most; gives the bytes dropped."""
        oldest = await self._redis.zrange(keys.attempt_buckets(source), 0, BUCKETS_AT_ONCE - 1)
        if not oldest:
            return 0
        sizes = await self._redis.hmget(keys.attempt_sizes(source), oldest)  # type: ignore[misc]
        chosen, size = 0, 0
        while chosen < len(oldest) and size < min(wanted, BYTES_AT_ONCE):
            size += int(sizes[chosen] or 0) + BUCKET_BYTES
            chosen += 1
        buckets = [bucket.decode() for bucket in oldest[:chosen]]
        unlisted = await self._unlist(source, buckets)
        names = [keys.attempt_buckets(source), keys.attempt_sizes(source)]
        dropped = 0
        for bucket, fields in zip(buckets, unlisted, strict=True):
            args = [keys.prefix(source), bucket, fields]
            answer = int(await script("shed_attempts")(self._redis, names, args))
            dropped += answer + BUCKET_BYTES if answer >= 0 else 0
        return dropped

    async def _unlist(self, source: SourceUid, buckets: Sequence[str]) -> list[int]:
        """Take the attempts of buckets out of their endpoints' lists; gives how many attempts each bucket had."""
        counts = []
        for bucket in buckets:
            name, cursor, found = f"{keys.prefix(source)}attempts:{bucket}", 0, set[bytes]()
            while True:
                cursor, page = await self._redis.hscan(name, cursor, count=UNLISTED_AT_ONCE)
                await self._unlist_page(source, page.keys() - found)
                found |= page.keys()
                if not cursor:
                    break
            counts.append(len(found))
        return counts

    async def _unlist_page(self, source: SourceUid, fields: Iterable[bytes]) -> None:
        async with self._redis.pipeline(transaction=False) as pipe:
            for field in fields:
                number, endpoint, began_ms = _parts(field)
                pipe.zrem(keys.endpoint_attempts(source, EndpointId(endpoint)), f"{number}:{began_ms}")
            await pipe.execute()


def attempt_size(field: str, record: bytes) -> int:
    """What an attempt takes of the server's memory, in bytes: its place in its bucket and that in its endpoint's list.

    `field` is its name in the bucket, `{number}:{endpoint}:{ms}`. Measured on Valkey 9.1 and Redis 7.0, both within
    15 % from 66 B to 3.5 kB; a bucket takes another BUCKET_BYTES.
    """
    number, _, began_ms = _parts(field.encode())
    return len(field) + len(record) + len(number) + len(began_ms) + ATTEMPT_BYTES


def _record_of(source: SourceUid, endpoint: EndpointId, entry: str) -> tuple[str, str]:
    """The bucket and the field of an attempt that an endpoint's list names."""
    number, _, began_ms = entry.partition(":")
    bucket = int(number) // keys.ATTEMPTS_PER_BUCKET if number.isdecimal() else 0
    return keys.attempts(source, bucket), f"{number}:{endpoint}:{began_ms}"


def _parts(field: bytes) -> tuple[str, str, str]:
    """Number, endpoint and ms of a field; a damaged one has parts that lead nowhere."""
    number, _, rest = field.decode("utf-8", "replace").partition(":")
    endpoint, _, began_ms = rest.rpartition(":")
    return number, endpoint, began_ms


def _readable(records: Iterable[bytes | None]) -> Iterator[Attempt]:
    """Attempts that are there, and of a form that this release knows."""
    for record in records:
        if record is not None:
            with suppress(Unreadable):
                yield PACKING.unpack(record)
