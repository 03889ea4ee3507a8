"""sweep_lanes.lua and the scripts that move whole lanes: what waits for a time, for a dead worker, or for nobody."""

import pytest
from redis.asyncio import Redis

from relay.domain.references import Reference
from relay.domain.sending.effects import HandIn, Sweep
from relay.store import keys, lanes
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
    assert await floor.lanes.sweep(UK, now_ms=NOW) == Sweep(1, None, 0, 0, 0)
    assert await dump(floor.redis) == before


async def test_due_retries_become_ready(floor: Floor) -> None:
    """At its time, not before, a retry is the first in its lane, the oldest of several in front."""
    for number, due_ms in ((1, NOW + 10), (2, NOW + 20), (3, NOW + 30)):
        await retry(floor, number, due_ms)
    await floor.fill(A, numbers=range(4, 5))
    assert await floor.lanes.sweep(UK, now_ms=NOW + 9) == Sweep(1, NOW + 10, 0, 0, 0)
    assert await floor.lanes.sweep(UK, now_ms=NOW + 20) == Sweep(1, NOW + 30, 2, 0, 0)
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
    assert (await floor.lanes.sweep(UK, now_ms=NOW + 9)) == Sweep(1, NOW + 3, 2, 0, 0)
    assert (await floor.lanes.sweep(UK, now_ms=NOW + 9)).retries == 2
    assert (await floor.lanes.sweep(UK, now_ms=NOW + 9)) == Sweep(1, None, 1, 0, 0)
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
    assert await floor.lanes.sweep(UK, now_ms=NOW + 4) == Sweep(0, NOW + 5, 0, 0, 0)
    assert await floor.lanes.sweep(UK, now_ms=NOW + 9) == Sweep(1, None, 0, 0, 0)
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
    assert await floor.lanes.sweep(UK, now_ms=NOW) == Sweep(1, NOW + 9, 0, 1, 0)
    books = await floor.books()
    assert books.lanes == {A: "r", B: "living"}
    assert await floor.waiting(A) == [f"a{number}:2:00000:1:1" for number in (1, *range(4, 12))] + ["a12:2:00000"]
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


async def crash(floor: Floor, *, trial: bytes | None = None) -> tuple[Sweep, list[str]]:
    """A worker claims A's lane, begins the trial of one reference or of none, and dies."""
    await floor.claim("s")
    if trial is not None:
        await floor.lanes.try_alone(UK, "s", A, trial)
    await floor.dies("s")
    sweep = await floor.lanes.sweep(UK, now_ms=NOW)
    return sweep, await floor.waiting(A)


async def test_crashes_are_counted_up_to_suspicion(floor: Floor) -> None:
    """Whoever was in flight twice when a worker died is a suspect; no more is counted without a trial."""
    await floor.fill(A, numbers=range(1, 3))
    for expected in (1, 2, 2):
        _, waiting = await crash(floor)
        assert waiting == [f"a1:2:00000:1:{expected}", f"a2:2:00000:1:{expected}"]


async def test_the_one_that_kills_its_workers_is_found(floor: Floor) -> None:
    """Only the one that was tried alone is blamed, and the fifth crash gives it up: its lane goes on (goal G10)."""
    await floor.fill(A, numbers=range(1, 3))
    for _ in range(2):
        await crash(floor)
    for expected in (3, 4):
        suspect = b"a1:2:00000:1:%d" % (expected - 1)
        sweep, waiting = await crash(floor, trial=suspect)
        assert (sweep.poisoned, waiting) == (0, [f"a1:2:00000:1:{expected}", "a2:2:00000:1:2"])
    sweep, waiting = await crash(floor, trial=b"a1:2:00000:1:4")
    assert (sweep.poisoned, waiting) == (1, ["a2:2:00000:1:2"])
    assert (await floor.books()).dead == [(A, Reference(1, 2, "00000", 1, 5), "poison")]


async def test_what_waits_behind_poison_goes_on(floor: Floor) -> None:
    """A key whose first event is given up as poison is free again."""
    await floor.fill(A, numbers=range(1, 4))
    await floor.claim("s", per_lane=2)
    await floor.exchange(
        "s",
        HandIn(
            A, leaving="go", back=[(b"a1:2:00000", b"a1:2:00000:2:4")], blocks=[("k", 1)], behind=[(b"a2:2:00000", "k")]
        ),
    )
    await floor.claim("s", per_lane=1)
    await floor.lanes.try_alone(UK, "s", A, b"a1:2:00000:2:4")
    await floor.dies("s")
    assert (await floor.lanes.sweep(UK, now_ms=NOW)).poisoned == 1
    assert await floor.waiting(A) == ["a2:2:00000", "a3:2:00000"]
    assert (await floor.books()).behind == {}
    assert await floor.lanes.blocked(UK, A) == {}


async def test_a_lane_is_dropped_whole(floor: Floor) -> None:
    """Of a deleted endpoint nothing is left in any place, and everybody else's stays."""
    await floor.fill(A, B, numbers=range(1, 9))
    await floor.claim("s", lanes=2, per_lane=6)
    for endpoint in (A, B):
        await floor.exchange(
            "s",
            HandIn(
                endpoint,
                health="5:1",
                due=[(b"a1:2:00000", "a1:2:00000:2", NOW, "")],
                dead=[(b"a2:2:00000", "x")],
                blocks=[("k", 1)],
                behind=[(b"a3:2:00000", "k")],
                attempts=[(1, NOW, b"record")],
            ),
        )
    others = {name: value for name, value in (await dump(floor.redis)).items() if B in name}
    await floor.lanes.drop(UK, A)
    left = await dump(floor.redis)
    assert [name for name in left if A in name] == []
    assert {name: value for name, value in left.items() if B in name} == others
    books = await floor.books()
    assert books.lanes == {B: "s"}
    assert books.references == {0: 8}
    assert await floor.redis.hkeys(keys.health(UK)) == [B.encode()]
    assert [each.state for each in await floor.exchange("s", HandIn(A, take=8, ended=[b"a4:2:00000"]))] == ["lost"]
    assert (await floor.books()).references == {0: 8}


@pytest.mark.parametrize("park", [True, False])
async def test_a_lane_that_is_dropped_is_nobodys(floor: Floor, park: bool) -> None:
    """Ready or parked, it is neither claimed nor swept any more."""
    await floor.fill(A, numbers=range(1, 3))
    if park:
        await floor.claim("s")
        await floor.exchange(
            "s",
            HandIn(
                A, leaving="park", until_ms=NOW, back=[(b"a1:2:00000", b"a1:2:00000"), (b"a2:2:00000", b"a2:2:00000")]
            ),
        )
    await floor.lanes.drop(UK, A)
    assert (await floor.lanes.sweep(UK, now_ms=NOW)).ready == 0
    books = await floor.books()
    assert (books.lanes, books.references) == ({}, {0: 0})


async def test_an_unparked_lane_is_ready_at_once(floor: Floor) -> None:
    """What is resumed goes on without a past; what is not parked is left alone."""
    await floor.fill(A, numbers=range(1, 3))
    await floor.claim("s")
    await floor.lanes.unpark(UK, A)
    assert (await floor.books()).lanes == {A: "s"}
    await floor.exchange(
        "s", HandIn(A, leaving="park", until_ms=NOW + 9999, health="5:3", back=[(b"a1:2:00000", b"a1:2:00000")])
    )
    await floor.lanes.unpark(UK, A)
    assert (await floor.books()).lanes == {A: "r"}
    assert [each.health for each in await floor.exchange("t", claim=1)] == [""]


async def test_what_waits_behind_keys_is_released(floor: Floor) -> None:
    """When an endpoint is ordered otherwise, everything goes back to its lane, and an idle one becomes ready."""
    await floor.fill(A, numbers=range(1, 5))
    await floor.claim("s", per_lane=4)
    await floor.exchange(
        "s",
        HandIn(
            A,
            due=[(b"a1:2:00000", "a1:2:00000:2", NOW, ""), (b"a2:2:00000", "a2:2:00000:2", NOW, "")],
            blocks=[("k", 1), ("l", 2)],
            behind=[(b"a3:2:00000", "k"), (b"a4:2:00000", "l")],
        ),
    )
    assert (await floor.books()).lanes == {}
    await floor.lanes.release_waiting(UK, A)
    assert sorted(await floor.waiting(A)) == ["a3:2:00000", "a4:2:00000"]
    assert (await floor.books()).lanes == {A: "r"}
    assert await floor.lanes.blocked(UK, A) == {}
