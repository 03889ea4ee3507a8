"""Deliveries that failed because of an expression are sent again after the endpoint's expressions were changed."""

from typing import Any

import pytest

from relay.domain.model import Endpoint
from relay.domain.requests.model import Lookup, RequestShape, VerdictRule
from relay.pipeline.correcting import AFTER_MS
from relay.store import replay_keys
from relay.store.corrections import Corrections
from relay.store.replays import Part, Replays
from relay.store.undelivered import Undelivered
from tests.fakes.subscribers import status
from tests.integration.pipeline.dispatching_rig import Dispatching
from tests.integration.pipeline.replays_rig import replay_turns
from tests.integration.pipeline.rig import UK, Rig, until

CRM = "crm.example.com"
BROKEN = '{"id": $number("no" & data.rowId)}'
RIGHT = '{"id": data.rowId}'


@pytest.fixture
async def floor(rig: Rig) -> Dispatching:
    await rig.source()
    return Dispatching(rig)


async def shaped(floor: Dispatching, **fields: Any) -> Endpoint:
    made = await floor.rig.endpoint(url=f"https://{CRM}/hook", request=RequestShape(**fields), retry_schedule=())
    await floor.changed()
    return made


async def dead(floor: Dispatching) -> list[str]:
    return [each.reason for each in await Undelivered(floor.rig.eyes).dead(UK, limit=100)]


async def all_dead(floor: Dispatching, count: int) -> None:
    """Wait until so many deliveries are dead, and handed in."""

    async def are_dead() -> bool:
        return len(await dead(floor)) == count

    await until(are_dead)
    await floor.settled()


async def half_a_minute_passes(floor: Dispatching) -> None:
    """For the changes: the server's clock cannot be set."""
    for field, at in (await floor.rig.eyes.hgetall(replay_keys.CORRECTIONS)).items():
        await floor.rig.eyes.hset(replay_keys.CORRECTIONS, field, int(at) - AFTER_MS - 1)


async def replayed(floor: Dispatching) -> list[Part]:
    """Let half a minute pass, let replays end, and give them."""
    await half_a_minute_passes(floor)
    turns = replay_turns(floor.rig)
    await turns._correcting.begin(now_ms=await turns._server.now_ms())
    while await turns.turn(UK):
        floor.wake()
    return await Replays(floor.rig.eyes).parts([UK])


async def test_a_change_of_the_expression_sends_again_what_it_failed_on(floor: Dispatching) -> None:
    """Each once, as a background task; deliveries that are dead for another reason stay."""
    rule = VerdictRule(status="400", verdict="dead")
    crm = await shaped(floor, transformation=RIGHT, verdicts=(rule,))
    async with floor.worker():
        floor.subscribers.answers[CRM] = status(400)
        await floor.rows(2)
        await all_dead(floor, 2)
        await floor.change(crm, request=RequestShape(transformation=BROKEN, verdicts=(rule,)))
        assert await replayed(floor) == []
        await floor.rows(5)
        await all_dead(floor, 7)
        floor.subscribers.answers[CRM] = status(200)
        await floor.change(crm, request=RequestShape(transformation=RIGHT, verdicts=(rule,)))
        (part,) = await replayed(floor)
        await all_dead(floor, 2)
        assert (part.replay.kind, part.replay.phase, part.queued) == ("endpoint.recover", "finished", 5)
        assert sorted(map(int, [got.body.split(b'"')[3] for got in floor.subscribers.got[2:]])) == [3, 4, 5, 6, 7]
        assert await dead(floor) == ["verdict_rule"] * 2
        assert len(await replayed(floor)) == 1


async def test_a_change_that_does_not_cure_is_tried_once(floor: Dispatching) -> None:
    """The deliveries are dead again, each after one more attempt, until there is another change."""
    crm = await shaped(floor, transformation=BROKEN)
    async with floor.worker() as worker:
        await floor.rows(3)
        await all_dead(floor, 3)
        await floor.change(crm, request=RequestShape(transformation='{"id": $number("also wrong")}'))
        for _ in range(2):
            (part,) = await replayed(floor)
            assert part.queued == 3
            await all_dead(floor, 3)
        assert worker.dispatcher.counts.ended["dead"] == 6
        await floor.change(crm, request=RequestShape(transformation=RIGHT))
        assert [each.queued for each in await replayed(floor)] == [3, 3]
        await floor.all_ended()
    assert len(floor.subscribers.got) == 3


async def test_a_change_of_something_else_sends_nothing_again(floor: Dispatching) -> None:
    """The description, the rate, rules for answers, a URL without placeholders: no expression can notice them."""
    crm = await shaped(floor, transformation=BROKEN)
    async with floor.worker():
        await floor.rows(1)
        await all_dead(floor, 1)
        changes: list[dict[str, Any]] = [
            {"description": "another"},
            {"url": f"https://{CRM}/other"},
            {"request": RequestShape(transformation=BROKEN, verdicts=(VerdictRule(status="409", verdict="exists"),))},
            {"disabled": True},
            {"disabled": False},
        ]
        for change in changes:
            crm = await floor.change(crm, **change)
            assert await floor.rig.eyes.hlen(replay_keys.CORRECTIONS) == 0
        assert await replayed(floor) == []


async def test_nothing_is_sent_twice_if_the_worker_dies_in_between(floor: Dispatching, rig: Rig) -> None:
    """It began the task, and did not note that: the next worker finds the same task."""
    crm = await shaped(floor, transformation=BROKEN)
    async with floor.worker():
        await floor.rows(2)
        await all_dead(floor, 2)
        await floor.change(crm, request=RequestShape(transformation=RIGHT))
        await half_a_minute_passes(floor)
        noted = await rig.eyes.hgetall(replay_keys.CORRECTIONS)
        assert len(await replayed(floor)) == 1
        await floor.all_ended()
        await rig.eyes.hset(replay_keys.CORRECTIONS, mapping=noted)
        assert len(await replayed(floor)) == 1
        await floor.all_ended()
    assert len(floor.subscribers.got) == 2
    assert await rig.eyes.hlen(replay_keys.CORRECTIONS) == 0


async def test_a_change_that_comes_while_a_task_begins_is_not_forgotten(floor: Dispatching, rig: Rig) -> None:
    """Only the change whose task began is forgotten."""
    crm = await shaped(floor, transformation=BROKEN)
    await floor.change(crm, request=RequestShape(transformation=RIGHT))
    corrections = Corrections(rig.redis)
    (correction,) = await corrections.before(2**53)
    await corrections.forget(correction._replace(at_ms=correction.at_ms - 1))
    assert await corrections.before(2**53) == [correction]
    assert await corrections.before(correction.at_ms) == []
    await corrections.forget(correction)
    assert await corrections.before(2**53) == []


async def test_a_change_of_the_lookup_sends_again_what_had_no_match(floor: Dispatching) -> None:
    """Such deliveries are dead because of what the lookup asked."""
    lookup = Lookup(key="null", url=f"https://{CRM}/search", result="id", on_miss="fail")
    crm = await shaped(floor, lookup=lookup)
    async with floor.worker():
        await floor.rows(1)
        await all_dead(floor, 1)
        assert await dead(floor) == ["no_match"]
        await floor.change(crm, request=RequestShape())
        assert [each.queued for each in await replayed(floor)] == [1]
        await floor.all_ended()
    assert len(floor.subscribers.got) == 1
