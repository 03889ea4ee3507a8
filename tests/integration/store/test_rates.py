"""take_rights.lua: what bounds requests over all workers. The tests of windows give the script a time of their own."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random

import pytest
import redis as sync_redis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from relay.domain.rates import FREE, Bounds, Budget, Rate, bounds_of
from relay.domain.sending.rights import Wanted
from relay.store import rate_keys
from relay.store.rates import Given, Rates, Wish, arguments_of
from relay.store.scripts import guarded, script
from tests.patience import PATIENCE_S

DAY = 86_400
LIVES_MS = 25_000
CLOCK = "redis.call('TIME')"


def shared(*rates: Rate, concurrency: int | None = None, name: str = "app/crm") -> Bounds:
    """What a budget allows."""
    return bounds_of([], [(name, Budget(rates=rates, concurrency=concurrency))])


def wish(bounds: Bounds, number: int, who: str = "ep_a one", *, held: int = 0, unused: int = 0, at_ms: int = 0) -> Wish:
    return Wish(bounds, Wanted(number, held, unused, at_ms), who)


async def take(rates: Rates, *wishes: Wish) -> list[int]:
    return [each.number for each in await rates.take(wishes, lives_ms=LIVES_MS)]


@dataclass
class StillRates:
    """The real script, whose clock goes when a test says so."""

    redis: sync_redis.Redis
    now_ms: int = 1_790_000_000_000
    text: str = field(init=False)

    def __post_init__(self) -> None:
        assert self.text_of().count(CLOCK) == 1
        self.text = self.text_of().replace(CLOCK, "{ARGV[#ARGV], 0}")

    @staticmethod
    def text_of() -> str:
        return script("take_rights").text

    def take(self, wanted: Wish) -> Given:
        keys, args = arguments_of(wanted, lives_ms=LIVES_MS)
        # The script multiplies seconds; these are ms, as fractions of them.
        args = [*args, f"{self.now_ms / 1000:.3f}"]
        number, wait_us, at_ms = self.redis.eval(self.text, len(keys) + 1, *guarded(keys), *args)  # type: ignore[misc]
        return Given(int(number), int(wait_us) / 1_000_000, int(at_ms))


@pytest.fixture
def still(redis: Redis, redis_url: str) -> Iterator[StillRates]:
    if "cluster" in redis_url or "sentinel" in redis_url:
        pytest.skip("the clock is moved on one server only")
    client = sync_redis.Redis.from_url(redis_url)
    yield StillRates(client)
    client.close()


@pytest.fixture
def rates(redis: Redis) -> Rates:
    return Rates(redis)


WINDOWS = st.lists(
    st.builds(Rate, st.integers(1, 60), st.sampled_from([1, 2, 10, 60])),
    min_size=1, max_size=3, unique_by=lambda rate: rate.seconds,
)  # fmt: skip
STEPS = 150


@given(windows=WINDOWS, some=st.randoms(use_true_random=True))
@settings(max_examples=8, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
def test_no_stretch_of_a_window_has_more_than_its_limit(still: StillRates, windows: list[Rate], some: Random) -> None:
    """Wherever it begins, also if rights wait in a worker before they are used, and some are given back."""
    still.redis.flushdb()
    bounds, used, unused, found = shared(*windows), list[int](), 0, Given(0, 0, 0)
    for _ in range(STEPS):
        told_ms = round(found.wait_s * 1000)
        still.now_ms += some.choice([told_ms, told_ms, some.randint(0, 40 * bounds.life_ms)])
        found = still.take(wish(bounds, some.choice([1, 7, 1000]), unused=unused, at_ms=found.at_ms))
        unused = some.choice([0, 0, 0, found.number // 2])
        # A right lives from when its answer came, and the answer itself is on its way as long at most.
        used += [still.now_ms + some.choice([0, 2 * bounds.life_ms])] * (found.number - unused)
    for window in windows:
        assert most_in(sorted(used), window.seconds * 1000) <= window.limit


def most_in(times: Sequence[int], length_ms: int) -> int:
    """The most of some times that are in any stretch of so many ms."""
    most = first = 0
    for at, time in enumerate(times):
        while times[first] <= time - length_ms:
            first += 1
        most = max(most, at - first + 1)
    return most


@pytest.mark.parametrize(("window", "share"), [(Rate(10, 1), 0.89), (Rate(100, 10), 0.93), (Rate(600, 60), 0.93)])
def test_a_window_costs_little_of_the_rate(still: StillRates, window: Rate, share: float) -> None:
    """Somebody who always asks as soon as there is something gets this share of what the window allows."""
    bounds, began_ms, got = shared(window), still.now_ms, 0
    while still.now_ms < began_ms + 10 * window.seconds * 1000:
        found = still.take(wish(bounds, 1000))
        got += found.number
        still.now_ms += max(1, round(found.wait_s * 1000))
    assert got >= share * 10 * window.limit


def test_the_wait_that_is_told_is_right(still: StillRates) -> None:
    """A moment sooner there is nothing, and then there is something."""
    bounds = shared(Rate(3, 60), Rate(5, DAY))
    assert still.take(wish(bounds, 9)).number == 3
    for limit in (2, 0):
        wait_ms = round(still.take(wish(bounds, 9)).wait_s * 1000)
        still.now_ms += wait_ms - 1
        assert still.take(wish(bounds, 9)).number == 0
        still.now_ms += 1
        if limit:
            assert still.take(wish(bounds, 9)).number == limit
        else:
            assert 86_000_000 < wait_ms < 90_000_000
            assert still.take(wish(bounds, 9)).number == 3


def test_the_clock_is_set_back(still: StillRates) -> None:
    """What was taken counts for one more window at most, and no right is given twice."""
    bounds = shared(Rate(3, 60))
    assert still.take(wish(bounds, 2)).number == 2
    still.now_ms -= 3_600_000
    assert still.take(wish(bounds, 9)).number == 1
    still.now_ms += 65_000
    assert still.take(wish(bounds, 9)).number == 3


def test_no_one_waits_longer_after_the_clock_is_set_back(still: StillRates) -> None:
    """Neither for a steady rate, nor for the places of a worker that died, nor behind one that stood in the line."""
    steady = bounds_of([("ep_a", 1)], [])
    assert still.take(wish(steady, 1)).number == 1
    crowd = shared(concurrency=2)
    assert still.take(wish(crowd, 2, "ep_a dead")).number == 2
    assert still.take(wish(crowd, 1, "ep_b dead")).number == 0
    still.now_ms -= 3_600_000
    assert still.take(wish(steady, 1)).wait_s <= 1.0
    assert still.take(wish(crowd, 1, "ep_c two")).number == 0
    still.now_ms += max(LIVES_MS, 8_000) + 1
    assert still.take(wish(steady, 1)).number == 1
    assert still.take(wish(crowd, 1, "ep_c two")).number == 1


async def test_all_bounds_or_none(redis: Redis, rates: Rates) -> None:
    """A right that one bound refuses is taken from no other."""
    narrow = bounds_of(
        [("ep_a", 500)], [("ep_a", Budget(rates=(Rate(2, 60),))), ("app/crm", Budget(rates=(Rate(5, DAY),)))]
    )
    wide = shared(Rate(5, DAY))
    assert await take(rates, wish(narrow, 9), wish(narrow, 9), wish(wide, 9, "ep_b one")) == [2, 0, 3]
    assert (
        await redis.hvals(rate_keys.window("app/crm", DAY)) == [b"5"]
        or sum(map(int, await redis.hvals(rate_keys.window("app/crm", DAY)))) == 5
    )


async def test_a_window_outlives_every_worker(redis: Redis, rates: Rates) -> None:
    """It is in the store alone, and lives as long as it counts."""
    assert await take(rates, wish(shared(Rate(5, DAY)), 5)) == [5]
    assert await redis.ttl(rate_keys.window("app/crm", DAY)) >= DAY
    assert await take(Rates(redis), wish(shared(Rate(5, DAY)), 1)) == [0]


async def test_what_was_not_used_is_given_back(rates: Rates) -> None:
    """To the slice from which it was taken, and not more than was taken in it."""
    bounds = shared(Rate(5, 60))
    (found,) = await rates.take([wish(bounds, 5)])
    assert await take(rates, wish(bounds, 9, unused=2, at_ms=found.at_ms)) == [2]
    assert await take(rates, wish(bounds, 9, unused=99, at_ms=found.at_ms)) == [5]


async def test_places_are_shared_by_all_workers(rates: Rates) -> None:
    """Who asks says how many it still has in flight; a repeated question takes no second place."""
    bounds = shared(concurrency=5)
    assert await take(rates, wish(bounds, 4), wish(bounds, 4), wish(bounds, 4, "ep_b two")) == [4, 4, 1]
    assert await take(rates, wish(bounds, 0, held=1), wish(bounds, 9, "ep_b two", held=1)) == [0, 3]
    # Nobody holds any: the places of both are free.
    assert await take(rates, wish(bounds, 0), wish(bounds, 0, "ep_b two"), wish(bounds, 9, "ep_c two")) == [0, 0, 5]


async def test_the_places_of_a_dead_worker_are_free_after_a_while(redis: Redis, rates: Rates) -> None:
    """They count until its callbacks must have ended, and no longer."""
    bounds = shared(concurrency=2)
    (dead,) = await rates.take([wish(bounds, 2, "ep_a dead")], lives_ms=200)
    assert dead.number == 2
    async with asyncio.timeout(PATIENCE_S):
        while not (await rates.take([wish(bounds, 1, "ep_a two")], lives_ms=LIVES_MS))[0].number:
            await asyncio.sleep(0.02)
    assert int((await redis.time())[0]) * 1000 + 999 >= dead.at_ms + 200


async def test_who_waits_longest_is_next(rates: Rates) -> None:
    """A busy endpoint asks again at once whenever a callback is over, and must not be the only one that sends."""
    bounds = shared(concurrency=1)
    assert await take(rates, wish(bounds, 1, "ep_a one"), wish(bounds, 1, "ep_b two")) == [1, 0]
    assert await take(rates, wish(bounds, 1, "ep_a one"), wish(bounds, 1, "ep_b two")) == [0, 1]
    assert await take(rates, wish(bounds, 1, "ep_b two"), wish(bounds, 1, "ep_a one")) == [0, 1]


async def test_damaged_counts_stop_nobody(redis: Redis, rates: Rates) -> None:
    """What can't be read counts for nothing."""
    bounds = shared(Rate(5, 60), concurrency=5)
    await redis.hset(rate_keys.window("app/crm", 60), "x", "y")  # type: ignore[misc]
    await redis.hset(rate_keys.crowd("app/crm"), "x", "y")  # type: ignore[misc]
    await redis.hset(rate_keys.line("app/crm"), "x", "y")  # type: ignore[misc]
    assert await take(rates, wish(bounds, 9)) == [5]


def test_nothing_bounds_nobody() -> None:
    """A budget without limits binds nobody, nor do lookups count as callbacks in flight."""
    assert not FREE.are_any
    assert not shared().are_any
    lookups = bounds_of([("lookup:ep_a", None)], [("ep_a", Budget(concurrency=1))], counts_callbacks=False)
    assert not lookups.are_any
