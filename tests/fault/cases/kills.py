"""Workers that die: nothing is lost, what comes twice has the same id, and a delivery that kills is found out."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from time import monotonic

from relay.domain.requests.model import Batch, RequestShape
from relay.store import keys
from tests.fault.case import Finding, case
from tests.fault.checker import delays_s, p
from tests.fault.recorder import always
from tests.fault.stage import SOURCE, Stage, stage

ENDPOINTS = 20
RATE = 500.0
BATCH = Batch(size=8, wait_s=0.4)
POISON_WORKER = ("-m", "tests.fault.poison_worker")


@case("clean", goal="G3", seconds=25)
async def clean(seed: int) -> AsyncIterator[Finding]:
    """No fault at all, two workers, and a third that comes and goes in good order."""
    async with _under_load(seed) as on:
        for _ in range(2):
            await on.worker()
        load = asyncio.create_task(on.offer_at(RATE, 10, _to))
        for _ in range(3):
            third = await on.worker()
            await asyncio.sleep(1.5)
            await third.stop()
            on.workers.remove(third)
            yield Finding("exit code after SIGTERM", third.process.returncode or 0, "==", 0)
        await load
        await on.drained()
        for finding in _judged(on, duplicates=0):
            yield finding


@case("kills", goal="G1", seconds=170)
async def kills(seed: int) -> AsyncIterator[Finding]:
    """A hundred times a random one of three workers is killed under load, and another one started."""
    async for finding in kill(seed, times=100, workers=3, pause_s=(0.2, 1.8)):
        yield finding


@case("thousand-kills", goal="G1", seconds=1_600, is_long=True)
async def thousand_kills(seed: int) -> AsyncIterator[Finding]:
    """The same, a thousand times. It runs only when it is named."""
    async for finding in kill(seed, times=1_000, workers=3, pause_s=(0.2, 1.8)):
        yield finding


async def kill(seed: int, *, times: int, workers: int, pause_s: tuple[float, float]) -> AsyncIterator[Finding]:
    """SIGKILL at random instants while events come in; then wait until all is quiet, and compare."""
    async with _under_load(seed) as on:
        for _ in range(workers):
            await on.worker()
        load = asyncio.create_task(on.offer_at(RATE, 3600, _to))
        claimed = 0
        for _ in range(times):
            await asyncio.sleep(on.rng.uniform(*pause_s))
            victim = on.rng.choice(on.workers)
            claimed += await in_flight(on)
            await on.kill(victim)
            await on.worker()
        load.cancel()
        with suppress(asyncio.CancelledError):
            await load
        quiet = monotonic()
        await on.drained()
        yield Finding("until all is quiet after the last kill", monotonic() - quiet, "<=", 45, "s")
        delays = delays_s(on.upstream.shown, (a for a in on.recorder.arrivals if a.accepted))
        yield Finding("latest delivery", max(delays), "<=", 45, "s", f"p50 {p(delays, 0.5) * 1000:.0f} ms")
        for finding in _judged(on, duplicates=claimed):
            yield finding


async def in_flight(on: Stage) -> int:
    """How many deliveries the workers have claimed and not ended."""
    async with on.stores.redis.pipeline(transaction=False) as pipe:
        for endpoint in on.endpoints.values():
            pipe.scard(keys.flight(SOURCE, endpoint.id))
        return sum(await pipe.execute())


def _judged(on: Stage, *, duplicates: int) -> list[Finding]:
    verdict = on.verdict()
    return [
        Finding("lost", len(verdict.lost), "==", 0, "", f"of {verdict.expected}"),
        Finding("duplicates", verdict.duplicates, "<=", duplicates, "", "at most what was claimed at each kill"),
        Finding("deliveries under more than one webhook-id", len(verdict.renamed), "==", 0),
        Finding("callbacks that nobody asked for", len(verdict.unasked), "==", 0),
    ]


def _to(number: int) -> str:
    return f"e{number % ENDPOINTS:02}"


def _under_load(seed: int) -> "StageOf":
    return StageOf(seed)


class StageOf:
    """A stage with endpoints that answer after 10 ms. Every fourth one takes batches."""

    def __init__(self, seed: int) -> None:
        self._stage = stage(seed)

    async def __aenter__(self) -> Stage:
        on = await self._stage.__aenter__()
        for number in range(ENDPOINTS):
            fields = {} if number % 4 else {"request": RequestShape(batch=BATCH)}
            await on.endpoint(_to(number), always(after_s=0.01), **fields)
        return on

    async def __aexit__(self, *error: object) -> None:
        await self._stage.__aexit__(*error)  # type: ignore[arg-type]
