"""Endpoints that get the events of two and of fifty sources, with a small window, while the server freezes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from itertools import count
from time import monotonic

from relay.domain.model import Application, EndpointId, SourceUid
from relay.domain.references import Reference, parse_reference
from relay.errors import StoreUnavailable
from relay.store import keys
from tests.fault.case import Finding, case
from tests.fault.ending import ended
from tests.fault.recorder import always
from tests.fault.server import Server, own_server
from tests.fault.stage import SOURCE, Stage, now_ms, stage
from tests.fault.upstream import FIRST_ROW_ID

SOURCES = 50
ROWS_APART = 1_000_000
POLL_S = 0.5
RATE = 150.0
"""Rows a second of all sources."""
WORKERS = 2
WINDOW = 2
FREEZES = 3
FROZEN_S = 11.0
"""Longer than a session or a lease lives."""
BETWEEN_S = 5.0
ON_THE_WIRE = WINDOW * 2 * WORKERS
"""What two endpoints allow at once, in each worker."""
QUIET_WITHIN_S = 15.0
DUPLICATES = FREEZES * ON_THE_WIRE


@case("many-sources", goal="G11", seconds=80)
async def many_sources(seed: int) -> AsyncIterator[Finding]:
    """An endpoint with two sources and one with fifty, two callbacks at once; three freezes of the server, of 11 s."""
    async for finding in freezing(seed, freezes=FREEZES):
        yield finding


async def freezing(seed: int, *, freezes: int) -> AsyncIterator[Finding]:
    """Freeze and thaw the server under load, and look what the workers suspect of having killed somebody."""
    async with own_server() as server, stage(seed, poll_s=POLL_S, settings={"RELAY_REDIS_URL": server.url}) as on:
        await _subscribe(on)
        for _ in range(WORKERS):
            await on.worker()
        load = asyncio.create_task(_offer(on))
        suspects = [0]
        for _ in range(freezes):
            await asyncio.sleep(BETWEEN_S)
            await _freeze(server)
            suspects.append(await _suspects(on, seconds=BETWEEN_S))
        await asyncio.sleep(BETWEEN_S)
        load.cancel()
        with suppress(asyncio.CancelledError):
            await load
        yield Finding("deliveries that are suspected at once", max(suspects), "<=", ON_THE_WIRE, "", f"{suspects[1:]}")
        for finding in await ended(on, limit_s=QUIET_WITHIN_S, duplicates=DUPLICATES):
            yield finding


async def _subscribe(on: Stage) -> None:
    for number in range(1, SOURCES):
        await on.source(_uid(number), first_row=FIRST_ROW_ID + number * ROWS_APART, poll_s=POLL_S)
    two = await on.stores.applications.create(
        lambda i: Application(id=i, name="two", sources=(SOURCE, _uid(1))), now_ms=now_ms()
    )
    habit = always(after_s=0.005)
    await on.endpoint("fifty", habit, everything=True, max_in_flight=WINDOW)
    await on.endpoint("two", habit, everything=True, max_in_flight=WINDOW, app_id=two.id)


async def _offer(on: Stage) -> None:
    """Rows of random sources. Both endpoints want those of the first two, one wants the others."""
    uids = list(on.upstreams)
    began = monotonic()
    for number in count():
        # Every other row, or the endpoint with two sources would have next to nothing to do.
        uid = uids[on.rng.randrange(2 if number % 2 else len(uids))]
        on.upstreams[uid].offer("*" if uid in uids[:2] else "fifty")
        await asyncio.sleep(max(0.0, began + number / RATE - monotonic()))


async def _freeze(server: Server) -> None:
    server.freeze()
    try:
        await asyncio.sleep(FROZEN_S)
    finally:
        server.thaw()


async def _suspects(on: Stage, *, seconds: float) -> int:
    """The most deliveries that counted as having been in flight in a worker that died, of all looks in a time."""
    most, ends = 0, monotonic() + seconds
    while monotonic() < ends:
        with suppress(StoreUnavailable):
            found = [each for uid in on.upstreams for each in await _references(on, uid)]
            most = max(most, sum(reference.crashes > 0 for reference in found))
        await asyncio.sleep(0.2)
    return most


async def _references(on: Stage, uid: SourceUid) -> list[Reference]:
    ids: list[EndpointId] = [endpoint.id for endpoint in on.endpoints.values()]
    async with on.stores.redis.pipeline(transaction=True) as pipe:
        for endpoint in ids:
            pipe.lrange(keys.lane(uid, endpoint), 0, -1)
            pipe.smembers(keys.flight(uid, endpoint))
        return [parse_reference(text) for texts in await pipe.execute() for text in texts]


def _uid(number: int) -> SourceUid:
    return SourceUid(f"source{number:02}")
