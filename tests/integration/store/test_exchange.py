"""exchange_work.lua: results in, work out, and each delivery in exactly one place."""

from typing import Any

import pytest
from redis.asyncio import Redis

from relay.domain.references import Reference
from relay.domain.sending.effects import HandIn
from relay.store import keys
from relay.store.attempts import BUCKET_BYTES, Attempts
from relay.store.exchanging import Given
from tests.integration.books import dump
from tests.integration.store.floor import NOW, UK, A, B, C, Floor


@pytest.fixture
def floor(redis: Redis) -> Floor:
    return Floor(redis)


def refs(first: int, last: int) -> list[bytes]:
    return [b"a%d:2:00000" % number for number in range(first, last + 1)]


async def test_a_lane_is_claimed_from_its_head(floor: Floor) -> None:
    """Who claims a lane holds it alone, with as many of its oldest references as asked for."""
    await floor.fill(A, numbers=range(1, 11))
    assert await floor.exchange("s", claim=5, per_lane=3) == [Given(A, "claimed", refs(1, 3), {})]
    assert await floor.claim("t", lanes=5) == {}
    books = await floor.books()
    assert (books.lanes, books.ready) == ({A: "s"}, [])
    assert await floor.flying(A) == {"a1:2:00000", "a2:2:00000", "a3:2:00000"}


async def test_no_more_lanes_are_claimed_than_asked_for(floor: Floor) -> None:
    """Lanes are claimed in the order in which they became ready, and the answer says how many are left."""
    for endpoint in (B, A, C):
        await floor.fill(endpoint, numbers=range(1, 3))
    ready, given = await floor.lanes.exchange(
        UK, [], session="s", turn=1, now_ms=NOW, lives_ms=1000, claim=2, per_lane=1
    )
    assert (ready, [each.endpoint for each in given]) == (1, [B, A])


async def test_what_ended_is_gone(floor: Floor) -> None:
    """A delivered event leaves the lane and the count that keeps it."""
    await floor.fill(A, B, numbers=range(1, 4))
    await floor.claim("s", lanes=2)
    given = await floor.exchange("s", HandIn(A, ended=refs(1, 2)))
    assert given == [Given(A, "held", [], {})]
    assert await floor.flying(A) == {"a3:2:00000"}
    assert (await floor.books()).references == {0: 4}


async def test_more_is_taken_while_there_is_more(floor: Floor) -> None:
    """A held lane reads on from its head, and becomes idle when nothing waits and nothing is in flight."""
    await floor.fill(A, numbers=range(1, 6))
    await floor.claim("s", per_lane=2)
    assert await floor.exchange("s", HandIn(A, take=2)) == [Given(A, "held", refs(3, 4), {})]
    assert await floor.exchange("s", HandIn(A, take=2, ended=refs(1, 4))) == [Given(A, "held", refs(5, 5), {})]
    assert await floor.exchange("s", HandIn(A, take=2, ended=refs(5, 5))) == [Given(A, "idle", [], {})]
    assert (await floor.books()).lanes == {}
    await floor.fill(A, numbers=range(6, 7))
    assert (await floor.books()).lanes == {A: "r"}


async def test_a_retry_waits_until_it_is_due(floor: Floor) -> None:
    """It stands in the due set under its next try, by the time of that."""
    await floor.fill(A, numbers=range(1, 2))
    await floor.claim("s")
    given = await floor.exchange("s", HandIn(A, due=[(b"a1:2:00000", "a1:2:00000:2", NOW + 5000, "")]))
    assert [each.state for each in given] == ["idle"]
    assert (await floor.books()).due == [(A, Reference(1, 2, "00000", 2))]
    assert await floor.redis.zscore(keys.due(UK), f"{A} a1:2:00000:2") == NOW + 5000


async def test_what_is_given_up_is_kept_with_its_reason(floor: Floor) -> None:
    """A dead delivery still counts for its event, which can be sent again."""
    await floor.fill(A, numbers=range(1, 2))
    await floor.claim("s")
    await floor.exchange("s", HandIn(A, dead=[(b"a1:2:00000", "schedule_used_up")]))
    books = await floor.books()
    assert books.dead == [(A, Reference(1, 2, "00000"), "schedule_used_up")]
    assert books.references == {0: 1}


async def test_what_is_put_back_keeps_its_order(floor: Floor) -> None:
    """Untried references return to the head as they were, before those that were never taken."""
    await floor.fill(A, numbers=range(1, 6))
    await floor.claim("s", per_lane=3)
    given = await floor.exchange("s", HandIn(A, leaving="go", back=[(ref, ref) for ref in refs(1, 3)]))
    assert given == [Given(A, "ready", [], {})]
    assert await floor.waiting(A) == ["a1:2:00000", "a2:2:00000", "a3:2:00000", "a4:2:00000", "a5:2:00000"]
    assert (await floor.books()).ready == [A]


async def test_a_lane_is_parked(floor: Floor) -> None:
    """A parked lane is nobody's, and what comes for it waits."""
    await floor.fill(A, numbers=range(1, 3))
    await floor.claim("s")
    given = await floor.exchange(
        "s", HandIn(A, leaving="park", until_ms=NOW + 9, back=[(ref, ref) for ref in refs(1, 2)])
    )
    assert given == [Given(A, "parked", [], {})]
    await floor.fill(A, numbers=range(3, 4))
    assert await floor.claim("t") == {}
    assert (await floor.books()).lanes == {A: "p"}
    assert await floor.waiting(A) == ["a1:2:00000", "a2:2:00000", "a3:2:00000"]


async def test_what_a_worker_never_heard_of_goes_back(floor: Floor) -> None:
    """A lane that is let go or parked leaves nothing in flight, where nobody would look for it."""
    await floor.fill(A, B, numbers=range(1, 5))
    await floor.claim("s", lanes=2)
    given = await floor.exchange(
        "s", HandIn(A, leaving="go", ended=refs(2, 2)), HandIn(B, leaving="park", until_ms=NOW, ended=refs(1, 1))
    )
    assert [each.state for each in given] == ["ready", "parked"]
    assert await floor.waiting(A) == ["a1:2:00000", "a3:2:00000", "a4:2:00000"]
    assert await floor.waiting(B) == ["a2:2:00000", "a3:2:00000", "a4:2:00000"]
    assert (await floor.books()).flying == {}


async def test_health_travels_with_the_lane(floor: Floor) -> None:
    """What one holder learned of a receiver the next one is told; a lane that is well has nothing to tell."""
    await floor.fill(A, numbers=range(1, 10))
    await floor.claim("s")
    await floor.exchange("s", HandIn(A, health="1790000000000", leaving="go"))
    assert [each.health for each in await floor.exchange("t", claim=1)] == ["1790000000000"]
    await floor.exchange("t", HandIn(A, health="-", leaving="go"))
    assert [each.health for each in await floor.exchange("u", claim=1)] == [""]
    assert await floor.redis.exists(keys.health(UK)) == 0


async def test_an_open_breaker_gives_one_reference(floor: Floor) -> None:
    """While the receiver is down one probe goes out, however many were asked for."""
    await floor.fill(A, numbers=range(1, 10))
    await floor.claim("s")
    await floor.exchange("s", HandIn(A, health="a1790000000000:2:00000", leaving="go"))
    assert await floor.exchange("t", claim=1, per_lane=8) == [Given(A, "claimed", refs(1, 1), "a1790000000000:2:00000")]


async def test_a_lost_lane_takes_nothing(floor: Floor) -> None:
    """A worker that slept hands in for a lane that is another's by now: nothing of it changes, and it is told."""
    await floor.fill(A, numbers=range(1, 10))
    await floor.claim("sleeper")
    await floor.dies("sleeper")
    await floor.lanes.sweep(UK, now_ms=NOW)
    await floor.claim("heir", per_lane=3)
    before = await dump(floor.redis)
    late = HandIn(
        A,
        take=5,
        health="1:1",
        ended=[b"a1:2:00000", b"a1:2:00000:1:1"],
        due=[(b"a2:2:00000:1:1", "a2:2:00000:2", NOW, "")],
        dead=[(b"a3:2:00000:1:1", "x")],
        back=[(b"a1:2:00000:1:1", b"a1:2:00000")],
    )
    assert await floor.exchange("sleeper", late) == [Given(A, "lost", [], {})]
    after = await dump(floor.redis)
    for name in (keys.sessions(UK), keys.turns(UK)):
        before.pop(name), after.pop(name)
    assert after == before


async def test_a_lane_that_is_claimed_again_counts_nothing_twice(floor: Floor) -> None:
    """References of an earlier hold mean nothing in the next one, even to the same session."""
    await floor.fill(A, B, numbers=range(1, 3))
    await floor.claim("s", lanes=2)
    await floor.dies("s")
    await floor.lanes.sweep(UK, now_ms=NOW)
    assert (await floor.claim("s"))[A] == [b"a1:2:00000:1:1", b"a2:2:00000:1:1"]
    await floor.exchange("s", HandIn(A, ended=refs(1, 2)))
    assert (await floor.books()).references == {0: 4}
    await floor.exchange("s", HandIn(A, ended=[b"a1:2:00000:1:1", b"a2:2:00000:1:1"]))
    assert (await floor.books()).references == {0: 2}


def everything(**more: Any) -> HandIn:
    """One of each kind of result, for ten references from 1 on."""
    return HandIn(
        A,
        ended=refs(1, 2),
        due=[(b"a3:2:00000", "a3:2:00000:2", NOW + 9, "")],
        dead=[(b"a4:2:00000", "x")],
        back=[(b"a5:2:00000", b"a5:2:00000")],
        blocks=[("k", 6)],
        behind=[(b"a7:2:00000", "k")],
        attempts=[(1, NOW, b"record"), (3, NOW, b"another")],
        health="1790000000000",
        **more,
    )


@pytest.mark.parametrize("more", [{"more": 0}, {"more": -1}, {"park_until": NOW + 9}])
async def test_the_same_twice_changes_nothing(floor: Floor, more: dict[str, Any]) -> None:
    """A call whose answer was lost is made again: results are taken once, attempts counted once."""
    await floor.fill(A, numbers=range(1, 20))
    await floor.claim("s", per_lane=10)
    await floor.exchange("s", everything(**more))
    await floor.books()
    before = await dump(floor.redis)
    await floor.exchange("s", everything(**more), again=True)
    after = await dump(floor.redis)
    before.pop(keys.sessions(UK)), after.pop(keys.sessions(UK))
    assert after == before


async def test_a_repeated_call_still_gives_work(floor: Floor) -> None:
    """What the lost answer gave and what the repeated one gives are both in flight: nothing is given twice."""
    await floor.fill(A, B, numbers=range(1, 7))
    await floor.exchange("s", claim=1, per_lane=2)
    lost = await floor.exchange("s", HandIn(A, take=2, ended=refs(1, 1)), claim=1, per_lane=2)
    again = await floor.exchange("s", HandIn(A, take=2, ended=refs(1, 1)), claim=1, per_lane=2, again=True)
    assert [each.references for each in lost] == [refs(3, 4), refs(1, 2)]
    assert [each.references for each in again] == [refs(5, 6)]
    held = {each.endpoint: set(each.references) for each in await floor.lanes.held(UK, "s")}
    assert held == {A: set(refs(2, 6)), B: set(refs(1, 2))}
    await floor.books()


async def test_what_is_held_is_told_with_its_health(floor: Floor) -> None:
    """A worker that lost an answer finds out about its lanes, and about nobody else's."""
    await floor.fill(A, B, numbers=range(1, 3))
    await floor.claim("s")
    await floor.exchange("s", HandIn(A, health="5:1"))
    await floor.claim("t")
    held = await floor.lanes.held(UK, "s")
    assert [(each.endpoint, each.state, set(each.references), each.health) for each in held] == [
        (A, "held", set(refs(1, 2)), "5:1")
    ]


async def test_attempts_are_written_with_what_came_of_them(floor: Floor) -> None:
    """Each attempt is found by its event and by its endpoint, and its bytes are counted."""
    await floor.fill(A, numbers=range(1, 70))
    await floor.claim("s", per_lane=64)
    records = [(number, NOW + number, b"x" * number) for number in (1, 40, 41)]
    await floor.exchange("s", HandIn(A, attempts=records))
    assert await floor.redis.hgetall(keys.attempt_sizes(UK)) == {b"0": b"100", b"1": b"283", b"total": b"383"}
    assert await floor.redis.hget(keys.attempts(UK, 1), f"41:{A}:{NOW + 41}") == b"x" * 41
    assert await floor.redis.lrange(keys.endpoint_attempts(UK, A), 0, -1) == [
        f"{number}:{began}".encode() for number, began, _ in records
    ]
    assert await Attempts(floor.redis).total_bytes(UK) == 383 + 2 * BUCKET_BYTES


async def test_attempts_of_a_lost_lane_are_kept(floor: Floor) -> None:
    """They happened, whoever sends the event again now."""
    await floor.fill(A, numbers=range(1, 2))
    await floor.claim("s")
    await floor.dies("s")
    await floor.lanes.sweep(UK, now_ms=NOW)
    await floor.exchange("s", HandIn(A, ended=refs(1, 1), attempts=[(1, NOW, b"record")]))
    assert await floor.redis.hget(keys.attempts(UK, 0), f"1:{A}:{NOW}") == b"record"
    assert await floor.redis.llen(keys.endpoint_attempts(UK, A)) == 1


async def test_a_key_that_is_blocked_waits_apart(floor: Floor) -> None:
    """What comes after a failed event of its key waits in order, and goes on before all others when that has ended."""
    await floor.fill(A, numbers=range(1, 8))
    await floor.claim("s", per_lane=5)
    await floor.exchange(
        "s",
        HandIn(
            A,
            due=[(b"a1:2:00000", "a1:2:00000:2", NOW, "")],
            blocks=[("k", 1)],
            behind=[(b"a2:2:00000", "k"), (b"a4:2:00000", "k")],
        ),
    )
    books = await floor.books()
    assert [ref.number for ref in books.behind[A]] == [2, 4]
    assert await floor.lanes.blocked(UK, A) == {"k": 1}
    await floor.lanes.sweep(UK, now_ms=NOW)
    await floor.exchange("s", HandIn(A, take=1))
    await floor.exchange("s", HandIn(A, ended=[b"a1:2:00000:2"], freed=["k"]))
    assert await floor.waiting(A) == ["a2:2:00000", "a4:2:00000", "a6:2:00000", "a7:2:00000"]
    assert await floor.lanes.blocked(UK, A) == {}


async def test_two_of_one_are_one(floor: Floor) -> None:
    """An event that is sent again by hand while it is on its way is given out once, and counts once."""
    await floor.fill(A, numbers=range(1, 3))
    await floor.resend(A, "a1:2:00000")
    assert await floor.claim("s", per_lane=2) == {A: refs(1, 2)}
    await floor.resend(A, "a2:2:00000")
    await floor.exchange("s", HandIn(A, take=4))
    assert await floor.flying(A) == {"a1:2:00000", "a2:2:00000"}
    assert await floor.waiting(A) == []
    await floor.exchange("s", HandIn(A, ended=refs(1, 2)))
    assert (await floor.books()).references == {0: 0}


async def test_two_retries_of_one_are_one(floor: Floor) -> None:
    """So is one whose second copy fails while the first waits for its next try, or was given up."""
    await floor.fill(A, numbers=range(1, 3))
    await floor.claim("s")
    failed = HandIn(A, due=[(b"a1:2:00000", "a1:2:00000:2", NOW, "")], dead=[(b"a2:2:00000", "x")])
    await floor.exchange("s", failed)
    for number in (1, 2):
        await floor.redis.rpush(keys.lane(UK, A), f"a{number}:2:00000")
        await floor.redis.hincrby(keys.references(UK), "0", 1)
    await floor.redis.hset(keys.lanes(UK), A, "r")
    await floor.redis.rpush(keys.ready(UK), A)
    await floor.claim("s")
    await floor.exchange("s", failed)
    assert (await floor.books()).references == {0: 2}


async def test_a_lane_that_was_dropped_is_not_claimed(floor: Floor) -> None:
    """A name that is left in the ready list gives nothing."""
    await floor.redis.rpush(keys.ready(UK), A)
    assert await floor.claim("s") == {}
    assert await floor.redis.exists(keys.lanes(UK)) == 0


async def test_a_ready_lane_that_is_empty_becomes_idle(floor: Floor) -> None:
    """Nobody holds what has nothing in it."""
    await floor.redis.rpush(keys.ready(UK), A)
    await floor.redis.hset(keys.lanes(UK), A, "r")
    assert await floor.claim("s") == {}
    assert (await floor.books()).lanes == {}


async def test_thousands_are_handed_in_at_once(floor: Floor) -> None:
    """More results than Lua's stack holds pass in one call."""
    await floor.fill(A, numbers=range(1, 10_001))
    await floor.claim("s", per_lane=8)
    for _ in range(13):
        await floor.exchange("s", HandIn(A, take=1000))
    attempts = [(number, NOW, b"r") for number in range(1, 5_001)]
    await floor.exchange("s", HandIn(A, ended=refs(1, 9_000), attempts=attempts))
    assert len(await floor.flying(A)) == 1000
    assert await floor.redis.llen(keys.endpoint_attempts(UK, A)) == 5_000


async def test_results_are_taken_when_memory_is_full(floor: Floor) -> None:
    """A full server still takes what came of deliveries: that is what frees it (goal G13)."""
    await floor.fill(A, numbers=range(1, 9))
    await floor.claim("s")
    await floor.redis.config_set("maxmemory", 1)
    try:
        await floor.exchange("s", everything())
    finally:
        await floor.redis.config_set("maxmemory", 0)
    assert (await floor.books()).references == {0: 6}
