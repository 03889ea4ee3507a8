"""The server's clock is set back: what the store wrote down by it before comes no later for that.

A server can't be told its time. So what it wrote down is put ahead instead: its clock goes back, seen from there.
"""

import asyncio
import time

import pytest
from redis.asyncio import Redis

from relay.domain.breaking import Condition, parse_condition
from relay.domain.sending.effects import HandIn
from relay.store import keys
from relay.store.conditions import ConditionChange, Conditions
from relay.store.server import Server
from tests.fault.stage import until
from tests.integration.store.floor import UK, A, B, C, Floor

HOUR_MS = 3_600_000


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@pytest.fixture
def floor(redis: Redis) -> Floor:
    floor = Floor(redis)
    floor.now_ms = now_ms()
    return floor


async def go_back(redis: Redis, ms: int, *, since_ms: int | None = None) -> None:
    """The server swept, and its clock was read, at a time that is still to come: so long after now, or after a time."""
    at_ms = (now_ms() if since_ms is None else since_ms) + ms
    await redis.set(keys.swept(UK), at_ms)
    await redis.set(keys.CLOCK, at_ms)


async def retrying(floor: Floor, in_ms: int) -> None:
    """A delivery waits for its next try; another endpoint's lane is put aside, and a third one's worker has died."""
    await floor.fill(A, B, C, numbers=range(1, 2))
    await floor.claim("s", lanes=3)
    for_a, for_b = floor.now_ms + in_ms, floor.now_ms + in_ms
    due = [(b"a1:2:00000", "a1:2:00000:2", for_a, "")]
    await floor.exchange("s", HandIn(A, due=due), HandIn(B, leaving="park", until_ms=for_b), lives_ms=in_ms)


async def test_retries_lanes_and_dead_workers_come_no_later(floor: Floor) -> None:
    await retrying(floor, HOUR_MS + 20)
    # Nothing was due when it swept last, however slow this machine is.
    await go_back(floor.redis, HOUR_MS, since_ms=floor.now_ms)

    async def all_ready() -> bool:
        await floor.lanes.sweep(UK, now_ms=now_ms())
        return (await floor.books()).lanes == {A: "r", B: "r", C: "r"}

    await until(all_ready, what="what was to come 20 ms later")


@pytest.mark.parametrize("ms", [0, 900])
async def test_a_clock_that_is_disciplined_was_not_set(floor: Floor, ms: int) -> None:
    await retrying(floor, HOUR_MS)
    await go_back(floor.redis, ms)
    before = await floor.redis.zrange(keys.due(UK), 0, -1, withscores=True)
    await floor.lanes.sweep(UK, now_ms=now_ms())
    assert await floor.redis.zrange(keys.due(UK), 0, -1, withscores=True) == before


async def test_a_worker_that_has_not_heard_of_it_makes_nothing_ready_too_soon(floor: Floor) -> None:
    """And what it writes down comes as if it had."""
    floor.now_ms += HOUR_MS
    await retrying(floor, 30_000)
    (_, due_ms), *_ = await floor.redis.zrange(keys.due(UK), 0, -1, withscores=True)
    (_, unpark_ms), *_ = await floor.redis.zrange(keys.parked(UK), 0, -1, withscores=True)
    assert 25_000 < due_ms - now_ms() <= 30_000
    assert 25_000 < unpark_ms - now_ms() <= 30_000
    assert (await floor.lanes.sweep(UK, now_ms=now_ms() + HOUR_MS)).retries == 0


async def test_what_was_written_down_since_is_right_as_it_is(floor: Floor) -> None:
    """A worker renews its session, and a delivery waits for a minute, before a sweep sees that the clock was set."""
    await floor.fill(A, numbers=range(1, 3))
    await go_back(floor.redis, HOUR_MS)
    await floor.claim("s", lives_ms=100_000)
    due = [(b"a1:2:00000", "a1:2:00000:2", now_ms() + 60_000, "")]
    await floor.exchange("s", HandIn(A, due=due), lives_ms=100_000)
    for _ in range(2):
        swept = await floor.lanes.sweep(UK, now_ms=now_ms())
        assert (swept.reclaimed, swept.retries) == (0, 0)


async def test_a_breaker_opens_no_later(redis: Redis) -> None:
    """Once, however many workers read the clock."""
    conditions, at = Conditions(redis), now_ms()
    opened = ConditionChange(A, "open", 0, at + 30_000)
    await conditions.change([opened], session="s", now_ms=at, probe_lives_ms=25_000)
    await redis.hset(keys.CONDITIONS, B, "of another release")
    await go_back(redis, HOUR_MS)
    await asyncio.gather(*(Server(redis).read_clock() for _ in range(5)))
    found = (await conditions.read([A]))[A]
    assert (found.opens, found.asked_ms, found.probe_until_ms) == (1, 0, 0)
    assert abs(found.until_ms - (at + 30_000 - HOUR_MS)) < 60_000
    assert abs(found.failing_since_ms - (at - HOUR_MS)) < 60_000
    assert await redis.hget(keys.CONDITIONS, B) == b"of another release"


async def test_what_a_worker_ahead_of_it_says_of_a_breaker(redis: Redis) -> None:
    conditions, ahead = Conditions(redis), now_ms() + HOUR_MS
    changes = [ConditionChange(A, "open", 0, ahead + 60_000), ConditionChange(B, "rest", 0, ahead + 60_000)]
    await conditions.change(changes, session="s", now_ms=ahead, probe_lives_ms=25_000)
    found = await conditions.read([A, B])
    assert 0 < found[A].until_ms - now_ms() <= 60_000
    assert 0 < found[B].asked_ms - now_ms() <= 60_000


async def test_the_core_and_the_store_set_a_condition_back_alike(redis: Redis) -> None:
    condition = Condition(now_ms(), 3, now_ms() + 9, 0, now_ms() + 99, "s:1")
    await redis.hset(keys.CONDITIONS, A, condition.text())
    await go_back(redis, HOUR_MS)
    await Server(redis).read_clock()
    stored = parse_condition(await redis.hget(keys.CONDITIONS, A))
    assert stored == condition.set_back(condition.failing_since_ms - stored.failing_since_ms)
