"""Replays of deliveries whose events the relay no longer has: the upstream shows their rows again."""

from contextlib import suppress
from typing import Any

import pytest
from msgspec.structs import replace

from relay.domain.model import Endpoint, MessageId
from relay.domain.references import tag_of
from relay.domain.replaying import Chosen, Replay
from relay.errors import StoreUnavailable
from relay.store import keys
from relay.store.books import Books
from relay.store.replays import Part, Replays
from relay.store.retention import Retention
from relay.store.undelivered import Undelivered
from tests.fakes.subscribers import OK, status
from tests.integration.pipeline.dispatching_rig import Dispatching
from tests.integration.pipeline.replays_rig import replay_of, replay_turns
from tests.integration.pipeline.rig import UK, Rig, slice_of, until
from tests.integration.pipeline.test_readings import rows

pytestmark = pytest.mark.timeout(60)
CRM, ERP = "crm.example.com", "erp.example.com"
FAILED = range(101, 141)
LAST = 2 * keys.EVENTS_PER_BUCKET + 40


async def endpoint(floor: Dispatching, host: str = CRM, **fields: object) -> Endpoint:
    made = await floor.rig.endpoint(url=f"https://{host}/hook", retry_schedule=(), **fields)
    await floor.changed()
    return made


@pytest.fixture
async def floor(rig: Rig) -> Dispatching:
    await rig.source(batch_size=100)
    return Dispatching(rig)


async def forgotten(floor: Dispatching) -> dict[int, str]:
    """Rows were delivered, some of them in vain, and retention has dropped all but the newest of their events.

    Gives the rows whose deliveries failed, with the ids that their events had.
    """
    async with floor.worker() as worker:
        await floor.rows(FAILED[0] - 1)
        await floor.all_ended()
        floor.subscribers.answers[CRM] = status(400)
        await floor.rows(len(FAILED))
        await until(lambda: len(floor.subscribers.rows(CRM)) >= FAILED[-1])
        await floor.settled()
        floor.subscribers.answers[CRM] = OK
        await floor.rows(LAST - FAILED[-1])
        await until(lambda: len(floor.subscribers.rows(CRM)) >= LAST)
        await floor.settled()
        await worker.dies()
    floor.workers.clear()
    rig = floor.rig
    assert floor._token is not None
    await rig.routes.give_back(UK, floor._token)
    rig.clock.advance(1)
    retention = Retention(rig.redis)
    assert await retention.forget_dead(UK, before_ms=rig.clock.at_ms) == (len(FAILED), 0)
    assert await retention.forget_events(UK, before_ms=rig.clock.at_ms) >= FAILED[-1]
    rig.upstream.show(*rows(1, LAST))
    ids = {got.row_id: got.id for got in floor.subscribers.got if got.row_id in FAILED}
    floor.subscribers.got.clear()
    return ids


async def begin(floor: Dispatching, to: Endpoint, *states: Chosen, **fields: Any) -> Replay:
    replay = replay_of(to, states=states, end=await floor.rig.events.newest(UK), **fields)
    await Replays(floor.rig.eyes).create(UK, replay)
    return replay


async def part(floor: Dispatching) -> Part:
    (only,) = await Replays(floor.rig.eyes).parts([UK])
    return only


async def finish(floor: Dispatching) -> Part:
    """Continue the replay, and poll, until it has ended."""
    while (told := await part(floor)).replay.phase == "running":
        await replay_turns(floor.rig).turn(UK)
        if (await part(floor)).replay == told.replay:
            async with slice_of(floor.rig.poller()):
                await until(lambda: has_no_backfill(floor), within_s=20)
    async with floor.worker():
        floor.wake()
        await floor.all_ended()
    return await part(floor)


async def count(floor: Dispatching) -> int:
    """How many events are kept."""
    return len(await floor.events().read(UK, range(await floor.events().newest(UK) + 1)))


async def has_no_backfill(floor: Dispatching) -> bool:
    return all(each.state != "running" for each in await floor.rig.backfills.all(UK))


async def test_only_chosen_rows_are_read_again(floor: Dispatching) -> None:
    """Each arrives once more under its id. No other row is sent or stored, and the next replay finds nothing."""
    crm, other = await endpoint(floor), await endpoint(floor, ERP)
    ids = await forgotten(floor)
    stored = await count(floor)
    await begin(floor, crm, "dead")
    told = await finish(floor)
    assert (told.replay.phase, told.replay.too_old, told.queued) == ("finished", len(FAILED), 0)
    assert {got.row_id: got.id for got in floor.subscribers.got} == ids
    assert len(floor.subscribers.got) == len(FAILED)
    assert await count(floor) == stored + len(FAILED)
    (backfill,) = await floor.rig.backfills.all(UK)
    assert ((backfill.id,), backfill.state, backfill.events) == (told.replay.backfills, "done", len(FAILED))
    of_another = replay_of(other, states=("dead",), end=told.replay.end)
    await Replays(floor.rig.eyes).advance(UK, told.replay, of_another)
    assert (await finish(floor)).replay.backfills == ()
    await begin(floor, crm, "dead", replay_id="qtask_2")
    await replay_turns(floor.rig).turn(UK)
    assert [each.replay.too_old for each in await Replays(floor.rig.eyes).parts([UK])] == [0, 0]


async def test_a_new_endpoint_gets_history(floor: Dispatching) -> None:
    """It was never owed what is kept, nor what the relay no longer has."""
    await endpoint(floor)
    await forgotten(floor)
    erp = await endpoint(floor, ERP)
    await begin(floor, erp, "never")
    await finish(floor)
    assert sorted(floor.subscribers.rows(ERP)) == list(range(1, LAST + 1))
    assert floor.subscribers.rows(CRM) == []


@pytest.mark.parametrize("takes_effect", [False, True])
async def test_a_worker_that_dies_at_any_command_begins_one_backfill(floor: Dispatching, takes_effect: bool) -> None:
    """Whatever was written down, another worker begins no second one."""
    crm = await endpoint(floor)
    ids = await forgotten(floor)
    await begin(floor, crm, "dead")
    commands = 0
    while not (await part(floor)).replay.backfills:
        floor.rig.redis.faults.after(commands % 20, takes_effect=takes_effect)
        with suppress(StoreUnavailable):
            await replay_turns(floor.rig).turn(UK)
        floor.rig.redis.faults.stop()
        commands += 1
    await finish(floor)
    assert commands > 5
    assert len(await floor.rig.backfills.all(UK)) == 1
    assert {got.row_id: got.id for got in floor.subscribers.got} == ids
    assert len(floor.subscribers.got) == len(FAILED)


async def test_a_page_that_is_read_twice_sends_nothing_twice(floor: Dispatching) -> None:
    """A poller that dies at any command of a page: the rows that it has taken in are chosen no more."""
    crm = await endpoint(floor)
    await forgotten(floor)
    await begin(floor, crm, "dead")
    while not (await part(floor)).replay.backfills:
        await replay_turns(floor.rig).turn(UK)
    faults, met = floor.rig.redis.faults, 0
    for commands in range(60):
        if await has_no_backfill(floor):
            break
        faults.after(commands, takes_effect=True)
        with suppress(StoreUnavailable):
            async with slice_of(floor.rig.poller()) as polling:
                await until(lambda polling=polling: polling.done() or faults.met, within_s=20)
        met += faults.met
        faults.stop()
        await floor.rig.eyes.delete(keys.lease(UK))
        await floor.rig.routes.poll_at(UK, 0)
    assert met > 10
    await finish(floor)
    assert sorted(floor.subscribers.rows(CRM)) == list(FAILED)


async def test_a_backfill_that_is_cancelled_fails_its_task(floor: Dispatching) -> None:
    """The task names it."""
    crm = await endpoint(floor)
    await forgotten(floor)
    await begin(floor, crm, "dead")
    while not (await part(floor)).replay.backfills:
        await replay_turns(floor.rig).turn(UK)
    (backfill,) = await floor.rig.backfills.all(UK)
    ended = backfill.ended("cancelled", None, now_ms=floor.rig.clock.at_ms)
    await floor.rig.backfills.cancel(UK, ended, before=backfill)
    await replay_turns(floor.rig).turn(UK)
    told = (await part(floor)).replay
    assert told.phase == "failed"
    assert backfill.id in (told.error or "")


@pytest.mark.parametrize("fields", [{"dry_run": True}, {"types": ("call.created",)}])
async def test_some_replays_read_nothing_again(floor: Dispatching, fields: dict[str, Any]) -> None:
    """One that counts, and one that asks for types, which the books do not have."""
    crm = await endpoint(floor)
    await forgotten(floor)
    replay = await begin(floor, crm, "dead", dry_run=fields.get("dry_run", False))
    if "types" in fields:
        wanted = replace(replay.wanted, types=fields["types"])
        await Replays(floor.rig.eyes).advance(UK, replay, replace(replay, wanted=wanted))
    await replay_turns(floor.rig).turn(UK)
    told = (await part(floor)).replay
    assert (told.phase, told.too_old, told.backfills) == ("finished", len(FAILED), ())


async def test_a_dropped_delivery_that_is_sent_again_is_not_listed_any_more(floor: Dispatching) -> None:
    """Its row has another number now. What the replay did not choose stays in the list."""
    crm, undelivered = await endpoint(floor), Undelivered(floor.rig.eyes)
    ids = await forgotten(floor)
    numbers = dict[int, int]()
    async for some in Books(floor.rig.eyes).rows(UK, "t", after=FAILED[0] - 1, until=FAILED[-1]):
        numbers |= {row: of[-1] for row, of in some.items()}
    members = {f"a{numbers[row]}:2:{tag_of(MessageId(of))} backlog_full {of} {row}": 1 for row, of in ids.items()}
    other = f"a5:2:00000 backlog_full {'msg_' + 'x' * 24} 5"
    await floor.rig.eyes.zadd(keys.dropped(UK, crm.id), {**members, other: 1})
    await begin(floor, crm, "dead")
    await finish(floor)
    assert {got.row_id for got in floor.subscribers.got} == set(FAILED)
    assert [each.member for each in await undelivered.dropped(UK, crm.id, limit=999)] == [other]
