"""exchange.lua: results in, work out, and each delivery in exactly one place."""

from typing import Any

import pytest
from redis.asyncio import Redis

from relay.domain.model import Attempt
from relay.domain.references import Reference
from relay.domain.sending.effects import HandIn
from relay.store import keys
from relay.store.attempts import BUCKET_BYTES, Attempts, attempt_size, pack_attempt
from relay.store.exchanging import Given
from tests.integration.books import dump
from tests.integration.store.floor import NOW, UK, A, B, C, Floor, packed
from tests.patience import PATIENCE_S


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
    exchanged = await floor.exchanged("s", claim=2, per_lane=1)
    assert (exchanged.verdict, exchanged.ready) == ("done", 1)
    assert [each.endpoint for each in exchanged.given] == [B, A]


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
    given = await floor.exchange("s", HandIn(A, leaving="go", back=[(ref, ref.decode()) for ref in refs(1, 3)]))
    assert given == [Given(A, "ready", [], {})]
    assert await floor.waiting(A) == ["a1:2:00000", "a2:2:00000", "a3:2:00000", "a4:2:00000", "a5:2:00000"]
    assert (await floor.books()).ready == [A]


async def test_a_lane_is_parked(floor: Floor) -> None:
    """A parked lane is nobody's, and what comes for it waits."""
    await floor.fill(A, numbers=range(1, 3))
    await floor.claim("s")
    given = await floor.exchange(
        "s", HandIn(A, leaving="park", until_ms=NOW + 9, back=[(ref, ref.decode()) for ref in refs(1, 2)])
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
        ended=[b"a1:2:00000", b"a1:2:00000:0:1"],
        due=[(b"a2:2:00000:0:1", "a2:2:00000:2", NOW, "")],
        dead=[(b"a3:2:00000:0:1", "x")],
        back=[(b"a1:2:00000:0:1", "a1:2:00000")],
    )
    # It was told that it is astray, and hands in once more what was not done.
    assert (await floor.exchanged("sleeper", late)).verdict == "astray"
    floor.forgets("sleeper")
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
    floor.forgets("s")
    assert (await floor.claim("s"))[A] == [b"a1:2:00000:0:1", b"a2:2:00000:0:1"]
    await floor.exchange("s", HandIn(A, ended=refs(1, 2)))
    assert (await floor.books()).references == {0: 4}
    await floor.exchange("s", HandIn(A, ended=[b"a1:2:00000:0:1", b"a2:2:00000:0:1"]))
    assert (await floor.books()).references == {0: 2}


def attempt(number: int, *, body: int = 0, tag: str = "00000") -> Attempt:
    """One try of A's event with a number."""
    return Attempt(A, number, 1, 2, NOW + number, 3, 500, "retry", body=bytes(body), tag=tag)


def everything(**more: Any) -> HandIn:
    """One of each kind of result, for ten references from 1 on."""
    return HandIn(
        A,
        ended=refs(1, 2),
        due=[(b"a3:2:00000", "a3:2:00000:2", NOW + 9, ""), (b"a6:2:00000", "a6:2:00000:2", NOW + 9, "k")],
        dead=[(b"a4:2:00000", "x")],
        back=[(b"a5:2:00000", "a5:2:00000")],
        behind=[(b"a7:2:00000", "k")],
        attempts=[attempt(1), attempt(3)],
        **more,
    )


@pytest.mark.parametrize("more", [{"take": 4}, {"leaving": "go"}, {"leaving": "park", "until_ms": NOW + 9}])
async def test_the_same_twice_changes_nothing(floor: Floor, more: dict[str, Any]) -> None:
    """A call whose answer was lost is made again: nothing is taken, counted, claimed or let go a second time."""
    await floor.fill(A, B, numbers=range(1, 20))
    await floor.claim("s", per_lane=10)
    await floor.exchange("s", everything(**more))
    await floor.books()
    before = await dump(floor.redis)
    repeated = await floor.exchanged("s", everything(**more), claim=5, again=True)
    assert (repeated.verdict, repeated.last, repeated.given) == ("again", 2, [])
    after = await dump(floor.redis)
    before.pop(keys.sessions(UK)), after.pop(keys.sessions(UK))
    assert after == before


async def test_a_call_after_one_that_is_not_known_changes_nothing(floor: Floor) -> None:
    """A store that went back in time takes nothing from a session that believes more than it knows."""
    await floor.fill(A, B, numbers=range(1, 20))
    await floor.claim("s", per_lane=10)
    before = await dump(floor.redis)
    for again in (False, True):
        # Also when the answer to that is lost.
        astray = await floor.exchanged("s", everything(take=3), claim=5, skip=0 if again else 3, again=again)
        assert (astray.verdict, astray.last, astray.given) == ("astray", 1, [])
    after = await dump(floor.redis)
    before.pop(keys.sessions(UK)), after.pop(keys.sessions(UK))
    assert after == before


async def test_what_is_held_is_told(floor: Floor) -> None:
    """A worker that lost an answer finds out about its lanes and blocked keys, and about nobody else's."""
    await floor.fill(A, B, numbers=range(1, 4))
    await floor.claim("s")
    await floor.claim("t")
    await floor.exchange("s", HandIn(A, due=[(b"a1:2:00000", "a1:2:00000:2", NOW, "k")]))
    (held,) = await floor.lanes.held(UK, "s")
    assert (held.endpoint, held.state, set(held.references), held.blocked) == (A, "held", set(refs(2, 3)), {"k": 1})


async def test_attempts_are_written_with_what_came_of_them(floor: Floor) -> None:
    """Each attempt is found by its event and by its endpoint, and its bytes are counted."""
    await floor.fill(A, numbers=range(1, 70))
    await floor.claim("s", per_lane=64)
    tries = [attempt(number, body=number) for number in (1, 40, 41)]
    await floor.exchange("s", HandIn(A, attempts=tries))
    first, second, third = (attempt_size(f"{a.seq}:{A}:{a.started_at_ms}", pack_attempt(a)) for a in tries)
    assert await floor.redis.hgetall(keys.attempt_sizes(UK)) == {
        b"0": b"%d" % first, b"1": b"%d" % (second + third), b"total": b"%d" % (first + second + third)
    }  # fmt: skip
    assert await floor.redis.hget(keys.attempts(UK, 1), f"41:{A}:{NOW + 41}") == pack_attempt(tries[2])
    times = await floor.redis.zrange(keys.endpoint_attempts(UK, A), 0, -1, withscores=True)
    assert [(member, int(ms)) for member, ms in times] == [
        (f"{number}:{NOW + number}".encode(), NOW + number) for number in (1, 40, 41)
    ]
    assert await Attempts(floor.redis).total_bytes(UK) == first + second + third + 2 * BUCKET_BYTES


async def test_attempts_of_a_lost_lane_are_kept(floor: Floor) -> None:
    """They happened, whoever sends the event again now."""
    await floor.fill(A, numbers=range(1, 2))
    await floor.claim("s")
    await floor.dies("s")
    await floor.lanes.sweep(UK, now_ms=NOW)
    floor.forgets("s")
    await floor.exchange("s", HandIn(A, ended=refs(1, 1), attempts=[attempt(1)]))
    assert await floor.redis.hget(keys.attempts(UK, 0), f"1:{A}:{NOW + 1}") == pack_attempt(attempt(1))
    assert await floor.redis.zcard(keys.endpoint_attempts(UK, A)) == 1


async def test_a_key_that_is_blocked_waits_apart(floor: Floor) -> None:
    """What comes after a failed event of its key waits in order, and goes on before all others when that has ended."""
    await floor.fill(A, numbers=range(1, 8))
    await floor.claim("s", per_lane=5)
    await floor.exchange(
        "s",
        HandIn(
            A,
            due=[(b"a1:2:00000", "a1:2:00000:2", NOW, "k")],
            behind=[(b"a2:2:00000", "k"), (b"a4:2:00000", "k")],
        ),
    )
    books = await floor.books()
    assert [ref.number for ref in books.behind[A]] == [2, 4]
    assert await floor.blocked(A) == {"k": 1}
    await floor.lanes.sweep(UK, now_ms=NOW)
    await floor.exchange("s", HandIn(A, take=1))
    await floor.exchange("s", HandIn(A, ended=[b"a1:2:00000:2"], freed=["k"]))
    assert await floor.waiting(A) == ["a2:2:00000", "a4:2:00000", "a6:2:00000", "a7:2:00000"]
    assert await floor.blocked(A) == {}


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
        await floor.redis.hincrby(keys.owed(UK), A, len(packed(number)))
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
    attempts = [attempt(number) for number in range(1, 5_001)]
    await floor.exchange("s", HandIn(A, ended=refs(1, 9_000), attempts=attempts))
    assert len(await floor.flying(A)) == 1000
    assert await floor.redis.zcard(keys.endpoint_attempts(UK, A)) == 5_000


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


async def test_what_goes_back_keeps_its_place_among_what_nobody_heard_of(floor: Floor) -> None:
    """What a worker hands back and what it never heard of return in one order, before what was never taken."""
    await floor.fill(A, numbers=range(1, 8))
    await floor.claim("s", per_lane=5)
    back = [(b"a2:2:00000", "a2:2:00000:2"), (b"a4:2:00000", "a4:2:00000")]
    await floor.exchange("s", HandIn(A, leaving="go", ended=refs(3, 3), back=back))
    assert await floor.waiting(A) == [
        "a1:2:00000", "a2:2:00000:2", "a4:2:00000", "a5:2:00000", "a6:2:00000", "a7:2:00000"
    ]  # fmt: skip


async def test_nothing_waits_behind_a_key_that_nothing_blocks(floor: Floor) -> None:
    """Somebody let a key go that its holder takes for blocked: what was to wait for it goes back, in its order."""
    await floor.fill(A, numbers=range(1, 8))
    await floor.claim("s", per_lane=5)
    given = await floor.exchange("s", HandIn(A, take=1, behind=[(each, "k") for each in refs(2, 4)]))
    assert given == [Given(A, "held", refs(2, 2), {})]
    assert await floor.waiting(A) == ["a3:2:00000", "a4:2:00000", "a6:2:00000", "a7:2:00000"]
    await floor.exchange("s", HandIn(A, leaving="go", behind=[(each, "k") for each in refs(2, 2)]))
    assert await floor.waiting(A) == [f"a{number}:2:00000" for number in range(1, 8)]


async def test_a_key_is_blocked_by_what_is_there_only(floor: Floor) -> None:
    """A result of a delivery that the store does not have in flight blocks no key: nothing would free it."""
    await floor.fill(A, numbers=range(1, 4))
    await floor.claim("s")
    await floor.exchange("s", HandIn(A, due=[(b"a9:2:00000", "a9:2:00000:2", NOW, "k")]))
    assert await floor.blocked(A) == {}
    assert await floor.redis.exists(keys.blockers(UK)) == 0


async def test_the_claimer_is_told_what_is_blocked(floor: Floor) -> None:
    """Whoever holds a lane next knows which keys wait, and for what; the endpoint is listed as long as one does."""
    await floor.fill(A, numbers=range(1, 4))
    await floor.claim("s")
    due = [(b"a1:2:00000", "a1:2:00000:2", NOW + 9, "k"), (b"a2:2:00000", "a2:2:00000:2", NOW + 9, "l")]
    await floor.exchange("s", HandIn(A, due=due, leaving="go"))
    assert await floor.exchange("t", claim=1) == [Given(A, "claimed", refs(3, 3), {"k": 1, "l": 2})]
    assert await floor.lanes.blockers(UK) == [A]
    await floor.exchange("t", HandIn(A, freed=["k"]))
    assert await floor.lanes.blockers(UK) == [A]
    await floor.exchange("t", HandIn(A, freed=["l"]))
    assert await floor.lanes.blockers(UK) == []


async def test_what_an_endpoint_keeps_is_counted(floor: Floor) -> None:
    """Bytes of events are owed until a delivery ends, wherever it goes before."""
    await floor.fill(A, B, numbers=range(1, 7))
    size = len(packed(1))
    assert await floor.owed() == {A: 6 * size, B: 6 * size}
    await floor.claim("s", lanes=2)
    left = [(b"a2:2:00000", "a2:2:00000")]
    due, dead = [(b"a3:2:00000", "a3:2:00000:2", NOW, "k")], [(b"a4:2:00000", "x")]
    await floor.exchange("s", HandIn(A, ended=refs(1, 1), due=due, dead=dead, back=left))
    assert await floor.owed() == {A: 5 * size, B: 6 * size}
    await floor.exchange("s", HandIn(B, ended=refs(1, 6)))
    assert await floor.owed() == {A: 5 * size}


async def test_a_damaged_reference_is_set_aside(floor: Floor) -> None:
    """Whatever it is, it can be claimed, given up, and stands in the list of what was not delivered."""
    await floor.fill(A, numbers=range(1, 3))
    for damaged in (b"", b"\xff\x00", b"nonsense", b"a", b"a99999999999999999999:2:00000"):
        await floor.redis.lpush(keys.lane(UK, A), damaged)
    (given,) = await floor.exchange("s", claim=1)
    damaged_ones = [each for each in given.references if each not in refs(1, 2)]
    assert len(damaged_ones) == 5
    await floor.exchange("s", HandIn(A, ended=refs(1, 2), dead=[(each, "unreadable") for each in damaged_ones]))
    members = [member for member, _ in await floor.redis.zrange(keys.dead(UK), 0, -1, withscores=True)]
    assert sorted(members) == sorted(b"%s %s unreadable" % (A.encode(), each) for each in damaged_ones)
    assert await floor.redis.hgetall(keys.references(UK)) == {b"0": b"0"}


async def test_thousands_behind_a_key_go_on_at_once(floor: Floor) -> None:
    """In their order, before what was never taken."""
    await floor.fill(A, numbers=range(1, 9_003))
    await floor.claim("s", per_lane=1)
    results = HandIn(A, due=[(b"a1:2:00000", "a1:2:00000:2", NOW, "k")], take=1000)
    for first in range(2, 9_001, 1_000):
        await floor.exchange("s", results)
        results = HandIn(A, behind=[(each, "k") for each in refs(first, first + 999)], take=1000)
    await floor.exchange("s", results)
    assert len((await floor.books()).behind[A]) == 9_000
    await floor.exchange("s", HandIn(A, freed=["k"]))
    assert [int(each.split(":")[0][1:]) for each in (await floor.waiting(A))] == list(range(2, 9_002))


async def test_a_damaged_count_stops_no_lane(floor: Floor) -> None:
    """Results are taken in whatever stands where a count should be, and no event is let go because of it."""
    await floor.fill(A, numbers=range(1, 4))
    await floor.claim("s")
    await floor.redis.hset(keys.references(UK), "0", "many")
    await floor.redis.hset(keys.owed(UK), A, "much")
    given = await floor.exchange("s", HandIn(A, ended=refs(1, 2), take=1))
    assert [each.state for each in given] == ["held"]
    assert int(await floor.redis.hget(keys.references(UK), "0")) > 1
    assert await floor.redis.hget(keys.owed(UK), A) is None


async def test_nothing_is_left_behind_of_a_source_that_was_deleted(floor: Floor) -> None:
    """Who still holds its lanes hears that it is gone: no result, attempt, session or turn is written any more."""
    await floor.fill(A, numbers=range(1, 4))
    await floor.claim("s", per_lane=2)
    await floor.redis.set(keys.fence(UK), "-7")
    before = await dump(floor.redis)
    results = HandIn(A, ended=refs(1, 1), attempts=[attempt(1)], take=3)
    for session in ("s", "never there"):
        gone = await floor.exchanged(session, results, claim=5, lives_ms=999_000)
        assert (gone.verdict, gone.given) == ("gone", [])
    assert await dump(floor.redis) == before


async def test_who_waits_for_work_is_told_of_a_lane_that_was_let_go(floor: Floor, redis: Redis) -> None:
    """One notice for all that other workers can claim, and none for a lane that is empty."""
    await floor.fill(A, B, C, numbers=range(1, 3))
    await floor.claim("s", lanes=3)
    async with redis.pubsub() as channel:
        await channel.subscribe(keys.WAKE_CHANNEL)
        await channel.get_message(timeout=PATIENCE_S)
        back = [(reference, reference.decode()) for reference in refs(1, 2)]
        await floor.exchange("s", HandIn(C, ended=refs(1, 2), leaving="go"))
        assert await channel.get_message(timeout=0.05) is None
        await floor.exchange("s", HandIn(A, back=back, leaving="go"), HandIn(B, back=back, leaving="go"))
        heard = await channel.get_message(timeout=PATIENCE_S)
        assert heard is not None
        assert heard["data"] == UK.encode()
        assert await channel.get_message(timeout=0.05) is None
