"""Retention: events go when their time is over and nobody waits for them, and nothing goes before."""

import pytest
from redis.asyncio import Redis

from relay.domain.sending.effects import HandIn
from relay.store import keys, retention
from relay.store.events import Events
from relay.store.pages import Pages
from relay.store.retention import Retention
from relay.store.routes import Routes
from tests.integration.books import dump
from tests.integration.store.floor import NOW, UK, A, B, Floor, message

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
        "due": HandIn(A, due=[(b"a1:2:00000", "a1:2:00000:2", NOW)]),
        "dead": HandIn(A, dead=[(b"a1:2:00000", "x")]),
        "behind": HandIn(A, blocks=[("k", 0)], behind=[(b"a1:2:00000", "k")]),
        "parked": HandIn(A, leaving="park", until_ms=NOW, back=[(b"a1:2:00000", b"a1:2:00000")]),
    }
    if place != "waiting":
        await floor.claim("s")
        await floor.exchange("s", results[place])
    assert await kept.forget_events(UK, before_ms=NOW + 10**9) == 0
    assert 1 in await numbers_left(floor)
    await floor.lanes.drop(UK, A)
    assert await kept.forget_events(UK, before_ms=NOW + 10**9) == 1
    assert await numbers_left(floor) == {BUCKET}


async def test_a_delivery_that_came_to_life_keeps_its_event(floor: Floor, kept: Retention) -> None:
    """Who resends between the look and the deletion loses nothing."""
    await floor.fill(numbers=range(1, 2))
    await floor.fill(numbers=range(BUCKET, BUCKET + 1))
    read = Events.read

    async def resent_meanwhile(self: Events, *args: object) -> object:
        found = await read(self, *args)  # type: ignore[arg-type]
        await floor.lanes.resend(UK, A, "a1:2:00000")
        return found

    kept._events.read = resent_meanwhile.__get__(kept._events)  # type: ignore[method-assign]
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
    await floor.fill(A, B, numbers=range(1, 31))
    await floor.claim("s", lanes=2, per_lane=30)
    await floor.exchange("s", HandIn(A, dead=[(b"a%d:2:00000" % n, "x") for n in range(1, 31)]))
    floor.now_ms = NOW + 5
    await floor.exchange("s", HandIn(B, dead=[(b"a1:2:00000", "x")], ended=[b"a%d:2:00000" % n for n in range(2, 31)]))
    assert await kept.forget_dead(UK, before_ms=NOW) == 0
    assert await kept.forget_dead(UK, before_ms=NOW + 5) == 30
    assert (await floor.books()).references == {0: 1}


async def test_however_many_dead_there_are(floor: Floor, kept: Retention, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than one step takes are forgotten in one round: the list cannot outgrow its retention."""
    monkeypatch.setattr(retention, "DEAD_AT_ONCE", 10)
    await floor.fill(A, numbers=range(1, 36))
    await floor.claim("s", per_lane=35)
    await floor.exchange("s", HandIn(A, dead=[(b"a%d:2:00000" % n, "x") for n in range(1, 36)]))
    assert await kept.forget_dead(UK, before_ms=NOW + 1) == 35
    assert (await floor.books()).dead == []


async def start(floor: Floor, route: str, *trail: tuple[int, int]) -> None:
    routes = Routes(floor.redis)
    for i, (cursor, at_ms) in enumerate(trail):
        if i == 0:
            await floor.redis.delete(keys.lease(UK))
            token = await routes.take(UK)
            assert token is not None
            await routes.start(UK, route, cursor, token=token, now_ms=at_ms)
        else:
            await floor.redis.zadd(keys.trail(UK, route), {str(cursor): at_ms})


async def rows_known(floor: Floor, space: str = "t") -> list[int]:
    return sorted((await Pages(floor.redis).known(UK, space, [50, 150, 250, 350, 450]))[0])


async def seen(floor: Floor, space: str = "t") -> None:
    for row_id in (50, 150, 250, 350, 450):
        await floor.redis.hset(keys.seen(UK, space, row_id // 100), str(row_id % 100), b"known")


async def test_rows_are_known_until_every_route_is_past_them(floor: Floor, kept: Retention) -> None:
    """What is behind the oldest cursor that any route's overlap can reach back to is forgotten, and no more."""
    await start(floor, "calls", (0, 1), (250, 5), (999, 9))
    await start(floor, "goals", (0, 1), (410, 5))
    await seen(floor)
    assert await kept.forget_rows(UK, ("calls", "goals")) == 0
    assert await Routes(floor.redis).cursor_at(UK, "goals", time_ms=6) == 410
    assert await kept.forget_rows(UK, ("calls", "goals")) == 0
    assert await Routes(floor.redis).cursor_at(UK, "calls", time_ms=6) == 250
    assert await kept.forget_rows(UK, ("calls", "goals")) == 2
    assert await rows_known(floor) == [250, 350, 450]
    assert await Routes(floor.redis).cursor_at(UK, "calls", time_ms=9) == 999
    assert await kept.forget_rows(UK, ("calls", "goals")) == 2
    assert await rows_known(floor) == [450]


async def test_a_route_that_has_not_begun_keeps_everything(floor: Floor, kept: Retention) -> None:
    """Nobody knows where it will begin."""
    await start(floor, "calls", (900, 1))
    await seen(floor)
    assert await kept.forget_rows(UK, ("calls", "goals")) == 0
    assert await rows_known(floor) == [50, 150, 250, 350, 450]


async def test_spaces_are_forgotten_apart(floor: Floor, kept: Retention) -> None:
    """How far the charges of calls are says nothing about the triggers."""
    await start(floor, "calls", (0, 1))
    await start(floor, "itemisedCalls", (0, 1), (999, 5))
    await Routes(floor.redis).cursor_at(UK, "itemisedCalls", time_ms=6)
    await seen(floor)
    await seen(floor, "i")
    assert await kept.forget_rows(UK, ("calls", "itemisedCalls")) == 5
    assert await rows_known(floor) == [50, 150, 250, 350, 450]
    assert await rows_known(floor, "i") == []


async def test_forgetting_twice_changes_nothing(floor: Floor, kept: Retention) -> None:
    """A round can be repeated at once, or run twice."""
    await floor.fill(A, numbers=range(1, 4))
    await start(floor, "all", (0, 1), (300, 2))
    await Routes(floor.redis).cursor_at(UK, "all", time_ms=3)
    await kept.forget_rows(UK, ("all",))
    before = await dump(floor.redis)
    assert await kept.forget_rows(UK, ("all",)) == 0
    assert await kept.forget_events(UK, before_ms=NOW) == 0
    assert await dump(floor.redis) == before
