"""Replays, with the real sender over scripted subscribers and the real store."""

from collections import Counter
from contextlib import suppress

import pytest
from msgspec.structs import replace

from relay.domain.model import Endpoint
from relay.domain.replaying import WAITING_MOST, Chosen, Reason, Replay
from relay.domain.requests.model import RequestShape, VerdictRule
from relay.errors import Conflict, StoreUnavailable
from relay.pipeline import replays as module
from relay.store import replay_keys
from relay.store.backlog import Backlog
from relay.store.replays import Part, Replays
from relay.store.undelivered import Undelivered
from tests.fakes.subscribers import OK, status
from tests.integration.pipeline.dispatching_rig import Dispatching
from tests.integration.pipeline.replays_rig import replay_of, replay_turns
from tests.integration.pipeline.rig import UK, Rig, until
from tests.patience import PATIENCE_S

CRM, ERP = "crm.example.com", "erp.example.com"
AHEAD = 8
"""Replays that a worker holds of a lane without new events."""


@pytest.fixture
async def floor(rig: Rig) -> Dispatching:
    await rig.source()
    return Dispatching(rig)


async def endpoint(floor: Dispatching, host: str = CRM, **fields: object) -> Endpoint:
    made = await floor.rig.endpoint(url=f"https://{host}/hook", **fields)
    await floor.changed()
    return made


async def begin(floor: Dispatching, to: Endpoint, *states: Chosen | Reason, **fields: object) -> Replay:
    replay = replay_of(to, states=states, end=await floor.rig.events.newest(UK), **fields)
    await Replays(floor.rig.eyes).create(UK, replay)
    return replay


async def part(floor: Dispatching) -> Part:
    (only,) = await Replays(floor.rig.eyes).parts([UK])
    return only


async def finish(floor: Dispatching) -> None:
    while await replay_turns(floor.rig).turn(UK):
        floor.wake()


async def test_dead_ones_are_recovered_and_no_others(floor: Dispatching) -> None:
    """Each dead delivery is sent once more under its id, and nothing is dead any more."""
    crm = await endpoint(floor, retry_schedule=())
    async with floor.worker():
        await floor.rows(20)
        await floor.all_ended()
        floor.subscribers.answers[CRM] = status(400)
        failed = await floor.rows(30)
        await until(lambda: len(floor.subscribers.got) >= 50)
        await floor.settled()
        dead = {ref.number for _, ref, _ in (await floor.rig.books()).dead}
        floor.subscribers.answers[CRM] = OK
        before = len(floor.subscribers.got)
        await begin(floor, crm, "dead")
        await floor.change(crm, paused=False)
        await finish(floor)
        await floor.pass_time(3600)
        await floor.all_ended()
    told = await part(floor)
    assert (told.replay.phase, told.replay.chosen, told.queued) == ("finished", len(dead), len(dead))
    assert len(dead) == 30
    assert sorted(each.row_id for each in floor.subscribers.got[before:]) == failed


async def test_only_those_with_a_reason_are_sent_again(floor: Dispatching) -> None:
    """Dead, or dropped to let their events go; the others stay where they are."""
    rule = VerdictRule(status="422", verdict="dead")
    crm = await endpoint(floor, retry_schedule=(), request=RequestShape(verdicts=(rule,)))
    # It still needs the event of a delivery that is dropped, so the relay keeps the event.
    await endpoint(floor, ERP, paused=True)
    undelivered = Undelivered(floor.rig.eyes)
    async with floor.worker():
        failed: dict[int, list[int]] = {}
        for code in (400, 422):
            floor.subscribers.answers[CRM] = status(code)
            failed[code] = await floor.rows(4)
            await until(lambda: len(floor.subscribers.got) >= sum(map(len, failed.values())))
            await floor.settled()
        assert [each.reason for each in await undelivered.dead(UK, limit=9)].count("verdict_rule") == 4
        dropped = await Backlog(floor.rig.redis).drop_dead(UK, {crm.id: 1})
        assert dropped[crm.id].deliveries == 1
        floor.subscribers.answers[CRM] = OK
        before = len(floor.subscribers.got)
        await begin(floor, crm, "schedule_used_up", "backlog_full")
        await finish(floor)
        await until(lambda: len(floor.subscribers.got) >= before + 4)
        await floor.settled()
    told = await part(floor)
    assert (told.replay.phase, told.queued, told.replay.too_old) == ("finished", 4, 0)
    assert sorted(each.row_id for each in floor.subscribers.got[before:]) == failed[400]
    assert [each.reason for each in await undelivered.dead(UK, limit=9)] == ["verdict_rule"] * 4
    assert await undelivered.dropped(UK, crm.id, limit=9) == []


async def test_new_events_go_before_replays(floor: Dispatching) -> None:
    """Among new events, a claim takes one replay at most; without new events a worker holds eight."""
    crm = await endpoint(floor, max_in_flight=1)
    async with floor.worker() as worker:
        await floor.rows(200)
        await floor.all_ended()
        await worker.dies()
    floor.workers.clear()
    await begin(floor, crm, "delivered")
    await finish(floor)
    assert len((await floor.rig.books()).replays[crm.id]) == 200
    fresh = await floor.rows(40)
    before = len(floor.subscribers.got)
    async with floor.worker():
        floor.wake()
        await floor.all_ended()
    rows = [each.row_id for each in floor.subscribers.got[before:]]
    assert len(rows) == 240
    assert [row for row in rows if row in fresh] == fresh
    assert rows.index(fresh[-1]) < 40 + AHEAD


async def test_a_new_event_waits_behind_eight_replays_at_most(floor: Dispatching) -> None:
    """However many replays wait, and whatever a worker claims: fewer are in flight than an endpoint may have."""
    crm = await endpoint(floor)
    async with floor.worker() as worker:
        await floor.rows(100)
        await floor.all_ended()
        await worker.dies()
    await begin(floor, crm, "delivered")
    await finish(floor)
    lanes = floor.rig.lanes
    options = {"session": "s", "now_ms": floor.rig.clock.at_ms, "lives_ms": 60_000}
    (given,) = (await lanes.exchange(UK, [], turn=1, before=0, claim=1, per_lane=256, **options)).given
    assert len(given.references) == AHEAD


@pytest.mark.parametrize("takes_effect", [False, True])
async def test_a_worker_that_dies_at_any_command_loses_and_doubles_nothing(
    floor: Dispatching, takes_effect: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Progress and deliveries are one step, so another worker continues exactly behind the last one."""
    monkeypatch.setattr(module, "BLOCKS_AT_ONCE", 1)
    crm = await endpoint(floor)
    async with floor.worker() as worker:
        for _ in range(4):
            await floor.rows(100)
        await floor.all_ended()
        await worker.dies()
    await begin(floor, crm, "delivered")
    commands = 0
    while (await part(floor)).replay.phase == "running":
        floor.rig.redis.faults.after(commands % 14, takes_effect=takes_effect)
        with suppress(StoreUnavailable):
            await replay_turns(floor.rig).turn(UK)
        floor.rig.redis.faults.stop()
        commands += 1
    books = await floor.rig.books()
    assert commands > 5
    assert books.faults() == []
    assert set(Counter(ref.number for ref in books.replays[crm.id]).values()) == {1}
    assert len(books.replays[crm.id]) == 400 == (await part(floor)).queued


async def test_what_another_worker_wrote_is_not_overwritten(floor: Dispatching) -> None:
    """A worker that slept between its look and its step changes nothing."""
    crm = await endpoint(floor)
    replay = await begin(floor, crm, "delivered")
    replays = Replays(floor.rig.eyes)
    await replays.advance(UK, replay, replace(replay, at=5))
    with pytest.raises(Conflict):
        await replays.advance(UK, replay, replace(replay, at=9))
    assert (await part(floor)).replay.at == 5


async def test_what_waits_is_bounded_and_a_rate_is_kept(floor: Dispatching) -> None:
    """The list of an endpoint that takes nothing stays short. A rate bounds each step."""
    crm = await endpoint(floor)
    async with floor.worker() as worker:
        for _ in range(6):
            await floor.rows(100)
        await floor.all_ended()
        await worker.dies()
    replay = await begin(floor, crm, "delivered", rate=7)
    await replay_turns(floor.rig).turn(UK)
    assert (await part(floor)).queued == 7
    current = (await part(floor)).replay
    await Replays(floor.rig.eyes).advance(UK, current, replace(current, rate=None))
    for _ in range(5):
        await replay_turns(floor.rig).turn(UK)
    assert replay.end >= 600
    assert await floor.rig.eyes.llen(replay_keys.replay_list(UK, crm.id)) == WAITING_MOST  # type: ignore[misc]


async def test_a_new_endpoint_gets_what_it_never_got_and_wants(floor: Dispatching) -> None:
    """Its filter is asked before anything is sent."""
    await endpoint(floor)
    async with floor.worker():
        rows = await floor.rows(10)
        await floor.rows(5, callDuration=7)
        await floor.all_ended()
        erp = await endpoint(floor, ERP, filter={"callDuration": {"$ne": 7}})
        await begin(floor, erp, "never")
        await finish(floor)
        await floor.all_ended()
    assert sorted(floor.subscribers.rows(ERP)) == rows


async def test_a_dry_run_only_counts(floor: Dispatching) -> None:
    """It says how many there are, and sends none of them."""
    crm = await endpoint(floor)
    async with floor.worker():
        await floor.rows(30)
        await floor.all_ended()
        await begin(floor, crm, "delivered", dry_run=True)
        await finish(floor)
        await floor.all_ended()
    told = await part(floor)
    assert (told.replay.phase, told.replay.chosen, told.queued) == ("finished", 30, 0)
    assert len(floor.subscribers.got) == 30


async def test_an_endpoint_that_was_deleted_ends_its_replay(floor: Dispatching) -> None:
    """The task says so, and nothing is left of its deliveries."""
    crm = await endpoint(floor)
    async with floor.worker():
        await floor.rows(30)
        await floor.all_ended()
        await floor.change(crm, disabled=True)
        await begin(floor, crm, "delivered", rate=5)
        await replay_turns(floor.rig).turn(UK)
        await floor.rig.endpoints.delete(crm.app_id, crm.id)
        await floor.changed()
        assert await floor.rig.deleting().run(within_s=PATIENCE_S)
        await finish(floor)
        await floor.all_ended()
    assert (await part(floor)).replay.phase == "failed"
