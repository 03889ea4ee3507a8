"""What statistics take: bytes of Redis's memory for an endpoint, and the server's time for an attempt."""

from random import Random
from time import perf_counter
from unittest.mock import patch

from redis.asyncio import Redis

from relay.domain.model import Attempt, EndpointId
from relay.domain.sending.effects import HandIn
from relay.domain.tallies import KEPT, UNIT_MS, Unit, marks_of
from relay.store import exchanging, tally_keys
from relay.store.lanes import Lanes
from tests.bench.bench import Bench
from tests.bench.figures import Figure
from tests.bench.ground import ground
from tests.bench.judging import NOW_MS
from tests.bench.measuring import used_memory
from tests.bench.sizing import SOURCE

PART = "tallying"
TEXT = "what statistics take: an endpoint with attempts in every minute and hour that is kept, and an attempt"
ENDPOINTS = 200
ATTEMPTS = {"minute": 60, "hour": 3600}
LANES = 500
SIZES = {1: "lanes with one attempt each", 32: "lanes with 32 attempts each"}


async def run(bench: Bench) -> None:
    """Fill tallies, and hand attempts in with them and without."""
    bench.report.begin(PART, TEXT)
    async with ground(bench.own_folder("t")) as store:
        redis, count = store.stores.redis, bench.size(ENDPOINTS)
        before = await used_memory(redis)
        for number in range(count):
            await _fill(redis, EndpointId(f"ep_{number:022}"), Random(number))
        size = (await used_memory(redis) - before) / count
        bench.report.add(Figure(PART, "an endpoint and a source", [size], "bytes"))
        for each, text in SIZES.items():
            with_tallies = [await _hand_in(redis, each, n) for n in range(bench.runs)]
            with patch.object(exchanging, "marks_of", lambda _: {}):
                without = [await _hand_in(redis, each, n) for n in range(bench.runs)]
            bench.report.add(Figure(PART, text, with_tallies, "us an attempt"))
            bench.report.add(Figure(PART, "the same without tallies", without, "us an attempt"))


def _attempts(endpoint: EndpointId, count: int, random: Random) -> list[Attempt]:
    """Answers that take 20 to 80 ms, mostly, and one in a hundred that fails."""
    return [
        Attempt(
            endpoint, n, 1, 2, NOW_MS + n, round(random.lognormvariate(3.7, 0.4)),
            200 if random.random() > 0.01 else 503, "delivered", tag="00000",
        )
        for n in range(count)
    ]  # fmt: skip


async def _fill(redis: Redis, endpoint: EndpointId, random: Random) -> None:
    units: tuple[Unit, ...] = ("minute", "hour")
    for unit in units:
        newest, entries = NOW_MS // UNIT_MS[unit], list[str]()
        for ago in range(KEPT[unit], 0, -1):
            marks = marks_of(_attempts(endpoint, ATTEMPTS[unit] // 10, random))
            entries.append(f"{newest - ago} {','.join(f'{mark}:{10 * number}' for mark, number in marks.items())}")
        name = tally_keys.ended(SOURCE, endpoint, unit)
        await redis.rpush(name, *entries)  # type: ignore[misc]
        await redis.pexpire(name, 10**9)


async def _hand_in(redis: Redis, each: int, number: int) -> float:
    """The time of exchanges that hand attempts in, and nothing else, in us for each attempt."""
    lanes, random, session = Lanes(redis), Random(number), f"s{perf_counter()}"
    handed = [
        HandIn(EndpointId(f"ep_{lane:022}"), attempts=_attempts(EndpointId(f"ep_{lane:022}"), each, random))
        for lane in range(LANES)
    ]
    turns, took = 10, 0.0
    for turn in range(1, turns + 1):
        began = perf_counter()
        await lanes.exchange(
            SOURCE, handed, session=session, turn=turn, before=turn - 1, now_ms=NOW_MS, lives_ms=60_000
        )
        took += perf_counter() - began
    return took / (turns * LANES * each) * 1e6
