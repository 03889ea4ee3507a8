"""How long deliveries took: counted by each worker, and read for all of them."""

import asyncio

import pytest

from relay.domain.lags import most_of
from relay.domain.model import MessageId, StoredEvent
from relay.domain.references import resent
from relay.errors import StoreUnavailable
from relay.pipeline import lagging as lagging_module
from relay.pipeline.lagging import Lagging
from relay.pipeline.route_poll import cancelled
from relay.store import keys
from relay.store.lags import KEPT_MS, LagWindows
from relay.store.undelivered import Undelivered
from tests.fakes.subscribers import OK, status
from tests.fakes.upstream import make_row
from tests.integration.pipeline.dispatching_rig import Dispatching
from tests.integration.pipeline.rig import UK, Rig, catch_up, until
from tests.integration.pipeline.test_backfills import begin, done

CRM = "crm.example.com"


@pytest.fixture
async def floor(rig: Rig) -> Dispatching:
    """A source."""
    await rig.source()
    return Dispatching(rig)


def windows(rig: Rig) -> LagWindows:
    return LagWindows(rig.redis)


async def read(rig: Rig) -> dict[str, tuple[dict[int, int], dict[int, int]]]:
    """By route, how many lags there were: since the sight, and since the row's time; by seconds, rounded up."""
    found = await windows(rig).read(UK, now_ms=rig.clock.at_ms)
    return {route: (_by_seconds(lags.sight.counts), _by_seconds(lags.row.counts)) for route, lags in found.items()}


def _by_seconds(counts: dict[int, int]) -> dict[int, int]:
    return {most_of(bucket) // 1000: count for bucket, count in counts.items()}


async def write(floor: Dispatching) -> None:
    for worker in floor.workers:
        await worker.dispatcher.lagging.write({UK})


def told(stored_at_ms: int, *, lag_of: int = 0) -> StoredEvent:
    return StoredEvent(MessageId("msg_x"), "7", stored_at_ms, 2, b"\0", b'"timestamp":"', lag_of)


async def test_what_two_workers_delivered_is_one_number(floor: Dispatching) -> None:
    """From the rows' own times, and from their first sight. A delivery that failed first counts as long as it took."""
    await floor.rig.endpoint(url=f"https://{CRM}/hook")
    async with floor.worker(schedule=(5.0,)), floor.worker(schedule=(5.0,)):
        await floor.rows(40, triggerDatetime="2026-09-21 14:11:52")
        await floor.all_ended()
        floor.subscribers.answers[CRM] = status(500)
        await floor.rows(1, triggerDatetime="0000-00-00 00:00:00")
        await until(lambda: len(floor.subscribers.got) == 41)
        await floor.settled()
        floor.subscribers.answers[CRM] = OK
        await floor.pass_time(8)
        await floor.all_ended()
        await write(floor)
    assert await read(floor.rig) == {"all": ({0: 40, 8: 1}, {90: 40})}
    assert await floor.rig.eyes.pttl(keys.lags(UK, floor.rig.clock.at_ms // 60_000)) > KEPT_MS // 2


async def test_what_somebody_resent_says_nothing(floor: Dispatching) -> None:
    """It may be days old."""
    endpoint = await floor.rig.endpoint(url=f"https://{CRM}/hook")
    async with floor.worker():
        (number,) = await floor.rows(1)
        await floor.all_ended()
        event = (await floor.rig.events.read(UK, [number]))[number]
        await floor.pass_time(30)
        await Undelivered(floor.rig.redis).resend(UK, endpoint.id, resent(number, event, None))
        floor.wake()
        await floor.all_ended()
        await write(floor)
    assert len(floor.subscribers.got) == 2
    assert (await read(floor.rig))["all"][0] == {0: 1}


async def test_what_a_backfill_sends_says_nothing(rig: Rig) -> None:
    """Its rows are as old as the operator likes, and its events say so."""
    await rig.source(start_row_id=2)
    await rig.endpoint()
    polling = rig.poller()
    rig.upstream.show(make_row(1), make_row(3))
    await catch_up(rig, polling)
    await done(rig, polling, await begin(rig, until_row=2))
    found = {event.row_id: event.lag_of for event in (await rig.events.read(UK, range(1, 20))).values()}
    assert found == {"1": -1, "3": 0}


async def test_only_the_last_minutes_are_shown(rig: Rig) -> None:
    """The minute that is under way, and five before it; metrics have all of them."""
    lagging = Lagging(windows(rig), rig.clock, session="w")
    for _ in range(8):
        await lagging.write({UK})
        lagging.count(UK, told(rig.clock.at_ms - 4), rig.clock.at_ms)
        rig.clock.advance(60)
    await lagging.write({UK})
    assert (await windows(rig).read(UK, now_ms=rig.clock.at_ms))["all"].sight.counts == {4: 5}
    assert lagging.totals().sight.counts == {4: 8}


async def test_what_the_store_did_not_take_is_written_later(rig: Rig) -> None:
    """A worker writes everything of its minute each time, so nothing is counted twice."""
    lagging = Lagging(windows(rig), rig.clock, session="w")
    for takes_effect in (False, True):
        lagging.count(UK, told(rig.clock.at_ms), rig.clock.at_ms)
        rig.redis.faults.after(0, takes_effect=takes_effect)
        with pytest.raises(StoreUnavailable):
            await lagging.write({UK})
    await lagging.write({UK})
    assert (await windows(rig).read(UK, now_ms=rig.clock.at_ms))["all"].sight.counts == {0: 2}
    rig.redis.faults.after(0, takes_effect=False)
    await lagging.write({UK})
    assert rig.redis.faults.met == 0


async def test_a_source_that_is_gone_leaves_nothing(rig: Rig) -> None:
    """In the store; the worker's own counts, which only grow, keep what it delivered."""
    lagging = Lagging(windows(rig), rig.clock, session="w")
    lagging.count(UK, told(rig.clock.at_ms), rig.clock.at_ms)
    await lagging.write(())
    assert lagging.totals().sight.counts == {0: 1}
    assert await rig.eyes.exists(keys.lags(UK, rig.clock.at_ms // 60_000)) == 0


async def test_it_writes_in_time_and_at_the_end(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that fails in between is no reason to end."""
    monkeypatch.setattr(lagging_module, "WRITE_S", 0.005)
    lagging = Lagging(windows(rig), rig.clock, session="w")
    lagging.count(UK, told(rig.clock.at_ms), rig.clock.at_ms)
    rig.redis.faults.after(0, takes_effect=False)
    task = asyncio.create_task(lagging.run(lambda: {UK}))
    await until(lambda: is_counted(rig, 1))
    monkeypatch.setattr(lagging_module, "WRITE_S", 60)
    await asyncio.sleep(0.02)
    lagging.count(UK, told(rig.clock.at_ms), rig.clock.at_ms)
    await cancelled(task)
    assert await is_counted(rig, 2)


async def is_counted(rig: Rig, count: int) -> bool:
    found = await LagWindows(rig.eyes).read(UK, now_ms=rig.clock.at_ms)
    return "all" in found and found["all"].sight.total == count


async def test_what_cannot_be_read_is_passed_over(rig: Rig) -> None:
    """Another release may have written it."""
    lagging = Lagging(windows(rig), rig.clock, session="w")
    lagging.count(UK, told(rig.clock.at_ms), rig.clock.at_ms)
    await lagging.write({UK})
    await rig.eyes.hset(keys.lags(UK, rig.clock.at_ms // 60_000), mapping={"x": b"\xff", "y": b"\x01\x00", "z": b""})  # type: ignore[misc]
    assert await is_counted(rig, 1)
