"""One delivery that waits keeps its own event, and not for ever the 255 beside it."""

from typing import Any

import pytest
from redis.asyncio import Redis

from relay.domain.sending.effects import HandIn
from relay.store import compaction, keys
from relay.store.compaction import Compaction
from relay.store.events import Events
from tests.integration.store.floor import NOW, UK, A, B, Floor, message

BUCKET = keys.EVENTS_PER_BUCKET


@pytest.fixture
async def floor(redis: Redis) -> Floor:
    """Two buckets of events, of which endpoint A waits for four, and a third one."""
    floor = Floor(redis)
    await floor.fill(numbers=range(2 * BUCKET), stored_at_ms=NOW)
    await floor.fill(A, numbers=range(10, 13), stored_at_ms=NOW)
    await floor.fill(A, numbers=range(BUCKET + 7, BUCKET + 8), stored_at_ms=NOW)
    await floor.fill(B, numbers=range(2 * BUCKET, 2 * BUCKET + 9), stored_at_ms=NOW)
    return floor


async def left(floor: Floor) -> set[int]:
    return set(await Events(floor.redis).read(UK, range(2 * BUCKET)))


NEEDED = {10, 11, 12, BUCKET + 7}
PLACES: dict[str, Any] = {
    "flying": HandIn(A),
    "due": HandIn(A, due=[(b"a10:2:00000", "a10:2:00000:2", NOW, "")]),
    "dead": HandIn(A, dead=[(b"a10:2:00000", "x")]),
    "behind": HandIn(A, behind=[(b"a10:2:00000", "k")]),
    "parked": HandIn(A, leaving="park", until_ms=NOW, back=[(b"a10:2:00000", b"a10:2:00000")]),
}


@pytest.mark.parametrize("place", ["waiting", *PLACES])
async def test_what_somebody_waits_for_stays(floor: Floor, place: str) -> None:
    """Wherever its delivery is; what is beside it goes with its index, and the newest bucket is left alone."""
    if place != "waiting":
        await floor.claim("s", per_lane=1)
        await floor.block(A, "k", 11)
        await floor.exchange("s", PLACES[place])
    events, size = await Compaction(floor.redis).compact(UK, before_ms=NOW + 1)
    assert await left(floor) == NEEDED
    assert events == 2 * BUCKET - 4
    assert size > events * 100
    assert await Events(floor.redis).find(UK, message(9)) is None
    assert await Events(floor.redis).find(UK, message(10)) is not None
    assert len(await Events(floor.redis).read(UK, range(2 * BUCKET, 3 * BUCKET))) == 9
    await floor.books()


async def test_young_events_stay(floor: Floor) -> None:
    """Until their retention is over, all of them can be listed and sent again."""
    assert await Compaction(floor.redis).compact(UK, before_ms=NOW) == (0, 0)
    assert len(await left(floor)) == 2 * BUCKET


async def test_a_look_that_missed_a_delivery_is_not_believed(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that moved from a place that was not looked at yet to one that was, keeps all that is beside it."""
    flights = Compaction._flights

    async def moving(self: Compaction, *args: object) -> Any:
        # After the due ones were looked at, and before the lanes are.
        await floor.claim("s", per_lane=1)
        await floor.exchange("s", HandIn(A, due=[(b"a10:2:00000", "a10:2:00000:2", NOW, "")], leaving="go"))
        async for found in flights(self, *args):  # type: ignore[arg-type]
            yield found

    monkeypatch.setattr(Compaction, "_flights", moving)
    assert (await Compaction(floor.redis).compact(UK, before_ms=NOW + 1))[0] == BUCKET - 1
    assert await left(floor) >= {*range(BUCKET), BUCKET + 7}


@pytest.mark.parametrize("what", ["ended", "begun", "both"])
async def test_a_look_that_is_over_is_not_believed(floor: Floor, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A delivery that ended or was sent again since changes what is needed, also where the count says the same."""
    needed = Compaction._needed

    async def meanwhile(self: Compaction, *args: object) -> object:
        found = await needed(self, *args)  # type: ignore[arg-type]
        if what != "begun":
            await floor.claim("s", per_lane=1)
            await floor.exchange("s", HandIn(A, ended=[b"a10:2:00000"], leaving="go"))
        if what != "ended":
            await floor.resend(B, "a99:2:00000")
        return found

    monkeypatch.setattr(Compaction, "_needed", meanwhile)
    await Compaction(floor.redis).compact(UK, before_ms=NOW + 1)
    assert await left(floor) >= set(range(BUCKET))


async def test_one_that_was_sent_again_keeps_its_bucket(floor: Floor) -> None:
    """It stands at the end of a lane, where nobody looks: its bucket is left as it is."""
    await floor.fill(B, numbers=range(3 * BUCKET, 3 * BUCKET + 1500), stored_at_ms=NOW)
    await floor.resend(B, "a99:2:00000")
    await Compaction(floor.redis).compact(UK, before_ms=NOW + 1)
    assert await left(floor) == {*range(BUCKET), BUCKET + 7}


async def test_rounds_go_on_where_the_last_one_ended(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that buckets that can't be made smaller don't keep the others from it."""
    monkeypatch.setattr(compaction, "BUCKETS_AT_ONCE", 1)
    await floor.redis.hincrby(keys.references(UK), "0", 1)
    work = Compaction(floor.redis)
    assert [(await work.compact(UK, before_ms=NOW + 1))[0] for _ in range(4)] == [0, BUCKET - 1, 0, 0]


async def test_damage_is_in_nobodys_way(floor: Floor) -> None:
    """Entries that say nothing are passed over; events that can't be read are forgotten like others."""
    await floor.redis.rpush(keys.lane(UK, A), b"\xff", "")
    await floor.redis.zadd(keys.dead(UK), {b"\xff": 1, "": 2})
    await floor.redis.hset(keys.references(UK), mapping={"x": "1", "5": "y"})
    await floor.redis.hset(keys.events(UK, 0), mapping={"3": b"\xee", "10": b"\xee"})
    await Compaction(floor.redis).compact(UK, before_ms=NOW + 1)
    assert await floor.redis.hlen(keys.events(UK, 0)) == 3
