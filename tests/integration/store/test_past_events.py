"""Past events: what rows were, for as long as a change can be found, within a budget."""

import pytest
from redis.asyncio import Redis

from relay.store import keys, reading_keys
from relay.store.compaction import Compaction
from relay.store.past_events import BUCKET_BYTES, PastEvents
from relay.store.retention import Retention
from tests.integration.store.floor import NOW, UK, A, Floor, packed

BUCKET = keys.EVENTS_PER_BUCKET


@pytest.fixture
def past(redis: Redis) -> PastEvents:
    return PastEvents(redis)


@pytest.fixture
def floor(redis: Redis) -> Floor:
    return Floor(redis)


async def test_events_that_are_over_are_kept_condensed(floor: Floor, past: PastEvents) -> None:
    """They take a tenth, and are read by number as they were."""
    await floor.fill(numbers=range(1, 2 * BUCKET), stored_at_ms=NOW - 50)
    before = await floor.redis.memory_usage(keys.events(UK, 0), samples=0)
    kept = Retention(floor.redis)
    assert await kept.forget_events(UK, before_ms=NOW, past_from_ms=NOW - 100) == 2 * BUCKET - 1
    found = await past.read(UK, [1, 77, BUCKET - 1, BUCKET, 10**9])
    assert sorted(found) == [1, 77, BUCKET - 1, BUCKET]
    assert found[77].stored_at_ms == NOW - 50
    assert await floor.redis.memory_usage(reading_keys.past(UK, 0), samples=0) < before / 10


async def test_events_that_nobody_will_ask_for_are_not_kept(floor: Floor, past: PastEvents) -> None:
    """Those that are older than the longest reading, and all of them when no reading looks for changes."""
    await floor.fill(numbers=range(1, 3 * BUCKET), stored_at_ms=NOW - 50)
    await Retention(floor.redis).forget_events(UK, before_ms=NOW, past_from_ms=NOW - 49)
    await floor.fill(numbers=range(3 * BUCKET, 5 * BUCKET), stored_at_ms=NOW - 50)
    await Retention(floor.redis).forget_events(UK, before_ms=NOW)
    assert await floor.redis.exists(reading_keys.past_buckets(UK)) == 0


async def test_single_events_of_a_bucket_are_kept_too(floor: Floor, past: PastEvents) -> None:
    """One that waits keeps its bucket; the others are condensed when they go, and it joins them later."""
    await floor.fill(A, numbers=range(9, 10), stored_at_ms=NOW - 50)
    for numbers in (range(1, 9), range(10, BUCKET), range(BUCKET, BUCKET + 1)):
        await floor.fill(numbers=numbers, stored_at_ms=NOW - 50)
    await Compaction(floor.redis).compact(UK, before_ms=NOW, past_from_ms=NOW - 100)
    assert sorted(await past.read(UK, range(1, 12))) == [1, 2, 3, 4, 5, 6, 7, 8, 10, 11]
    await floor.redis.hset(keys.references(UK), "0", "0")  # type: ignore[misc]
    await Retention(floor.redis).forget_events(UK, before_ms=NOW, past_from_ms=NOW - 100)
    assert sorted(await past.read(UK, range(1, 12))) == list(range(1, 12))


async def test_past_events_are_bounded(redis: Redis, past: PastEvents) -> None:
    """By time and by bytes: the oldest go first, and what is damaged goes at once."""
    for bucket in range(6):
        event = {bucket * BUCKET: packed(bucket * BUCKET)}
        await redis.hset(keys.events(UK, bucket), mapping=event)  # type: ignore[misc,arg-type]
        await past.keep(UK, bucket, event, newest_ms=NOW + bucket)
    sizes = await past.total_bytes(UK)
    assert sizes > 6 * BUCKET_BYTES
    assert await past.forget(UK, before_ms=NOW + 2, most_bytes=10**9) == pytest.approx(sizes / 3, rel=0.1)
    await past.forget(UK, before_ms=0, most_bytes=round(sizes / 6 * 2.5))
    assert sorted(await past.read(UK, range(6 * BUCKET))) == [4 * BUCKET, 5 * BUCKET]
    await redis.hset(reading_keys.past_buckets(UK), "5", "soon")  # type: ignore[misc]
    await redis.hset(reading_keys.past(UK, 4), "0", b"damaged")  # type: ignore[misc]
    assert await past.read(UK, [4 * BUCKET]) == {}
    await past.forget(UK, before_ms=0, most_bytes=10**9)
    assert await redis.hkeys(reading_keys.past_buckets(UK)) == [b"4"]
    assert await redis.exists(reading_keys.past(UK, 5)) == 0


async def test_a_source_that_was_deleted_gets_no_past_event(redis: Redis, past: PastEvents) -> None:
    """Upkeep that is late must leave nothing behind."""
    await past.keep(UK, 0, {1: packed(1)}, newest_ms=NOW)
    assert await redis.keys("*") == []
