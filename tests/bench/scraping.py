"""What metrics cost: the answer to a scrape, for how long it stops the event loop, and an attempt that is counted."""

import asyncio
import contextlib
from collections.abc import Sequence
from time import perf_counter
from types import SimpleNamespace
from typing import Any, cast

from relay.config import load
from relay.domain.counts import ConnectionCounts, ReadingCounts, SendingCounts
from relay.domain.matching import Matcher
from relay.domain.model import Attempt, EndpointId, SourceUid
from relay.domain.sending.effects import HandIn
from relay.metrics.answering import Answering
from relay.pipeline.clock import Clock
from relay.store import keys
from relay.store.depths import MOST_RETRIES
from relay.wiring_dispatch import open_dispatch
from relay.wiring_metrics import worker_metrics_of
from tests.bench.bench import Bench
from tests.bench.figures import Figure
from tests.bench.filling import fill
from tests.bench.flows import fresh_source
from tests.bench.ground import Ground, ground
from tests.bench.judging import NOW_MS, commits

PART = "scraping"
TEXT = "what metrics take: a scrape while every endpoint has waiting events, and an attempt that is counted"
ENDPOINTS = (1000, 10_000)
ROWS = 20
LANES, TIMES = 500, 20
RETRIES = MOST_RETRIES
SIZES = {1: "lanes with one attempt each", 32: "lanes with 32 attempts each"}


async def run(bench: Bench) -> None:
    """Scrape for each number of endpoints, then count attempts."""
    bench.report.begin(PART, TEXT)
    for count in bench.among(ENDPOINTS):
        async with ground(bench.own_folder(f"s{count}")) as store:
            await store.subscribe(count, lambda number: f"http://127.0.0.1:9/{number}", paused=True)
            rows = commits(
                bench.rows.lines(ROWS), Matcher([store.application], store.endpoints).match, source=SourceUid("bench")
            )
            async with fresh_source(store, "http://127.0.0.1:9", paused=True) as source:
                await fill(store, source, rows)
                await _scrape(bench, store, f"{count:,} endpoints")
                await _add_retries(store, source.uid)
                await _scrape(bench, store, f"{count:,} endpoints, {RETRIES:,} retries")
    for each, text in SIZES.items():
        bench.report.add(Figure(PART, text, [_count(each) for _ in range(bench.runs)], "us an attempt"))


async def _add_retries(store: Ground, source: SourceUid) -> None:
    """As many as a reading looks at."""
    number = len(store.endpoints)
    members = {f"{store.endpoints[i % number].id} a{i % ROWS + 1}:0:abcde:{i // number + 2}": i for i in range(RETRIES)}
    await store.stores.redis.zadd(keys.due(source), members)


async def _scrape(bench: Bench, store: Ground, text: str) -> None:
    settings = load(store.environment)
    async with open_dispatch(settings, store.stores, Clock()) as (catalogue, dispatcher):
        await catalogue.refresh()
        for counts in (dispatcher.counts.succeeded, dispatcher.counts.failed):
            counts.update((endpoint, 1) for endpoint in catalogue.endpoints)
        reconciling = cast(Any, SimpleNamespace(differences={}))
        answering = worker_metrics_of(settings, store.stores, catalogue, dispatcher, ReadingCounts(), reconciling)
        scrapes = [await _once(answering) for _ in range(bench.runs + 1)][1:]
        series = sum(not line.startswith(b"#") for line in (await answering.text()).splitlines())
    bench.report.add(Figure(PART, f"{text}: series", [series], "series"))
    bench.report.add(Figure(PART, f"{text}: a scrape", [took for took, _ in scrapes], "ms"))
    bench.report.add(Figure(PART, f"{text}: the longest stop of the loop", [stop for _, stop in scrapes], "ms"))


async def _once(answering: Answering) -> tuple[float, float]:
    """How long a scrape takes, and the longest time between two turns of the loop, in ms."""
    longest = 0.0

    async def turn() -> None:
        nonlocal longest
        while True:
            began = perf_counter()
            await asyncio.sleep(0)
            longest = max(longest, perf_counter() - began)

    answering._until = 0.0
    turning = asyncio.create_task(turn())
    await asyncio.sleep(0)
    began = perf_counter()
    await answering.text()
    took = perf_counter() - began
    turning.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await turning
    return took * 1e3, longest * 1e3


def _count(each: int) -> float:
    """The time that counting takes, in us for each attempt."""
    counts, handed = SendingCounts(ConnectionCounts()), _handed(each)
    began = perf_counter()
    for _ in range(TIMES):
        counts.handed_in(handed)
    return (perf_counter() - began) / (TIMES * LANES * each) * 1e6


def _handed(each: int) -> Sequence[HandIn]:
    return [
        HandIn(
            EndpointId(f"ep_{lane:027}"),
            ended=[b"a1:0:abcde"] * each,
            attempts=[Attempt(EndpointId(""), n, 1, 2, NOW_MS, 20 + n, 204, "delivered") for n in range(each)],
        )
        for lane in range(LANES)
    ]
