"""sweep_lanes.lua and the scripts that move whole lanes: what waits for a time, for a dead worker, or for nobody."""

from dataclasses import replace
from typing import Any

import pytest
from redis.asyncio import Redis

from relay.domain.references import Reference
from relay.domain.sending.effects import HandIn
from relay.store import keys, lanes
from relay.store.lanes import GRACE_MS, Sweep
from tests.integration.books import dump
from tests.integration.store.floor import NOW, UK, A, B, Floor


@pytest.fixture
def floor(redis: Redis) -> Floor:
    return Floor(redis)


async def retry(floor: Floor, number: int, due_ms: int) -> None:
    """An event of A that failed once."""
    await floor.fill(A, numbers=range(number, number + 1))
    await floor.claim("s")
    await floor.exchange("s", HandIn(A, due=[(b"a%d:2:00000" % number, f"a{number}:2:00000:2", due_ms, "")]))


async def test_nothing_to_do_is_nothing_done(floor: Floor) -> None:
    """A sweep of a quiet source changes nothing, and knows of nothing to come."""
    await floor.fill(A, numbers=range(1, 3))
    before = await dump(floor.redis)
    assert await floor.lanes.sweep(UK, now_ms=NOW) == Sweep(1, None, 0, 0, 0, more=False)
    after = await dump(floor.redis)
    assert after.pop(keys.swept(UK))
    assert after == before


async def test_due_retries_become_ready(floor: Floor) -> None:
    """At its time, not before, a retry is the first in its lane, the oldest of several in front."""
    for number, due_ms in ((1, NOW + 10), (2, NOW + 20), (3, NOW + 30)):
        await retry(floor, number, due_ms)
    await floor.fill(A, numbers=range(4, 5))
    assert await floor.lanes.sweep(UK, now_ms=NOW + 9) == Sweep(1, NOW + 10, 0, 0, 0, more=False)
    assert await floor.lanes.sweep(UK, now_ms=NOW + 20) == Sweep(1, NOW + 30, 2, 0, 0, more=False)
    assert await floor.waiting(A) == ["a1:2:00000:2", "a2:2:00000:2", "a4:2:00000"]


@pytest.mark.parametrize("state", ["idle", "ready", "held", "parked"])
async def test_a_retry_wakes_its_lane_only(floor: Floor, state: str) -> None:
    """A retry makes an idle lane ready; one that is held or parked stays that."""
    await retry(floor, 1, NOW)
    if state != "idle":
        await floor.fill(A, numbers=range(2, 4))
    if state in ("held", "parked"):
        await floor.claim("s", per_lane=1)
    if state == "parked":
        await floor.exchange("s", HandIn(A, leaving="park", until_ms=NOW + 1000, ended=[b"a2:2:00000"]))
    assert (await floor.lanes.sweep(UK, now_ms=NOW)).retries == 1
    expected = {"idle": "r", "ready": "r", "held": "s", "parked": "p"}
    assert (await floor.books()).lanes == {A: expected[state]}
    assert (await floor.waiting(A))[0] == "a1:2:00000:2"


async def test_a_sweep_is_bounded(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    """With many due a sweep takes some, and says at once that there are more."""
    monkeypatch.setattr(lanes, "SWEEP_AT_ONCE", 2)
    for number in range(1, 6):
        await retry(floor, number, NOW + number)
    assert (await floor.lanes.sweep(UK, now_ms=NOW + 9)) == Sweep(1, NOW + 3, 2, 0, 0, more=True)
    assert (await floor.lanes.sweep(UK, now_ms=NOW + 9)).retries == 2
    assert replace(await floor.lanes.sweep(UK, now_ms=NOW + 9), next_ms=None) == Sweep(1, None, 1, 0, 0, more=False)
    await floor.books()


async def test_a_parked_lane_goes_on_at_its_time(floor: Floor) -> None:
    """It becomes ready with what waits in it, and idle if nothing does."""
    await floor.fill(A, numbers=range(1, 3))
    await floor.fill(B, numbers=range(3, 4))
    await floor.claim("s", lanes=2, per_lane=1)
    await floor.exchange(
        "s",
        HandIn(A, leaving="park", until_ms=NOW + 5, ended=[b"a1:2:00000"]),
        HandIn(B, leaving="park", until_ms=NOW + 7, ended=[b"a3:2:00000"]),
    )
    assert await floor.lanes.sweep(UK, now_ms=NOW + 4) == Sweep(0, NOW + 5, 0, 0, 0, more=False)
    last = await floor.lanes.sweep(UK, now_ms=NOW + 9)
    # The session's end is the next thing to come.
    ends_ms = (await floor.redis.zrange(keys.sessions(UK), 0, 0, withscores=True))[0][1]
    assert last == Sweep(1, int(ends_ms), 0, 0, 0, more=False)
    assert (await floor.books()).lanes == {A: "r"}


async def test_what_comes_first_is_told(floor: Floor) -> None:
    """The time of the next thing is that of a retry or of a parked lane, whichever is sooner."""
    await retry(floor, 1, NOW + 50)
    await floor.fill(A, numbers=range(2, 3))
    await floor.claim("s")
    await floor.exchange("s", HandIn(A, leaving="park", until_ms=NOW + 40, ended=[b"a2:2:00000"]))
    assert (await floor.lanes.sweep(UK, now_ms=NOW)).next_ms == NOW + 40
    assert (await floor.lanes.sweep(UK, now_ms=NOW + 45)).next_ms == NOW + 50


async def test_a_dead_workers_lanes_are_taken_up(floor: Floor) -> None:
    """Everything it had in flight returns to the head in order, with a crash counted; the living keep theirs."""
    await floor.fill(A, B, numbers=range(1, 13))
    await floor.claim("dead", per_lane=11)
    await floor.claim("living")
    await floor.exchange("dead", HandIn(A, ended=[b"a2:2:00000"], due=[(b"a3:2:00000", "a3:2:00000:2", NOW + 9, "")]))
    await floor.dies("dead")
    assert await floor.lanes.sweep(UK, now_ms=NOW) == Sweep(1, NOW + 9, 0, 1, 0, more=True)
    books = await floor.books()
    assert books.lanes == {A: "r", B: "living"}
    assert await floor.waiting(A) == [f"a{number}:2:00000:0:1" for number in (1, *range(4, 12))] + ["a12:2:00000"]
    assert books.sessions == {"living"}
    assert await floor.redis.hkeys(keys.turns(UK)) == [b"living"]


async def test_a_session_lives_by_the_servers_clock(floor: Floor) -> None:
    """A worker whose own clock is an hour off neither dies of it nor outlives itself."""
    await floor.fill(A, numbers=range(1, 3))
    floor.now_ms = NOW - 3_600_000
    await floor.claim("s", lives_ms=60_000)
    assert (await floor.lanes.sweep(UK, now_ms=NOW + 3_600_000)).reclaimed == 0
    await floor.exchange("s", lives_ms=0)
    assert (await floor.lanes.sweep(UK, now_ms=NOW)).reclaimed == 1


async def test_a_session_that_leaves_holds_nothing(floor: Floor) -> None:
    """Whatever it did not let go is taken up at the next sweep, not kept for a worker that is no more."""
    await floor.fill(A, numbers=range(1, 3))
    await floor.claim("s")
    await floor.lanes.leave(UK, "s")
    assert (await floor.lanes.sweep(UK, now_ms=NOW)).reclaimed == 1
    books = await floor.books()
    assert (books.lanes, books.sessions) == ({A: "r"}, set())
    await floor.lanes.leave(UK, "never there")
    assert (await floor.books()).sessions == set()


async def test_a_claim_after_that_finds_every_one(floor: Floor) -> None:
    """One dead worker is taken up a sweep, and a sweep says that there may be more."""
    await floor.fill(A, B, numbers=range(1, 3))
    for session in ("s", "t"):
        await floor.claim(session)
        await floor.dies(session)
    sweeps = [await floor.lanes.sweep(UK, now_ms=NOW) for _ in range(3)]
    assert [(each.reclaimed, each.more) for each in sweeps] == [(1, True), (1, True), (0, False)]


async def crash(floor: Floor, *wire: bytes) -> tuple[Sweep, list[str]]:
    """A worker claims A's lane, announces that some of it goes on the wire, and dies."""
    await floor.claim("s")
    await floor.lanes.announce("s", [(UK, A, each) for each in wire])
    await floor.dies("s")
    sweep = await floor.lanes.sweep(UK, now_ms=NOW)
    floor.forgets("s")
    assert await floor.redis.exists(keys.tried(UK, "s")) == 0
    return sweep, await floor.waiting(A)


async def test_what_was_only_read_ahead_is_no_suspect(floor: Floor) -> None:
    """However many workers die with it in their hands: from its first crash on only what was on the wire counts."""
    await floor.fill(A, numbers=range(1, 3))
    for _ in range(6):
        _, waiting = await crash(floor)
        assert waiting == ["a1:2:00000:0:1", "a2:2:00000:0:1"]


async def test_the_one_that_kills_its_workers_is_found(floor: Floor) -> None:
    """Only what was on the wire is blamed, and the fifth crash gives it up: its lane goes on (goal G10)."""
    await floor.fill(A, numbers=range(1, 3))
    await crash(floor)
    for expected in (2, 3, 4):
        sweep, waiting = await crash(floor, b"a1:2:00000:0:%d" % (expected - 1))
        assert (sweep.poisoned, waiting) == (0, [f"a1:2:00000:0:{expected}", "a2:2:00000:0:1"])
    sweep, waiting = await crash(floor, b"a1:2:00000:0:4")
    assert (sweep.poisoned, waiting) == (1, ["a2:2:00000:0:1"])
    assert (await floor.books()).dead == [(A, Reference(1, 2, "00000", 1, 5), "poison")]


@pytest.mark.parametrize("lands", ["ended", "due", "dead", "back", "behind", "lane let go"])
async def test_an_announcement_ends_with_the_attempt(floor: Floor, lands: str) -> None:
    """What has landed is not to blame for what happens to its worker later."""
    await floor.fill(A, numbers=range(1, 3))
    await crash(floor)
    await floor.claim("s")
    one = b"a1:2:00000:0:1"
    await floor.lanes.announce("s", [(UK, A, one)])
    await floor.exchange(
        "s",
        {
            "ended": HandIn(A, ended=[one]),
            "due": HandIn(A, due=[(one, "a1:2:00000:2", NOW, "")]),
            "dead": HandIn(A, dead=[(one, "x")]),
            "back": HandIn(A, back=[(one, "a1:2:00000:0:1")]),
            "behind": HandIn(A, behind=[(one, "k")]),
            "lane let go": HandIn(A, leaving="go"),
        }[lands],
    )
    assert await floor.redis.exists(keys.tried(UK, "s")) == 0


async def test_what_waits_behind_poison_goes_on(floor: Floor) -> None:
    """A key whose first event is given up as poison is free again."""
    await floor.fill(A, numbers=range(1, 4))
    await floor.claim("s", per_lane=2)
    await floor.exchange(
        "s", HandIn(A, due=[(b"a1:2:00000", "a1:2:00000:2:4", NOW, "k")], behind=[(b"a2:2:00000", "k")])
    )
    await floor.lanes.sweep(UK, now_ms=NOW)
    _, waiting = await crash(floor, b"a1:2:00000:2:4")
    assert waiting == ["a2:2:00000", "a3:2:00000:0:1"]
    assert (await floor.books()).behind == {}
    assert (await floor.blocked(A), await floor.lanes.blockers(UK)) == ({}, [])


async def freeze(floor: Floor, seconds: int) -> None:
    """The server stands still: sessions end meanwhile, and nobody can sweep or renew."""
    swept = (await floor.redis.get(keys.swept(UK))).decode()
    await floor.redis.set(keys.swept(UK), f"{int(swept.rstrip('+')) - seconds * 1000}{'+' if '+' in swept else ''}")
    for session in await floor.redis.zrange(keys.sessions(UK), 0, -1):
        await floor.redis.zincrby(keys.sessions(UK), -seconds * 1000, session)


async def test_a_server_that_stood_still_is_no_crash(floor: Floor) -> None:
    """Five freezes that outlast every session take no lane from a living worker, and count as nobody's death."""
    await floor.fill(A, numbers=range(1, 3))
    await floor.claim("s", lives_ms=10_000)
    await floor.lanes.sweep(UK, now_ms=NOW)
    for _ in range(5):
        await freeze(floor, 11)
        assert (await floor.lanes.sweep(UK, now_ms=NOW)).reclaimed == 0
        # It may even need a while to find the server again.
        assert (await floor.lanes.sweep(UK, now_ms=NOW)).reclaimed == 0
        await floor.exchange("s", HandIn(A), lives_ms=10_000)
    assert (await floor.books()).lanes == {A: "s"}
    assert await floor.flying(A) == {"a1:2:00000", "a2:2:00000"}


async def test_sweeps_that_are_always_late_find_the_dead(floor: Floor) -> None:
    """Where a worker is so slow that each sweep looks like the first after a pause, grace is given once."""
    await floor.fill(A, numbers=range(1, 3))
    await floor.claim("s")
    await floor.lanes.sweep(UK, now_ms=NOW)
    await freeze(floor, 60)
    assert (await floor.lanes.sweep(UK, now_ms=NOW)).reclaimed == 0
    await freeze(floor, 60)
    assert (await floor.lanes.sweep(UK, now_ms=NOW)).reclaimed == 1


async def test_who_died_while_the_server_stood_still_is_found(floor: Floor) -> None:
    """After such a pause a session has a grace, and then it counts as dead if it was not renewed."""
    await floor.fill(A, numbers=range(1, 3))
    await floor.claim("s", lives_ms=10_000)
    await floor.lanes.sweep(UK, now_ms=NOW)
    await freeze(floor, 60)
    assert (await floor.lanes.sweep(UK, now_ms=NOW)).reclaimed == 0
    sweeps = []
    for _ in range(GRACE_MS // 2_000 + 1):
        # So long passes in the rhythm of sweeps.
        await freeze(floor, 2)
        sweeps.append((await floor.lanes.sweep(UK, now_ms=NOW)).reclaimed)
    assert sweeps == [0] * (GRACE_MS // 2_000) + [1]


async def test_an_unparked_lane_is_ready_at_once(floor: Floor) -> None:
    """What is resumed goes on; what is not parked is left alone, and what is empty is idle."""
    await floor.fill(A, numbers=range(1, 3))
    await floor.claim("s")
    await floor.lanes.unpark(UK, A)
    assert (await floor.books()).lanes == {A: "s"}
    aside = HandIn(A, leaving="park", until_ms=NOW + 9999, back=[(b"a1:2:00000", "a1:2:00000")])
    await floor.exchange("s", aside)
    await floor.lanes.unpark(UK, A)
    assert (await floor.books()).lanes == {A: "r"}
    await floor.claim("s")
    await floor.exchange("s", HandIn(A, leaving="park", until_ms=NOW + 9999, ended=[b"a1:2:00000", b"a2:2:00000"]))
    await floor.lanes.unpark(UK, A)
    assert (await floor.books()).lanes == {}


@pytest.mark.parametrize("state", ["idle", "ready", "held", "parked"])
async def test_what_waits_behind_keys_of_another_order_is_released(
    floor: Floor, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes back to its lane, in any number and in any state of the lane; keys of the endpoint's own order stay."""
    monkeypatch.setattr(lanes, "RELEASED_AT_ONCE", 2)
    await floor.fill(A, numbers=range(1, 10))
    await floor.claim("s", per_lane=9)
    due = [(b"a1:2:00000", "a1:2:00000:2", NOW + 99, "1.k"), (b"a2:2:00000", "a2:2:00000:2", NOW + 99, "2.l")]
    behind = [(b"a%d:2:00000" % number, "1.k") for number in range(3, 8)] + [(b"a8:2:00000", "2.l")]
    results = HandIn(A, due=due, behind=behind, ended=[b"a9:2:00000"])
    if state == "held":
        results.ended = []
    if state == "parked":
        results.leaving, results.until_ms = "park", NOW + 99
    await floor.exchange("s", results)
    if state == "ready":
        await floor.fill(A, numbers=range(10, 11))
    await floor.lanes.release_waiting(UK, A, 2)
    books = await floor.books()
    assert books.lanes == {A: {"idle": "r", "ready": "r", "held": "s", "parked": "p"}[state]}
    assert [reference.number for reference in books.waiting[A]][:5] == [3, 4, 5, 6, 7]
    assert await floor.blocked(A) == {"2.l": 2}
    assert await floor.lanes.blockers(UK) == [A]
    await floor.lanes.release_waiting(UK, A, 3)
    assert 8 in [reference.number for reference in (await floor.books()).waiting[A]]
    assert (await floor.blocked(A), await floor.lanes.blockers(UK)) == ({}, [])


@pytest.mark.parametrize("at_once", [1, 2, 3, 1000])
async def test_what_is_released_keeps_the_order_of_the_events(
    floor: Floor, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    """The lists of several keys are merged, also with what was handed back, however few go on in one call."""
    monkeypatch.setattr(lanes, "RELEASED_AT_ONCE", at_once)
    await floor.fill(A, numbers=range(1, 13))
    await floor.claim("s", per_lane=10)
    held = [b"a%d:2:00000" % number for number in range(1, 11)]
    await floor.exchange(
        "s",
        HandIn(
            A,
            due=[(held[0], "a1:2:00000:2", NOW + 9, "1.k"), (held[1], "a2:2:00000:2", NOW + 9, "1.l")],
            behind=[(held[2], "1.k"), (held[3], "1.l"), (held[5], "1.k"), (held[8], "1.l")],
            back=[(held[i], held[i].decode()) for i in (4, 6, 7, 9)],
            leaving="go",
        ),
    )
    await floor.lanes.release_waiting(UK, A, 2)
    assert await floor.waiting(A) == [f"a{number}:2:00000" for number in range(3, 13)]
    assert await floor.lanes.blockers(UK) == []


@pytest.mark.parametrize("leaving", ["stay", "go", "park"])
async def test_what_is_handed_back_goes_among_what_was_released(floor: Floor, leaving: Any) -> None:
    """A lane that is held while an older order's keys are released: what its worker hands back keeps its place."""
    await floor.fill(A, numbers=range(1, 9))
    await floor.claim("s", per_lane=4)
    blocked = [(b"a1:2:00000", "a1:2:00000:2", NOW + 99, "1.k")]
    await floor.exchange("s", HandIn(A, due=blocked, behind=[(b"a3:2:00000", "1.k")], leaving="go", take=0))
    await floor.claim("t", per_lane=3)
    await floor.lanes.release_waiting(UK, A, 2)
    back = [(b"a%d:2:00000" % number, f"a{number}:2:00000") for number in (2, 4, 5)]
    await floor.exchange("t", HandIn(A, back=back, leaving=leaving, until_ms=NOW + 9))
    assert await floor.waiting(A) == [f"a{number}:2:00000" for number in range(2, 9)]


async def test_who_knows_an_older_order_releases_nothing_of_a_newer_one(floor: Floor) -> None:
    """As long as somebody holds the lane, who believes that those keys are blocked."""
    await floor.fill(A, numbers=range(1, 4))
    await floor.claim("s")
    due = [(b"a1:2:00000", "a1:2:00000:2", NOW + 99, "2.k")]
    await floor.exchange("s", HandIn(A, due=due, behind=[(b"a2:2:00000", "2.k")]))
    await floor.lanes.release_waiting(UK, A, 1)
    assert await floor.blocked(A) == {"2.k": 1}
    await floor.exchange("s", HandIn(A, ended=[b"a3:2:00000"]))
    await floor.lanes.release_waiting(UK, A, 1)
    assert await floor.blocked(A) == {}
    assert await floor.waiting(A) == ["a2:2:00000"]


async def test_damage_stops_no_sweep(floor: Floor) -> None:
    """Members and references that say nothing are moved or dropped like others; what is beside them goes on."""
    await floor.fill(A, numbers=range(1, 3))
    await floor.redis.lpush(keys.lane(UK, A), b"\xff\x00", b"", b"a")
    await floor.redis.zadd(keys.due(UK), dict.fromkeys((b"", b"ep_a", b"a b c", b"\xff \xff"), NOW))
    await floor.redis.hset(keys.blocked(UK, A), mapping={"k": "x", "": ""})
    await floor.claim("s")
    await floor.dies("s")
    assert (await floor.lanes.sweep(UK, now_ms=NOW)).reclaimed == 1
    assert await floor.redis.lrange(keys.lane(UK, A), -2, -1) == [b"a1:2:00000:0:1", b"a2:2:00000:0:1"]
    assert await floor.redis.zcard(keys.due(UK)) == 0
