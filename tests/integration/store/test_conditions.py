"""change_condition.lua: what all workers know of an endpoint that is not well, and who may probe it."""

import asyncio

import pytest
from redis.asyncio import Redis

from relay.domain.breaking import WELL, Condition
from relay.domain.sending.effects import Verb
from relay.store import keys
from relay.store.conditions import ConditionChange, Conditions
from tests.integration.store.floor import NOW, A, B
from tests.patience import PATIENCE_S

LIVES_MS = 25_000


class Worker:
    """A worker that changes conditions."""

    def __init__(self, redis: Redis, session: str) -> None:
        self.conditions = Conditions(redis)
        self._session = session

    async def change(self, verb: Verb, *, opens: int = 0, time_ms: int = 0, now_ms: int = NOW) -> Condition:
        """Change A's condition."""
        change = ConditionChange(A, verb, opens, time_ms)
        (found,) = await self.conditions.change([change], session=self._session, now_ms=now_ms, probe_lives_ms=LIVES_MS)
        assert (await self.conditions.read([A]))[A] == found
        return found


@pytest.fixture
def one(redis: Redis) -> Worker:
    return Worker(redis, "one")


@pytest.fixture
def other(redis: Redis) -> Worker:
    return Worker(redis, "other")


async def test_who_is_well_is_not_listed(redis: Redis, one: Worker) -> None:
    """Nothing is kept of an endpoint that is well, and nothing is left of one that is well again."""
    assert await one.conditions.read([A, B]) == {A: WELL, B: WELL}
    await one.change("open", time_ms=NOW + 5_000)
    await one.change("well")
    assert await redis.exists(keys.CONDITIONS) == 0


async def test_one_opening_counts_once(one: Worker, other: Worker) -> None:
    """Two workers whose callbacks fail together open the breaker once: the later end of the pause counts."""
    await one.change("open", time_ms=NOW + 5_000)
    found = await other.change("open", time_ms=NOW + 4_000)
    assert found == Condition(failing_since_ms=NOW, opens=1, until_ms=NOW + 5_000, opened_ms=NOW)
    again = await other.change("open", opens=1, time_ms=NOW + 10_000, now_ms=NOW + 5_000)
    assert (again.opens, again.opened_ms) == (2, NOW)


async def test_it_fails_since_the_first_failure(one: Worker, other: Worker) -> None:
    """Whoever waited longer for a success knows better, and an opening makes that no shorter."""
    await one.change("failing", time_ms=NOW - 70_000)
    await other.change("failing", time_ms=NOW - 90_000)
    await one.change("failing", time_ms=NOW - 80_000)
    assert (await one.change("open", time_ms=NOW + 5_000)).failing_since_ms == NOW - 90_000


async def test_one_alone_may_probe(one: Worker, other: Worker) -> None:
    """The right to probe is given when the pause is over, to one, and to another when it has ended."""
    await one.change("open", time_ms=NOW + 5_000)
    assert (await one.change("probe", now_ms=NOW + 4_999)).prober == ""
    assert await other.change("probe", now_ms=NOW + 5_000) == Condition(
        failing_since_ms=NOW,
        opens=1,
        until_ms=NOW + 5_000,
        prober="other",
        probe_until_ms=NOW + 5_000 + LIVES_MS,
        opened_ms=NOW,
    )
    assert (await one.change("probe", now_ms=NOW + 4_999 + LIVES_MS)).prober == "other"
    assert (await other.change("probe", now_ms=NOW + 6_000)).probe_until_ms == NOW + 6_000 + LIVES_MS
    assert (await one.change("probe", now_ms=NOW + 6_000 + LIVES_MS)).prober == "one"


async def test_a_failed_probe_ends_the_right(one: Worker, other: Worker) -> None:
    """Whoever comes first after the next pause may probe; what somebody else's failures say leaves the right alone."""
    await one.change("open", time_ms=NOW)
    await one.change("probe")
    assert (await other.change("open", opens=0, time_ms=NOW)).prober == "one"
    failed = await one.change("open", opens=1, time_ms=NOW + 10_000)
    assert (failed.opens, failed.prober, failed.probe_until_ms) == (2, "", 0)
    assert (await other.change("probe", now_ms=NOW + 10_000)).prober == "other"


async def test_nobody_probes_who_is_well(one: Worker, other: Worker) -> None:
    """Somebody else's probe succeeded meanwhile: whoever asks for the right hears that."""
    await one.change("open", time_ms=NOW)
    await other.change("well")
    assert await one.change("probe") == WELL


async def test_a_retry_after_outlasts_a_success(one: Worker, other: Worker) -> None:
    """A receiver that asked for a rest gets the longest one that it asked for, whatever else succeeds."""
    await one.change("rest", time_ms=NOW + 60_000)
    await other.change("rest", time_ms=NOW + 30_000)
    await other.change("open", time_ms=NOW + 5_000)
    assert await other.change("well") == Condition(asked_ms=NOW + 60_000)
    assert await other.change("well", now_ms=NOW + 60_000) == WELL


@pytest.mark.parametrize(
    "stored", [b"1", b"nonsense", b"2:1:1:1:1:1:", b"1:1:1:1:1:", b"1:x:1:1:1:1:s", b"\xff\x00", b"1:" + b"9" * 5000]
)
async def test_damage_counts_as_well(redis: Redis, one: Worker, stored: bytes) -> None:
    """What can't be read, or is of another release, stops nobody: the endpoint counts as well, and is written anew."""
    await redis.hset(keys.CONDITIONS, A, stored)  # type: ignore[misc]
    assert (await one.conditions.read([A]))[A] == WELL
    assert await one.change("open", time_ms=NOW + 5) == Condition(
        failing_since_ms=NOW, opens=1, until_ms=NOW + 5, opened_ms=NOW
    )
    await redis.hset(keys.CONDITIONS, A, stored)  # type: ignore[misc]
    assert await one.change("probe") == WELL
    assert await redis.exists(keys.CONDITIONS) == 0


async def test_others_are_told(redis: Redis, one: Worker) -> None:
    """A change is published with the session that made it; one that changes nothing, and a right, are not."""
    async with redis.pubsub() as channel:
        await channel.subscribe(keys.CONDITION_CHANNEL)
        await channel.get_message(timeout=PATIENCE_S)
        await one.change("well")
        await one.change("open", time_ms=NOW)
        await one.change("open", time_ms=NOW)
        await one.change("probe")
        await one.change("well")
        await one.conditions.forget(A)
        for said in (f"{A} one", f"{A} one", f"{A} -"):
            message = await channel.get_message(timeout=PATIENCE_S)
            assert message is not None
            assert message["data"] == said.encode()
        assert await channel.get_message(timeout=0.1) is None


async def test_what_is_forgotten_is_well(one: Worker) -> None:
    """An operator who mends an endpoint need not wait for its rest to be over."""
    await one.change("open", time_ms=NOW + 5_000)
    await one.change("rest", time_ms=NOW + 86_400_000)
    await one.conditions.forget(A)
    assert await one.conditions.read([A]) == {A: WELL}


async def test_workers_at_the_same_time_get_one_right(redis: Redis, one: Worker) -> None:
    """However many ask at once, one has it."""
    await one.change("open", time_ms=NOW)
    found = await asyncio.gather(*(Worker(redis, f"worker {n}").change("probe") for n in range(20)))
    assert len({each.prober for each in found}) == 1


async def test_many_are_changed_in_one_call(redis: Redis, one: Worker) -> None:
    """Answers come in the order of the changes, also when the server did not know the script."""
    await redis.script_flush()
    changes = [ConditionChange(A, "open", 0, NOW + 1), ConditionChange(B, "rest", 0, NOW + 2)]
    found = await one.conditions.change(changes, session="one", now_ms=NOW, probe_lives_ms=LIVES_MS)
    assert [(each.opens, each.asked_ms) for each in found] == [(1, 0), (0, NOW + 2)]
