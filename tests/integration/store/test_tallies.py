"""Tallies: written with the attempts, in the step that records them, and kept within bounds."""

from typing import Any

import pytest
from redis.asyncio import Redis

from relay.domain.model import Attempt, EndpointId
from relay.domain.sending.effects import HandIn
from relay.domain.tallies import KEPT, Tally, Unit, mark_of
from relay.store import tally_keys
from relay.store.tallies import Tallies
from tests.integration.store.floor import NOW, UK, A, B, Floor

HOUR = 60


@pytest.fixture
def floor(redis: Redis) -> Floor:
    return Floor(redis)


def attempts(endpoint: EndpointId, *tries: tuple[int, int], began_ms: int = NOW) -> list[Attempt]:
    """Attempts with a status and a duration each."""
    return [
        Attempt(
            endpoint, 1, 1, 2, began_ms + at, duration_ms, status, "delivered" if status // 100 == 2 else "retry",
            tag="00000",
        )
        for at, (status, duration_ms) in enumerate(tries)
    ]  # fmt: skip


async def read(floor: Floor, endpoint: EndpointId = A, unit: Unit = "minute") -> dict[int, Tally]:
    """By the number of the bucket, counted from the one under way."""
    found = (await Tallies(floor.redis).read([(endpoint, UK)], unit, newest=1000))[endpoint]
    return {at - max(found): tally for at, tally in found.items()}


async def passes(floor: Floor, minutes: int, endpoint: EndpointId = A) -> None:
    """So much time passes for what was counted: the server's clock cannot be set."""
    key = tally_keys.tally(UK, endpoint)
    at, _, marks = (await floor.redis.get(key) or b"0").decode().partition(" ")
    await floor.redis.set(key, f"{int(at) - minutes} {marks}")


async def test_attempts_are_counted_once(floor: Floor) -> None:
    """Also when a call is answered twice, or refused because the one before it is not known; by class and duration."""
    made = attempts(A, (204, 5), (204, 5), (500, 40), (0, 20_000))
    await floor.exchange("s", HandIn(A, attempts=made))
    await floor.exchange("s", HandIn(A, attempts=made), again=True)
    astray = await floor.exchanged("s", HandIn(A, attempts=made), skip=3)
    assert astray.verdict == "astray"
    ((_, tally),) = (await read(floor)).items()
    assert tally.classes == {0: 1, 2: 2, 5: 1}
    assert (tally.total, tally.failed) == (4, 2)
    assert tally.durations[2].counts == {5: 2}
    assert await read(floor, B) == {}


async def test_minutes_become_hours(floor: Floor) -> None:
    """Each attempt is in one minute and in one hour, wherever minutes and hours end."""
    for minutes in (0, 1, 59, 60, 61, 5):
        await passes(floor, minutes)
        await floor.exchange("s", HandIn(A, attempts=attempts(A, (200, 10), (503, 10))))
    by_minute, by_hour = await read(floor), await read(floor, unit="hour")
    assert [each.total for each in by_minute.values()] == [2] * 6
    assert sum(each.total for each in by_hour.values()) == 12
    assert sum(each.failed for each in by_hour.values()) == 6
    assert 2 <= len(by_hour) <= 3


async def test_a_list_is_bounded(floor: Floor) -> None:
    """The oldest go first, and all of it ends some days after the last attempt."""
    for unit in KEPT:
        name = tally_keys.ended(UK, A, unit)
        await floor.redis.rpush(name, *(f"{n} 25:1" for n in range(KEPT[unit])))  # type: ignore[misc]
    await floor.exchange("s", HandIn(A, attempts=attempts(A, (200, 10))))
    await passes(floor, HOUR)
    await floor.exchange("s", HandIn(A, attempts=attempts(A, (200, 10))))
    for unit in KEPT:
        name = tally_keys.ended(UK, A, unit)
        assert await floor.redis.llen(name) == KEPT[unit]  # type: ignore[misc]
        assert (await floor.redis.lindex(name, 0)) == b"1 25:1"  # type: ignore[misc]
        assert 14 * 86_400_000 < await floor.redis.pttl(name) <= 15 * 86_400_000
    assert 14 * 86_400_000 < await floor.redis.pttl(tally_keys.tally(UK, A)) <= 15 * 86_400_000


async def test_a_clock_that_is_set_back(floor: Floor) -> None:
    """A little: the minute goes on. Further: another one begins, and nothing is lost."""
    await floor.exchange("s", HandIn(A, attempts=attempts(A, (200, 10))))
    await passes(floor, -1)
    await floor.exchange("s", HandIn(A, attempts=attempts(A, (200, 10))))
    assert [each.total for each in (await read(floor)).values()] == [2]
    await passes(floor, -3 * HOUR)
    await floor.exchange("s", HandIn(A, attempts=attempts(A, (200, 10))))
    for unit in KEPT:
        found = await Tallies(floor.redis).read([(A, UK)], unit, newest=1000)
        assert sorted(each.total for each in found[A].values()) == [1, 2]


async def test_who_failed_lately_is_known(floor: Floor) -> None:
    """By the last failure, whatever succeeded since; the oldest are forgotten."""
    tallies = Tallies(floor.redis)
    await floor.exchange(
        "s", HandIn(A, attempts=attempts(A, (200, 1), (500, 1))), HandIn(B, attempts=attempts(B, (200, 1)))
    )
    assert set(await tallies.failing([UK], since_ms=0, most=10)) == {(A, UK)}
    await floor.exchange("s", HandIn(B, attempts=attempts(B, (0, 1))))
    found = await tallies.failing([UK], since_ms=0, most=10)
    assert set(found) == {(A, UK), (B, UK)}
    assert set(await tallies.failing([UK], since_ms=0, most=1)) == {(B, UK)}
    assert await tallies.failing([UK], since_ms=max(found.values()) + 1, most=10) == {}
    assert 86_000_000 < await floor.redis.pttl(tally_keys.failing(UK)) <= 86_400_000
    await floor.redis.zadd(tally_keys.failing(UK), {A: 1})
    await passes(floor, 1, B)
    await floor.exchange("s", HandIn(B, attempts=attempts(B, (200, 1))))
    assert set(await tallies.failing([UK], since_ms=0, most=10)) == {(B, UK)}


async def test_an_endpoint_takes_little_memory(floor: Floor) -> None:
    """With attempts in every minute and every hour that is kept, of twelve marks each: docs/performance.md."""
    durations = (5, 9, 14, 20, 30, 45)
    marks = {mark_of(status, ms, succeeded=status == 200): 100 for status in (200, 503) for ms in durations}
    text = ",".join(f"{mark}:{count}" for mark, count in marks.items())
    for unit, number in (("minute", 29_847_213), ("hour", 497_453)):
        name = tally_keys.ended(UK, A, unit)  # type: ignore[arg-type]
        entries = [f"{number + n} {text}" for n in range(KEPT[unit])]  # type: ignore[index]
        await floor.redis.rpush(name, *entries)  # type: ignore[misc]
    names = [tally_keys.ended(UK, A, unit) for unit in KEPT]
    sizes = [await floor.redis.memory_usage(name, samples=0) for name in names]
    assert sum(int(size or 0) for size in sizes) < 64 * 1024


async def test_damage_counts_nothing(floor: Floor) -> None:
    """What cannot be read is passed over, and counting continues."""
    key, ended = tally_keys.tally(UK, A), tally_keys.ended(UK, A, "minute")
    for damaged in ("x 25:y", "1 25:y,27:3 25:z", "1 25", "", f"{'9' * 40} 25:{'9' * 40} x"):
        await floor.redis.set(key, damaged)
        await floor.exchange("s", HandIn(A, attempts=attempts(A, (204, 5))))
        await floor.redis.delete(ended)
        assert [each.total for each in (await read(floor)).values()] == [1]
    await floor.redis.delete(key)
    await floor.redis.hset(key, "at", "1")  # type: ignore[misc]
    assert await read(floor) == {}
    await floor.exchange("s", HandIn(A, attempts=attempts(A, (204, 5))))
    await floor.redis.set(key, "x 25:1")
    await floor.redis.rpush(ended, "x", "", "5 z:1,25:2")  # type: ignore[misc]
    assert [each.total for each in (await read(floor)).values()] == [2]


async def test_a_call_reads_and_writes_each_tally_once(floor: Floor) -> None:
    """However many marks it has: one MGET for all lanes, and one SET for each of them and for all together."""
    handed = [
        HandIn(each, attempts=attempts(each, *((code, ms) for code in (204, 503) for ms in range(1, 200, 20))))
        for each in (A, B)
    ]
    await floor.exchange("s", *handed)
    before = await used(floor)
    await floor.exchange("s", *handed)
    after = await used(floor)
    assert {name: after[name] - before.get(name, 0) for name in ("mget", "set", "hincrby", "pexpire")} == {
        "mget": 1, "set": 3, "hincrby": 2, "pexpire": 1,
    }  # fmt: skip


async def used(floor: Floor) -> dict[str, int]:
    """How often the server has executed each command."""
    stats: dict[str, Any] = await floor.redis.info("commandstats")
    return {name.removeprefix("cmdstat_"): each["calls"] for name, each in stats.items()}
