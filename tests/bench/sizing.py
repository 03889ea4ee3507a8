"""What a row takes of Redis's memory, part by part: for how much memory an installation wants."""

from collections import Counter

from redis.asyncio import Redis

from relay.domain.model import Attempt, EndpointId, Source, SourceUid
from relay.store import keys
from relay.store.attempts import pack_attempt
from tests.bench.bench import Bench
from tests.bench.figures import Figure
from tests.bench.filling import fill
from tests.bench.flows import fresh_source
from tests.bench.ground import Ground, ground
from tests.bench.judging import NOW_MS, commits
from tests.bench.measuring import used_memory

PART = "sizing"
TEXT = "what a row of 2.2 kB takes of Redis's memory, that waits for one endpoint and was tried once"
ROWS = 20_000
ENDPOINT = EndpointId("ep_" + 22 * "a")
PARTS = {
    "seen": "what is known of the row",
    "events": "its event",
    "ids": "the index of its message id",
    "lane": "its place in a lane",
    "attempt": "an attempt",
    "book_rows": "the books: where its row's events are",
    "books": "the books: what became of its delivery to one endpoint",
}
"""The beginnings of the kinds of keys."""
SOURCE = SourceUid("bench")
WIDE = (10, 100)
"""Endpoints that are all owed each event."""


async def run(bench: Bench) -> None:
    """Measure each part, and all of it."""
    bench.report.begin(PART, TEXT)
    async with ground(bench.own_folder("s")) as store:
        count = bench.size(ROWS)
        async with fresh_source(store, "http://127.0.0.1:9", paused=True) as source:
            empty = await used_memory(store.stores.redis)
            await _store(bench, store, source, count)
            everything = (await used_memory(store.stores.redis) - empty) / count
            sizes = await _sizes(store.stores.redis, source)
        for wide in WIDE:
            sizes[f"books {wide}"] = await _books(bench, store, endpoints=wide)
    for kind, text in PARTS.items():
        bench.report.add(Figure(PART, text, [sizes[kind] / count], "bytes"))
    for wide in WIDE:
        text, size = f"the same with {wide} endpoints, for each", sizes[f"books {wide}"] / (count * wide)
        bench.report.add(Figure(PART, text, [size], "bytes"))
    bench.report.add(Figure(PART, "all in", [everything], "bytes", note="with the tables of keys"))


async def _store(bench: Bench, store: Ground, source: Source, count: int) -> None:
    rows = commits(bench.rows.lines(count), lambda *_: [(ENDPOINT, 0)], source=SOURCE)
    await fill(store, source, rows)
    async with store.stores.redis.pipeline(transaction=False) as pipe:
        for row in rows:
            bucket = row.number // keys.ATTEMPTS_PER_BUCKET
            record = pack_attempt(
                Attempt(
                    endpoint_id=ENDPOINT,
                    seq=row.number,
                    number=1,
                    type_code=0,
                    started_at_ms=NOW_MS,
                    duration_ms=9,
                    status=204,
                    verdict="delivered",
                    url="https://hooks.example.com/in",
                    tag="abcde",
                )
            )
            pipe.hset(keys.attempts(source.uid, bucket), f"{row.number}:{ENDPOINT}:{NOW_MS}", record)
            pipe.zadd(keys.endpoint_attempts(source.uid, ENDPOINT), {f"{row.number}:{NOW_MS}": NOW_MS})
        await pipe.execute()


async def _books(bench: Bench, store: Ground, *, endpoints: int) -> int:
    """Bytes of what became of the deliveries of each row to so many endpoints."""
    wanted = [(EndpointId(f"ep_{number:027}"), 0) for number in range(endpoints)]
    async with fresh_source(store, "http://127.0.0.1:9", paused=True) as source:
        await fill(store, source, commits(bench.rows.lines(bench.size(ROWS)), lambda *_: wanted, source=SOURCE))
        return (await _sizes(store.stores.redis, source))["books"]


async def _sizes(redis: Redis, source: Source) -> Counter[str]:
    """Bytes by the kind of key."""
    sizes: Counter[str] = Counter()
    async for name in redis.scan_iter(match=keys.prefix(source.uid) + "*", count=1000):
        kind = name.decode().removeprefix(keys.prefix(source.uid)).partition(":")[0]
        part = next((part for part in PARTS if kind.startswith(part)), "")
        sizes[part] += await redis.memory_usage(name, samples=0) or 0
    return sizes
