"""What is kept of a row so that late rows and changes are found: bytes of Redis's memory."""

from collections.abc import Iterable

from redis.asyncio import Redis

from relay.domain.identity import Seen
from relay.domain.reading.place import Place
from relay.store import keys, reading_keys
from relay.store.events import bucket_of
from relay.store.pages import Pages, RowCommit
from relay.store.past_events import PastEvents
from relay.store.readings import Readings
from relay.store.routes import Routes
from tests.bench.bench import Bench
from tests.bench.figures import Figure
from tests.bench.flows import fresh_source
from tests.bench.ground import ROUTE, ground
from tests.bench.judging import NOW_MS, commits
from tests.bench.measuring import used_memory
from tests.bench.sizing import SOURCE

PART = "remembering"
TEXT = "what is kept of a row of 2.2 kB so that late rows and changes are found, in Redis's memory"
ROWS = 20_000
GAPS = {1: "known, every rowId is a row", 3: "known, one rowId in three is", 100: "known, one rowId in a hundred is"}
AT_ONCE = 500


async def run(bench: Bench) -> None:
    """Measure known rows with gaps of several sizes, past events, and the place of a reading."""
    bench.report.begin(PART, TEXT)
    count = bench.size(ROWS)
    async with ground(bench.own_folder("r")) as store:
        redis = store.stores.redis
        for gap, text in GAPS.items():
            before = await used_memory(redis)
            await _know(redis, f"gap{gap}", range(0, count * gap, gap))
            bench.report.add(Figure(PART, text, [(await used_memory(redis) - before) / count], "bytes a row"))
        before = await used_memory(redis)
        await _keep_past(bench, redis, count)
        size = (await used_memory(redis) - before) / count
        bench.report.add(Figure(PART, "what it was, condensed", [size], "bytes a row"))
        async with fresh_source(store, "http://127.0.0.1:9", paused=True) as source:
            token = await Routes(redis).take(source.uid)
            assert token is not None
            place = Place(141_248_745, until=141_250_745, due_ms=NOW_MS)
            await Readings(redis).save(source.uid, ROUTE, {f"gap.{n}": place for n in range(100)}, token=token)
            used = await redis.memory_usage(reading_keys.readings(source.uid), samples=0) or 0
    bench.report.add(Figure(PART, "the place of a reading", [used / 100], "bytes a route"))


async def _know(redis: Redis, space: str, row_ids: Iterable[int]) -> None:
    seen = Seen(owner=0, number=1, classes=1, raw=bytes(8), digests=(bytes(8),)).pack()
    token = await Routes(redis).take(SOURCE)
    assert token is not None
    all_ids = list(row_ids)
    for first in range(0, len(all_ids), AT_ONCE):
        rows = [RowCommit(row_id, seen) for row_id in all_ids[first : first + AT_ONCE]]
        await Pages(redis).commit(
            SOURCE, ROUTE, rows, space=space, cursor=None, token=token, version=NOW_MS, now_ms=NOW_MS
        )
    await Routes(redis).give_back(SOURCE, token)


async def _keep_past(bench: Bench, redis: Redis, count: int) -> None:
    buckets: dict[int, dict[int, bytes]] = {}
    for row in commits(bench.rows.lines(count), lambda *_: [], source=SOURCE):
        buckets.setdefault(bucket_of(row.number), {})[row.number] = row.event
    for bucket, events in buckets.items():
        # The bucket must have events, and may have any.
        await redis.hset(keys.events(SOURCE, bucket), "0", b"")  # type: ignore[misc]
        await PastEvents(redis).keep(SOURCE, bucket, events, newest_ms=NOW_MS)
        await redis.delete(keys.events(SOURCE, bucket))
