"""What a tail takes: how soon an attempt is shown, and what it costs a worker while somebody listens or nobody does."""

import asyncio
import json
from contextlib import asynccontextmanager, suppress
from time import perf_counter, process_time
from types import SimpleNamespace
from typing import Any

import httpx

from relay.api.app import create_api
from relay.bounded_clients import ClientLimits
from relay.domain.addresses import EgressPolicy
from relay.domain.model import Attempt, Endpoint, Secret, StoredEvent
from relay.domain.outcomes import Outcome
from relay.pipeline.clock import Clock
from relay.pipeline.dispatch.tailing import BATCH_MOST, Tailing
from relay.serving import open_port, server
from relay.store.tail import Tail
from relay.wiring import Stores
from tests.bench.bench import Bench
from tests.bench.figures import Figure
from tests.bench.ground import ground
from tests.bench.sizing import SOURCE

PART = "tailing"
TEXT = "what a tail takes: from the end of an attempt to its reader, and for each attempt in a worker"
KEY = "bench-key-0123456789"
A_SECOND = 200
SECONDS = 20
LOOKS = 1_000_000


async def run(bench: Bench) -> None:
    """Follow a tail over HTTP, and time the steps of a worker."""
    bench.report.begin(PART, TEXT)
    async with ground(bench.own_folder("t")) as store, _api(store.stores) as url:
        delays = [await _delays(store.stores, url, bench.size(SECONDS)) for _ in range(bench.runs)]
        for share, name in ((0.5, "p50"), (0.99, "p99")):
            found = [each[int(share * (len(each) - 1))] * 1000 for each in delays]
            bench.report.add(Figure(PART, f"{A_SECOND} attempts a second: shown after, {name}", found, "ms"))
        listened = [await _published(store.stores) for _ in range(bench.runs)]
        bench.report.add(Figure(PART, "an attempt while somebody listens", listened, "us of a worker"))
        bench.report.add(Figure(PART, "an attempt while nobody listens", [_looked(store.stores)], "us of a worker"))


@asynccontextmanager
async def _api(stores: Stores) -> Any:
    @asynccontextmanager
    async def opened() -> Any:
        yield stores

    app = create_api(opened, admin_key=Secret(KEY), policy=EgressPolicy(), clock=Clock())
    listener = open_port("127.0.0.1", 0, setting="--port")
    serves = server(app, lifespan=True, limits=ClientLimits())
    running = asyncio.create_task(serves.serve([listener]))
    while not serves.started:
        await asyncio.sleep(0.01)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    serves.should_exit = True
    await running


async def _delays(stores: Stores, url: str, seconds: float) -> list[float]:
    """How long each attempt took to its reader, sorted."""
    tailing, began, delays = Tailing(Tail(stores.redis)), dict[int, float](), list[float]()
    publishing = asyncio.create_task(tailing.run())
    headers = {"authorization": f"Bearer {KEY}"}
    async with (
        httpx.AsyncClient(base_url=url, headers=headers, timeout=60) as client,
        client.stream("GET", "/api/v1/tail") as answer,
    ):
        lines = answer.aiter_lines()
        async for line in lines:
            if line == "event: start":
                break
        making = asyncio.create_task(_make(tailing, began, round(seconds * A_SECOND)))
        async for line in lines:
            if line.startswith('data: {"type":"attempt"'):
                delays.append(perf_counter() - began[json.loads(line[6:])["durationMs"]])
                if len(delays) == round(seconds * A_SECOND):
                    break
        await making
    publishing.cancel()
    with suppress(asyncio.CancelledError):
        await publishing
    return sorted(delays)


async def _make(tailing: Tailing, began: dict[int, float], count: int) -> None:
    start = perf_counter()
    for number in range(count):
        await asyncio.sleep(max(0.0, start + number / A_SECOND - perf_counter()))
        tailing.wanted()
        began[number] = perf_counter()
        _end(tailing, number)


async def _published(stores: Stores) -> float:
    """The CPU of the worker for an attempt that is published, in us."""
    tailing, rounds = Tailing(Tail(stores.redis)), 5
    tailing.wanted()
    began = process_time()
    for _ in range(rounds):
        for number in range(BATCH_MOST):
            _end(tailing, number)
        task = asyncio.create_task(tailing.run())
        await asyncio.sleep(0.3)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    return (process_time() - began) / (rounds * BATCH_MOST) * 1e6


def _looked(stores: Stores) -> float:
    """The same for an attempt that nobody wants to see."""
    tailing = Tailing(Tail(stores.redis))
    began = process_time()
    for number in range(LOOKS):
        if tailing.is_wanted:
            _end(tailing, number)
    return (process_time() - began) / LOOKS * 1e6


_ENDPOINT = Endpoint(id="ep_1", app_id="app_1", url="https://crm.example/hook", keys=())  # type: ignore[arg-type]
_EVENT = StoredEvent("msg_IUUKzAM5N8emmn870dUfmdtI", "141248745", 1, 1, bytes((4, 10, 12)), b"")  # type: ignore[arg-type]
_LANE = SimpleNamespace(source=SOURCE, machine=SimpleNamespace(endpoint=_ENDPOINT))
_DELIVERY: Any = SimpleNamespace(lane=_LANE, event=_EVENT)
_OUTCOME = Outcome(status=204)


def _end(tailing: Tailing, number: int) -> None:
    """An attempt has ended. Its duration says which one it is."""
    attempt = Attempt(_ENDPOINT.id, 1, 1, 4, number, number, 204, "delivered")
    tailing.ended(_DELIVERY, _OUTCOME, attempt, now_ms=number)
