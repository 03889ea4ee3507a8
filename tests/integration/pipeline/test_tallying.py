"""Tallies of real deliveries: they say what the log of attempts says, whatever happens to workers and the store."""

import asyncio
from collections import Counter
from contextlib import suppress

import pytest

from relay.domain.model import Endpoint
from relay.domain.requests.model import RequestShape, VerdictRule
from relay.domain.tallies import Tally, summed
from relay.errors import StoreUnavailable
from relay.store.conditions import Conditions
from relay.store.tallies import Tallies
from tests.fakes.subscribers import OK, status
from tests.integration.pipeline.dispatching_rig import Dispatching
from tests.integration.pipeline.rig import UK, Rig, until

CRM, ERP = "crm.example.com", "erp.example.com"


@pytest.fixture
async def floor(rig: Rig) -> Dispatching:
    """A source."""
    await rig.source()
    return Dispatching(rig)


async def endpoint(floor: Dispatching, host: str, **fields: object) -> Endpoint:
    made = await floor.rig.endpoint(url=f"https://{host}/hook", **fields)
    await floor.changed()
    return made


async def tally_of(floor: Dispatching, endpoint: Endpoint) -> Tally:
    """Everything that was counted for an endpoint. Minutes and hours say the same."""
    by_minute, by_hour = [
        summed((await Tallies(floor.rig.eyes).read([(endpoint.id, UK)], unit, newest=1000))[endpoint.id].values())
        for unit in ("minute", "hour")
    ]  # type: ignore[misc]
    assert by_minute == by_hour
    return by_minute


async def logged(floor: Dispatching, endpoint: Endpoint) -> Counter[int]:
    """The classes of the attempts that are in the log."""
    return Counter(code // 100 for _, code, _ in await floor.attempts(endpoint))


async def classes(floor: Dispatching, endpoint: Endpoint) -> dict[int, int]:
    return (await tally_of(floor, endpoint)).classes


async def test_every_attempt_is_counted_by_its_class(floor: Dispatching) -> None:
    """Successes, failures and retries, of two workers."""
    crm, erp = await endpoint(floor, CRM), await endpoint(floor, ERP)
    floor.subscribers.answers[ERP] = status(404)
    async with floor.worker(schedule=(5.0,)), floor.worker(schedule=(5.0,)):
        await floor.rows(20)
        await until(lambda: len(floor.subscribers.got) == 40)
        await floor.settled()
        floor.subscribers.answers[ERP] = OK
        await floor.pass_time(8)
        await floor.all_ended()
    assert await classes(floor, crm) == {2: 20}
    assert await classes(floor, erp) == {4: 20, 2: 20}


async def test_verdicts_are_counted_and_not_statuses(floor: Dispatching) -> None:
    """A 409 that a rule takes for a success is one, and a 200 that a rule refuses is a failure: everywhere."""
    rules = VerdictRule(status="409", verdict="exists"), VerdictRule(status="200", verdict="dead")
    shape = RequestShape(verdicts=rules)
    there, refused = await endpoint(floor, CRM, request=shape), await endpoint(floor, ERP, request=shape)
    floor.subscribers.answers |= {CRM: status(409), ERP: status(200)}
    async with floor.worker() as worker:
        await floor.rows(12)
        await until(lambda: worker.dispatcher.counts.ended.total() == 24)
        await floor.settled()
    there_tally, refused_tally = await tally_of(floor, there), await tally_of(floor, refused)
    assert (there_tally.succeeded, there_tally.failed, there_tally.classes) == (12, 0, {4: 12})
    assert (refused_tally.succeeded, refused_tally.failed, refused_tally.classes) == (0, 12, {2: 12})
    counts = worker.dispatcher.counts
    assert (counts.succeeded, counts.failed) == ({there.id: 12}, {refused.id: 12})
    assert (counts.ended["delivered"], counts.ended["dead"]) == (12, 12)
    assert set(await Tallies(floor.rig.eyes).failing([UK], since_ms=0, most=9)) == {(refused.id, UK)}
    conditions = await Conditions(floor.rig.eyes).read([there.id, refused.id])
    assert not any(each.opens for each in conditions.values())
    assert not conditions[there.id].failing_since_ms
    assert worker.dispatcher.lagging.totals().sight.total == 12


async def test_killed_connections_count_nothing_twice(floor: Dispatching) -> None:
    """The server drops every connection again and again: answers are lost, and calls are made again."""
    crm = await endpoint(floor, CRM, max_in_flight=4)
    async with floor.worker(), floor.worker():
        for _ in range(10):
            with suppress(StoreUnavailable):
                await floor.rows(30)
            await floor.rig.eyes.client_kill_filter(_type="normal", skipme=True)
            floor.wake()
            await asyncio.sleep(0.01)
        await floor.all_ended()
    assert (await tally_of(floor, crm)).total == len(floor.subscribers.rows(CRM))
    assert await classes(floor, crm) == await logged(floor, crm)


async def test_a_killed_worker_loses_what_its_log_loses(floor: Dispatching) -> None:
    """Attempts that it did not hand in are in neither: they are made again by another worker, and counted then."""
    crm = await endpoint(floor, CRM)
    async with floor.worker() as first:
        await floor.rows(200)
        await until(lambda: len(floor.subscribers.got) >= 20)
        await first.dies()
    floor.rig.clock.advance(60)
    await floor.rig.eyes.zadd(f"relay:s:{{{UK}}}:sessions", {first.name: 0})
    async with floor.worker():
        await floor.pass_time(1)
        await floor.all_ended()
    counted = await classes(floor, crm)
    assert counted == await logged(floor, crm)
    assert counted == {2: 200}
