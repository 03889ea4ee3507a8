"""Upkeep, on a server that is full: it is told, it makes room, and it works again as soon as there is some."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import structlog
from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError

from relay.config import load
from relay.domain.model import ApiKeyAuth, Source, SourceUid
from relay.domain.sending.effects import HandIn
from relay.pipeline import upkeep as upkeep_module
from relay.pipeline.clock import Clock
from relay.pipeline.pressure import Pressure
from relay.pipeline.upkeep import Upkeep
from relay.store import keys
from relay.store.cluster import ClusterRedis
from relay.store.connection import connect
from relay.store.events import Events
from relay.store.outstanding import Outstanding
from relay.wiring import Stores, open_stores, pressure_of
from relay.wiring_upkeep import upkeep_of
from tests.fakes.clock import StillClock
from tests.fakes.eyes import commands_of
from tests.fakes.upstream import make_row
from tests.integration.pipeline.rig import Rig, catch_up, slice_of, until
from tests.integration.store.floor import NOW, UK, A, B, Floor, attempt
from tests.patience import PATIENCE_S

MB = 2**20
SETTINGS = {"RELAY_ADMIN_KEY": "k" * 16, "RELAY_ENCRYPTION_KEY": "A" * 43 + "="}
Limit = Callable[[int], Awaitable[None]]


def source(uid: str = UK, *routes: str) -> Source:
    return Source(
        uid=SourceUid(uid), name=uid, base_url="https://u.test", version="v2", igrp=1, auth=ApiKeyAuth("k"),
        routes=routes or ("all",),
    )  # fmt: skip


@pytest.fixture
async def limit(redis: Redis) -> AsyncIterator[Limit]:
    """Sets how many bytes the server may use, beside those that it uses now; without a limit again afterwards."""

    if isinstance(redis, ClusterRedis):
        pytest.skip("the limit of one server: in a cluster the fullest counts, see test_cluster.py")

    async def set_to(room: int) -> None:
        used = (await redis.info("memory"))["used_memory"]
        await redis.config_set("maxmemory", used + room)

    yield set_to
    await redis.config_set("maxmemory", 0)


@pytest.fixture
async def stores(redis: Redis, redis_url: str) -> AsyncIterator[Stores]:
    async with open_stores(load({**SETTINGS, "RELAY_REDIS_URL": redis_url})) as (stores, _):
        yield stores


def worker(stores: Stores, **settings: str) -> tuple[Pressure, Upkeep]:
    """What a worker has of it. `settings`: names without RELAY_."""
    read = load({**SETTINGS, **{f"RELAY_{name.upper()}": value for name, value in settings.items()}})
    clock = Clock()
    pressure = pressure_of(read, stores, clock)
    return pressure, upkeep_of(read, stores, pressure, clock)


async def round_of(upkeep: Upkeep, redis: Redis, *sources: Source) -> None:
    """Everything that upkeep does, at once, as if no other worker had done it."""
    await redis.delete(*(keys.upkeep(chore) for chore in ("shed", "trim", "sweep")))
    await upkeep.trim(list(sources) or [source()])
    await upkeep.sweep(list(sources) or [source()])
    await shed(upkeep, *sources)


async def shed(upkeep: Upkeep, *sources: Source) -> None:
    """A look, and what follows."""
    await upkeep._pressure.look()
    await upkeep.shed(list(sources) or [source()])


async def fill(redis: Redis, *, size: int = MB) -> None:
    """Use so much memory for something else."""
    # Had we sent it, the server would keep its buffer for the request as well, and free that at a moment of its own.
    await redis.delete("ballast")
    await redis.setrange("ballast", size - 1, b"0")
    while (await redis.info("memory"))["lazyfree_pending_objects"]:
        await asyncio.sleep(0.01)


async def write_history(redis: Redis, *, buckets: int = 40) -> Floor:
    """Delivered events with attempts, given-up ones, known rows, and a lane: something for everything in upkeep."""
    floor = Floor(redis)
    for bucket in range(buckets):
        numbers = range(bucket * 256, bucket * 256 + 200)
        await floor.fill(A, numbers=numbers)
        await floor.claim("s", per_lane=200)
        references = [b"a%d:2:00000" % number for number in numbers]
        attempts = [attempt(A, number, NOW + number, body=b"x" * 260) for number in numbers]
        await floor.exchange("s", HandIn(A, ended=references[1:], dead=[(references[0], "x")], attempts=attempts))
    await floor.fill(A, numbers=range(buckets * 256, buckets * 256 + 100))
    await redis.hset(keys.route(UK, "all"), mapping={"cursor": 10**6})
    return floor


async def test_nothing_that_upkeep_writes_is_refused(redis: Redis, stores: Stores, limit: Limit) -> None:
    """On a server that takes no other write, every part of it works, and afterwards the server takes writes again."""
    floor = await write_history(redis)
    settings = {"attempt_log_bytes": "100000", "endpoint_backlog_bytes": "5000", "dead_retention_seconds": "1"}
    pressure, upkeep = worker(stores, memory_shed_share="0.98", memory_stop_share="0.99", **settings)
    await redis.config_set("maxmemory", 1)
    with pytest.raises(OutOfMemoryError):
        await redis.set("x", "y")
    await round_of(upkeep, redis)
    await limit(MB)
    await redis.set("x", "y")
    assert pressure.full
    assert await stores.attempts.total_bytes(UK) <= 100_000
    assert (await floor.books()).dead == []
    assert await redis.exists(keys.marks(UK, "t"), keys.dropped_counts(UK)) == 2
    assert await redis.exists(keys.seen_buckets(UK, "t")) == 0
    kinds = {event.kind for event in await stores.operations.page(limit=9)}
    assert kinds == {"store.full", "endpoint.backlog_dropped"}


async def test_attempts_are_shed_first_and_then_delivered_events(redis: Redis, stores: Stores, limit: Limit) -> None:
    """As much as is above the share, oldest first: what somebody waits for stays, whatever happens."""
    await write_history(redis)
    _, upkeep = worker(stores, memory_shed_share="0.9", memory_stop_share="0.95", memory_resume_share="0.93")
    attempts = await stores.attempts.total_bytes(UK)
    await limit(0)
    await redis.config_set("maxmemory", int((await redis.info("memory"))["used_memory"] / 0.9) - attempts // 4)
    await shed(upkeep)
    left = await stores.attempts.total_bytes(UK)
    assert attempts // 2 < left < attempts * 0.9
    assert len(await redis.hkeys(keys.references(UK))) == 41
    await redis.config_set("maxmemory", 1)
    for _ in range(3):
        await redis.delete(keys.upkeep("shed"))
        await shed(upkeep)
    assert await stores.attempts.total_bytes(UK) == 0
    kept = await Events(redis).read(UK, range(41 * 256))
    # Of the others one delivery each was given up, and can be sent again.
    assert set(kept) == {*range(0, 40 * 256, 256), *range(40 * 256, 40 * 256 + 100)}
    assert len(await redis.hkeys(keys.references(UK))) == 41
    await redis.delete(keys.dead(UK), keys.upkeep("shed"))
    await redis.config_set("maxmemory", 0)
    await redis.hset(keys.references(UK), mapping=dict.fromkeys(range(40), 0))
    await redis.config_set("maxmemory", 1)
    await shed(upkeep)
    assert await redis.hkeys(keys.references(UK)) == [b"40"]


async def test_all_logs_give_the_same_share(redis: Redis, stores: Stores, limit: Limit) -> None:
    """Where memory is short, each source loses as large a part of its log."""
    await write_history(redis, buckets=10)
    other = SourceUid("other")
    for name in (keys.attempt_buckets, keys.attempt_sizes):
        await redis.copy(name(UK), name(other))
    size = await stores.attempts.total_bytes(UK)
    _, upkeep = worker(stores, memory_shed_share="0.9", memory_stop_share="0.95", memory_resume_share="0.93")
    used = (await redis.info("memory"))["used_memory"]
    await redis.config_set("maxmemory", int((used - size) / 0.9))
    await shed(upkeep, source(), source("other"), source("none"))
    await limit(MB)
    for uid in (UK, other):
        assert 0.4 * size < await stores.attempts.total_bytes(uid) < 0.6 * size


async def test_below_the_share_nothing_is_shed(redis: Redis, stores: Stores, limit: Limit) -> None:
    """History is kept where there is room for it, and where there is no limit."""
    await write_history(redis, buckets=2)
    pressure, upkeep = worker(stores)
    size = await stores.attempts.total_bytes(UK)
    await shed(upkeep)
    await limit(50 * MB)
    await shed(upkeep)
    assert (await stores.attempts.total_bytes(UK), pressure.full) == (size, False)


async def test_a_full_store_is_told_once(redis: Redis, stores: Stores, limit: Limit) -> None:
    """By whichever worker sees it first, and so is its end, which is ten points lower."""
    workers = [worker(stores)[0] for _ in range(3)]
    await fill(redis, size=50 * MB)

    async def look(share: float) -> list[bool]:
        used = (await redis.info("memory"))["used_memory"]
        await redis.config_set("maxmemory", int(used / share))
        for pressure in workers:
            await pressure.look()
        return [pressure.full for pressure in workers]

    async def told() -> list[str]:
        return [event.kind for event in await stores.operations.page(limit=9)][::-1]

    assert await look(0.79) == [False] * 3
    assert await look(0.81) == [True] * 3
    workers.append(worker(stores)[0])
    assert await look(0.71) == [True] * 4
    assert all("nearly full" in pressure.said for pressure in workers)
    assert await told() == ["store.full"]
    assert await look(0.69) == [False] * 4
    workers.append(worker(stores)[0])
    assert await look(0.71) == [False] * 5
    assert {pressure.said for pressure in workers} == {""}
    assert await told() == ["store.full", "store.recovered"]
    await limit(0)


async def test_what_is_refused_counts_as_full(redis: Redis, stores: Stores, limit: Limit) -> None:
    """A page can be too much long before the memory is full: polling waits and says so, until there is more room."""
    pressure, _ = worker(stores)
    clock = StillClock()
    pressure._clock = clock
    await fill(redis, size=50 * MB)

    async def look(share: float) -> bool:
        used = (await redis.info("memory"))["used_memory"]
        await redis.config_set("maxmemory", int(used / share))
        await pressure.look()
        return pressure.full

    assert not await look(0.5)
    pressure.refused()
    assert pressure.full
    assert await look(0.5)
    assert await look(0.47)
    assert not await look(0.44)
    pressure.refused()
    assert await look(0.5)
    clock.advance(11)
    assert not await look(0.5)
    kinds = [event.kind for event in await stores.operations.page(limit=9)]
    assert kinds == ["store.recovered", "store.full"] * 2
    await limit(0)


async def test_a_long_backlog_stops_polling(redis: Redis, stores: Stores) -> None:
    """One worker counts, all of them hold back and say why, and continue when it is shorter than where they stopped."""
    settings = {"backlog_stop_deliveries": "100", "backlog_resume_deliveries": "80"}
    workers = [worker(stores, **settings) for _ in range(2)]
    floor = Floor(redis)

    async def look() -> list[bool]:
        for pressure, upkeep in workers:
            await upkeep.count([source(), source("empty")])
            await pressure.look()
        await redis.delete(keys.upkeep("count"))
        return [pressure.full for pressure, _ in workers]

    await floor.fill(A, B, numbers=range(1, 50))
    assert await look() == [False] * 2
    await floor.fill(A, B, numbers=range(50, 51))
    assert await look() == [True] * 2
    assert all("too many deliveries wait" in pressure.said for pressure, _ in workers)
    await floor.exchange("s", claim=2, per_lane=50)
    await floor.exchange("s", HandIn(A, ended=[b"a%d:2:00000" % number for number in range(1, 21)]))
    assert await look() == [True] * 2
    await floor.exchange("s", HandIn(A, ended=[b"a%d:2:00000" % number for number in range(21, 22)]))
    assert await look() == [False] * 2
    assert {pressure.said for pressure, _ in workers} == {""}
    told = await stores.operations.page(limit=9, descending=False)
    assert [event.kind for event in told] == ["backlog.full", "backlog.recovered"]
    assert told[0].data == {"deliveries": 100, "most": 100}


async def test_what_is_idle_is_not_counted_again(redis: Redis) -> None:
    """A source in which nothing was committed since nothing waited costs one command."""
    floor, outstanding = Floor(redis), Outstanding(redis)
    uids = [UK, *(SourceUid(f"s{number}") for number in range(9))]

    async def count() -> tuple[int, int]:
        return await commands_of(redis, lambda: outstanding.count(uids))

    await floor.fill(A, numbers=range(1, 3))
    assert await count() == (2, 20)
    assert await count() == (2, 11)
    await floor.exchange("s", claim=1)
    await floor.exchange("s", HandIn(A, ended=[b"a1:2:00000", b"a2:2:00000"]))
    assert await count() == (0, 11)
    assert await count() == (0, 10)
    await floor.fill(A, numbers=range(3, 4))
    assert await count() == (1, 11)


async def test_a_server_that_does_not_tell_has_no_limit(redis: Redis, stores: Stores, redis_url: str) -> None:
    """Where INFO is forbidden, nothing is shed and nothing stops; what to do is logged once."""
    if isinstance(redis, ClusterRedis):
        pytest.skip("makes a user on one server")
    await redis.acl_setuser(
        "mute", enabled=True, nopass=True, keys=["*"], channels=["*"], categories=["+@all"], commands=["-info"]
    )
    client = connect(redis_url.replace("://", "://mute:any@"))
    try:
        with structlog.testing.capture_logs() as logs:
            pressure, _ = worker(stores)
            pressure._server._redis = client
            for _ in range(3):
                await pressure.look()
        assert (pressure.full, pressure.excess) == (False, 0)
        assert [entry["event"] for entry in logs] == ["memory_unknown"]
    finally:
        await client.aclose()
        await redis.acl_deluser("mute")


async def test_what_is_damaged_in_one_source_is_its_own(redis: Redis, stores: Stores) -> None:
    """Upkeep of the others goes on; the log says which one needs help."""
    await write_history(redis, buckets=2)
    for name in ("references", "attempt_sizes", "owed"):
        await redis.set(keys.prefix(SourceUid("a")) + name, "not what it should be")
    _, upkeep = worker(stores, attempt_log_bytes="1000", dead_retention_seconds="1", endpoint_backlog_bytes="5000")
    with structlog.testing.capture_logs() as logs:
        await round_of(upkeep, redis, source("a"), source())
    assert await stores.attempts.total_bytes(UK) <= 1000
    assert await redis.zcard(keys.dead(UK)) == 0
    assert await redis.exists(keys.dropped_counts(UK)) == 1
    assert {entry["source"] for entry in logs if entry["event"] == "upkeep_failed"} == {"a"}


async def test_nothing_is_old_while_clocks_disagree(
    redis: Redis, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server whose clock is a year ahead makes no event old: another worker, or this one later, forgets it."""
    await write_history(redis, buckets=2)
    _, upkeep = worker(stores, retention_seconds="0.01")
    monkeypatch.setattr(Clock, "is_off", lambda _: True)
    await upkeep.sweep([source()])
    assert await redis.exists(keys.upkeep("sweep")) == 0


async def test_one_worker_does_each_chore(redis: Redis, stores: Stores) -> None:
    """The others leave it to him, until it is time again: also where he died."""
    await write_history(redis, buckets=2)
    _, upkeep = worker(stores, attempt_log_bytes="1000")
    await redis.set(keys.upkeep("trim"), "1", px=3_600_000)
    await upkeep.trim([source()])
    assert await stores.attempts.total_bytes(UK) > 1000
    await redis.delete(keys.upkeep("trim"))
    await upkeep.trim([source()])
    assert await stores.attempts.total_bytes(UK) <= 1000


async def test_upkeep_outlives_the_server(redis: Redis, stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it is away, rounds fail; the task goes on, and works when it is back."""
    for name in ("LOOK_S", "TRIM_S", "SWEEP_S"):
        monkeypatch.setattr(upkeep_module, name, 0.02)
    await write_history(redis, buckets=2)
    _, upkeep = worker(stores, attempt_log_bytes="1000")
    asked: list[Any] = []

    def sources() -> list[Source]:
        asked.append(1)
        return [source()]

    await redis.execute_command("CLIENT", "PAUSE", "300", "ALL")
    task = asyncio.create_task(upkeep.run(sources, list))
    try:
        await stores.redis.connection_pool.disconnect()

        async def within() -> bool:
            return await stores.attempts.total_bytes(UK) <= 1000

        async with asyncio.timeout(PATIENCE_S):
            while not await within():
                await asyncio.sleep(0.02)
        assert not task.done()
        assert len(asked) > 3
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_polling_waits_for_room(rig: Rig) -> None:
    """Nothing is asked for while the store is nearly full, the route says why, and goes on where it was."""
    await rig.source()
    rig.upstream.show(*(make_row(number) for number in range(1, 6)))
    polling = rig.poller()
    await catch_up(rig, polling)
    asked = len(rig.upstream.requests)
    rig.pressure.refused()
    rig.upstream.show(make_row(6))
    rig.clock.advance(11)
    async with slice_of(polling):
        await until(lambda: _said(rig))
        assert len(rig.upstream.requests) == asked
        rig.pressure.full = False
        await until(lambda: _at(rig, 6))
        await until(lambda: _well(rig))


async def _said(rig: Rig) -> bool:
    return "nearly full" in ((await rig.state()).last_error or "")


async def _at(rig: Rig, cursor: int) -> bool:
    return (await rig.state()).cursor == cursor


async def _well(rig: Rig) -> bool:
    return (await rig.state()).last_error is None
