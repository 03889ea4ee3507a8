"""Retention: events go when their time is over and nobody waits for them, and nothing goes before."""

import pytest
from redis.asyncio import Redis

from relay.domain.sending.effects import HandIn
from relay.store import keys, retention
from relay.store.deleted_lanes import DeletedLanes
from relay.store.events import Events
from relay.store.retention import Retention
from tests.integration.books import dump
from tests.integration.store.floor import NOW, UK, A, B, Floor, message, packed

BUCKET = keys.EVENTS_PER_BUCKET


@pytest.fixture
def floor(redis: Redis) -> Floor:
    return Floor(redis)


@pytest.fixture
def kept(redis: Redis) -> Retention:
    return Retention(redis)


async def numbers_left(floor: Floor) -> set[int]:
    return set(await Events(floor.redis).read(UK, range(4 * BUCKET)))


async def test_events_go_when_their_time_is_over(floor: Floor, kept: Retention) -> None:
    """Whole buckets whose youngest event is old enough go, with all that leads to them; the newest bucket stays."""
    await floor.fill(numbers=range(1, BUCKET), stored_at_ms=NOW - 100)
    await floor.fill(numbers=range(BUCKET, 2 * BUCKET), stored_at_ms=NOW - 50)
    await floor.fill(numbers=range(2 * BUCKET, 2 * BUCKET + 3), stored_at_ms=NOW - 90)
    assert await kept.forget_events(UK, before_ms=NOW - 100) == 0
    assert await kept.forget_events(UK, before_ms=NOW - 60) == BUCKET - 1
    assert await numbers_left(floor) == set(range(BUCKET, 2 * BUCKET + 3))
    assert await Events(floor.redis).find(UK, message(5)) is None
    assert await Events(floor.redis).find(UK, message(BUCKET)) is not None
    assert await kept.forget_events(UK, before_ms=NOW) == BUCKET
    assert await numbers_left(floor) == {2 * BUCKET, 2 * BUCKET + 1, 2 * BUCKET + 2}
    assert await floor.redis.hkeys(keys.references(UK)) == [b"2"]


@pytest.mark.parametrize("place", ["waiting", "flying", "due", "dead", "behind", "parked"])
async def test_an_event_stays_as_long_as_anybody_waits_for_it(floor: Floor, kept: Retention, place: str) -> None:
    """However old it is and wherever its delivery is: it goes when that has ended."""
    await floor.fill(A, numbers=range(1, 2))
    await floor.fill(numbers=range(BUCKET, BUCKET + 1))
    results = {
        "flying": HandIn(A),
        "due": HandIn(A, due=[(b"a1:2:00000", "a1:2:00000:2", NOW, "")]),
        "dead": HandIn(A, dead=[(b"a1:2:00000", "x")]),
        "behind": HandIn(A, behind=[(b"a1:2:00000", "k")]),
        "parked": HandIn(A, leaving="park", until_ms=NOW, back=[(b"a1:2:00000", b"a1:2:00000")]),
    }
    if place != "waiting":
        await floor.claim("s")
        await floor.block(A, "k", 0)
        await floor.exchange("s", results[place])
    assert await kept.forget_events(UK, before_ms=NOW + 10**9) == 0
    assert 1 in await numbers_left(floor)
    await floor.dies("s")
    await floor.lanes.sweep(UK, now_ms=NOW)
    await DeletedLanes(floor.redis).empty(UK, [A])
    assert await kept.forget_events(UK, before_ms=NOW + 10**9) == 1
    assert await numbers_left(floor) == {BUCKET}


async def test_a_delivery_that_came_to_life_keeps_its_event(
    floor: Floor, kept: Retention, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who resends between the look and the deletion loses nothing."""
    await floor.fill(numbers=range(1, 2))
    await floor.fill(numbers=range(BUCKET, BUCKET + 1))
    look = Retention.bucket

    async def resent_meanwhile(self: Retention, *args: object) -> object:
        found = await look(self, *args)  # type: ignore[arg-type]
        await floor.resend(A, "a1:2:00000")
        return found

    monkeypatch.setattr(Retention, "bucket", resent_meanwhile)
    assert await kept.forget_events(UK, before_ms=NOW + 1) == 0
    assert await numbers_left(floor) == {1, BUCKET}


async def test_an_id_that_leads_to_a_newer_event_stays(floor: Floor, kept: Retention) -> None:
    """An event that was stored again under the same id is found after the first one was forgotten."""
    await floor.fill(numbers=range(1, 2))
    await floor.fill(numbers=range(BUCKET, BUCKET + 1))
    await floor.fill(numbers=range(2 * BUCKET, 2 * BUCKET + 1))
    # As if the row of event 1 had been read again, after what was known of it was forgotten.
    newer = await floor.redis.hget(keys.events(UK, 0), "1")
    await floor.redis.hset(keys.events(UK, 1), str(BUCKET + 1), newer)
    shard, field = message(1)[4:6], message(1)[6:16]
    await floor.redis.hset(keys.message_ids(UK, shard), field, BUCKET + 1)
    await floor.redis.hset(keys.references(UK), "1", 1)
    assert await kept.forget_events(UK, before_ms=NOW + 1) == 1
    found = await Events(floor.redis).find(UK, message(1))
    assert found is not None
    assert found[0] == BUCKET + 1


async def test_the_dead_go_after_their_own_time(floor: Floor, kept: Retention) -> None:
    """All of those that were given up before a time go, however many, and let their events go."""
    await floor.fill(A, B, numbers=range(10, 40))
    await floor.claim("s", lanes=2, per_lane=30)
    await floor.exchange("s", HandIn(A, dead=[(b"a%d:2:00000" % n, "x") for n in range(10, 40)]))
    floor.now_ms = NOW + 5
    await floor.exchange(
        "s", HandIn(B, dead=[(b"a10:2:00000", "x")], ended=[b"a%d:2:00000" % n for n in range(11, 40)])
    )
    assert await kept.forget_dead(UK, before_ms=NOW) == (0, 0)
    assert await kept.forget_dead(UK, before_ms=NOW + 5) == (30, 0)
    assert (await floor.books()).references == {0: 1}
    assert await floor.owed() == {B: len(packed(10))}


async def test_however_many_dead_there_are(floor: Floor, kept: Retention, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than one step takes are forgotten in one round: the list cannot outgrow its retention."""
    monkeypatch.setattr(retention, "DEAD_AT_ONCE", 10)
    await floor.fill(A, numbers=range(1, 36))
    await floor.claim("s", per_lane=35)
    await floor.exchange("s", HandIn(A, dead=[(b"a%d:2:00000" % n, "x") for n in range(1, 36)]))
    assert await kept.forget_dead(UK, before_ms=NOW + 1) == (35, 0)
    assert (await floor.books()).dead == []


async def test_what_is_damaged_among_the_dead_goes_too(floor: Floor, kept: Retention) -> None:
    """Members that say nothing are removed and counted, and those beside them are forgotten as always."""
    await floor.fill(A, numbers=range(1, 2))
    await floor.claim("s")
    await floor.exchange("s", HandIn(A, dead=[(b"a1:2:00000", "x")]))
    await floor.redis.zadd(keys.dead(UK), dict.fromkeys((b"", b"ep_a", b"ep_a x:y z", b"\xff \xff"), NOW))
    assert await kept.forget_dead(UK, before_ms=NOW + 1) == (5, 4)
    assert (await floor.books()).references == {0: 0}


async def test_a_round_ends(floor: Floor, kept: Retention, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much there is to forget, a round does a bounded part of it; the next one goes on."""
    monkeypatch.setattr(retention, "DEAD_AT_ONCE", 10)
    monkeypatch.setattr(retention, "DEAD_STEPS", 2)
    monkeypatch.setattr(retention, "BUCKETS_A_ROUND", 2)
    await floor.redis.zadd(keys.dead(UK), {f"ep_a a{n}:2:00000 x": NOW for n in range(35)})
    assert [await kept.forget_dead(UK, before_ms=NOW + 1) for _ in range(3)] == [(20, 0), (15, 0), (0, 0)]
    for bucket in range(6):
        await floor.fill(numbers=range(bucket * BUCKET, bucket * BUCKET + 1))
    await floor.redis.hdel(keys.references(UK), "0")
    await floor.fill(numbers=range(1, 2))
    await floor.redis.set(keys.sequence(UK), 6 * BUCKET)
    assert [await kept.forget_events(UK, before_ms=NOW + 1) for _ in range(4)] == [3, 2, 2, 0]


async def damage(floor: Floor, number: int) -> None:
    """As a newer release, or a broken disk, leaves an event."""
    name = keys.events(UK, number // BUCKET)
    found = await floor.redis.hget(name, str(number))
    await floor.redis.hset(name, str(number), b"\xee" + found[1:])


async def test_events_that_cant_be_read_go_with_the_next_ones(floor: Floor, kept: Retention) -> None:
    """Their age is not known, but they are older than what is behind them: they go when that does, ids and all."""
    for bucket in range(4):
        await floor.fill(numbers=range(bucket * BUCKET, bucket * BUCKET + 3), stored_at_ms=NOW + bucket)
    for number in (0, 1, 2, BUCKET, 2 * BUCKET, 2 * BUCKET + 1, 2 * BUCKET + 2):
        await damage(floor, number)
    assert await kept.forget_events(UK, before_ms=NOW + 1) == 0
    assert await kept.forget_events(UK, before_ms=NOW + 2) == 6
    assert await kept.forget_events(UK, before_ms=NOW + 10) == 0
    assert await numbers_left(floor) == {3 * BUCKET, 3 * BUCKET + 1, 3 * BUCKET + 2}
    ids = [name async for name in floor.redis.scan_iter(match=keys.message_ids(UK, "*"))]
    assert sum([await floor.redis.hlen(name) for name in ids]) == 6


async def test_a_damaged_count_stops_nobody(floor: Floor, kept: Retention) -> None:
    """A bucket of which nobody knows who needs it stays, and the others go."""
    for bucket in range(3):
        await floor.fill(numbers=range(bucket * BUCKET, bucket * BUCKET + 3))
    await floor.redis.hset(keys.references(UK), mapping={"0": "many", "x": "0"})
    assert await kept.forget_events(UK, before_ms=NOW + 1) == 3
    assert await numbers_left(floor) == {0, 1, 2, 2 * BUCKET, 2 * BUCKET + 1, 2 * BUCKET + 2}


async def test_delivered_events_are_shed_oldest_first(floor: Floor, kept: Retention) -> None:
    """Where memory is short, what nobody waits for goes before its time, as much as is asked for and no more."""
    for bucket in range(4):
        await floor.fill(*([A] if bucket == 1 else []), numbers=range(bucket * BUCKET, bucket * BUCKET + 3))
    forgotten, size = await kept.shed_events(UK, most_bytes=1)
    assert (forgotten, size) == (3, 3 * (len(packed(0)) + retention.EVENT_BYTES))
    assert {0, 1, 2}.isdisjoint(await numbers_left(floor))
    assert (await kept.shed_events(UK, most_bytes=10**9))[0] == 3
    assert await numbers_left(floor) == {BUCKET, BUCKET + 1, BUCKET + 2, 3 * BUCKET, 3 * BUCKET + 1, 3 * BUCKET + 2}


async def test_dropped_deliveries_are_listed_for_the_time_of_the_dead(floor: Floor, kept: Retention) -> None:
    """They go with them, and so does their count when none is left."""
    await floor.redis.zadd(keys.dropped(UK, A), {f"a{n}:2:00000 x - -": NOW + n for n in range(150)})
    await floor.redis.zadd(keys.dropped(UK, B), {"a1:2:00000 x - -": NOW + 500})
    await floor.redis.hset(keys.dropped_counts(UK), mapping={A: 150, B: 1})
    assert await kept.forget_dead(UK, before_ms=NOW + 150) == (100, 0)
    assert await kept.forget_dead(UK, before_ms=NOW + 150) == (50, 0)
    assert await floor.redis.hgetall(keys.dropped_counts(UK)) == {B.encode(): b"1"}
    assert await floor.redis.zcard(keys.dropped(UK, B)) == 1


async def test_forgetting_twice_changes_nothing(floor: Floor, kept: Retention) -> None:
    """A round can be repeated at once, or run twice."""
    await floor.fill(A, numbers=range(1, 4))
    before = await dump(floor.redis)
    assert await kept.forget_dead(UK, before_ms=NOW) == (0, 0)
    assert await kept.forget_events(UK, before_ms=NOW) == 0
    assert await dump(floor.redis) == before
