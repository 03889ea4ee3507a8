"""Batches: several events in one request, each with its own id, attempts and verdict."""

import asyncio
from functools import partial
from typing import Any

import httpx
import msgspec
import pytest

from relay.domain.batching import batch_id
from relay.domain.model import Attempt, Endpoint
from relay.domain.rates import Rate
from relay.domain.requests.model import Batch, Lookup, RequestShape, VerdictRule
from relay.store import keys
from relay.store.attempts import Attempts
from relay.store.undelivered import Undelivered
from tests.fakes.subscribers import Got, status
from tests.integration.pipeline.dispatching_rig import Dispatching
from tests.integration.pipeline.rig import UK, Rig, time_brings, until

CRM = "crm.example.com"
HOUR_S = 3600.0


@pytest.fixture
async def floor(rig: Rig) -> Dispatching:
    await rig.source()
    return Dispatching(rig)


async def batching(
    floor: Dispatching, size: int, wait_s: float = HOUR_S, *, own: dict[str, Any] | None = None, **fields: Any
) -> Endpoint:
    """An endpoint that takes batches. `own`: fields of the endpoint itself."""
    about = {name: fields.pop(name) for name in ("body", "failed") if name in fields}
    shape = RequestShape(batch=Batch(size=size, wait_s=wait_s, **about), **fields)
    made = await floor.rig.endpoint(url=f"https://{CRM}/hook", request=shape, **(own or {}))
    await floor.changed()
    return made


def rows_in(got: Got) -> list[int]:
    """The rows whose events are in a request, in its order."""
    return [int(each["body"]["data"]["rowId"]) for each in msgspec.json.decode(got.body)]


def sizes(floor: Dispatching) -> list[int]:
    return [len(rows_in(got)) for got in floor.subscribers.got]


def all_rows(floor: Dispatching) -> list[int]:
    return sorted(row for got in floor.subscribers.got for row in rows_in(got))


def refuses(row: int, code: int) -> Any:
    """A receiver that refuses every request with one row."""
    return lambda got: httpx.Response(code if row in rows_in(got) else 204, stream=httpx.ByteStream(b""))


def json_answer(body: Any, code: int = 207) -> Any:
    return lambda _: httpx.Response(code, stream=httpx.ByteStream(msgspec.json.encode(body)))


async def recorded(floor: Dispatching, endpoint: Endpoint) -> list[Attempt]:
    found = await Attempts(floor.rig.eyes).of_endpoint(UK, endpoint.id, limit=1000)
    return [each for _, each in reversed(found) if each is not None]


async def test_a_full_batch_goes_at_once(floor: Dispatching) -> None:
    """Each of its events keeps its id and its attempt, and the request has an id that follows from theirs."""
    crm = await batching(floor, 3)
    async with floor.worker():
        await floor.rows(3)
        await floor.all_ended()
    [got] = floor.subscribers.got
    ids = [each["id"] for each in msgspec.json.decode(got.body)]
    assert rows_in(got) == [1, 2, 3]
    assert got.id == batch_id(ids) == got.headers["idempotency-key"]
    attempts = await recorded(floor, crm)
    assert sorted(each.seq for each in attempts) == [1, 2, 3]
    assert {(each.number, each.status, each.verdict) for each in attempts} == {(1, 204, "delivered")}
    assert {(each.batch_id, each.batch_size) for each in attempts} == {(got.id, 3)}


async def test_a_batch_that_is_not_full_goes_when_its_time_is_up(floor: Dispatching) -> None:
    """Its first event waits for so long and no longer, and nothing waits in the way of the rest of a full one."""
    crm = await batching(floor, 4, 30.0)
    async with floor.worker():
        await floor.rows(6)
        await until(lambda: sizes(floor) == [4])
        await until(lambda: _waits(floor, crm) == 2)
        floor.rig.clock.advance(29.9)
        assert sizes(floor) == [4]
        await time_brings(floor.rig, lambda: sizes(floor) == [4, 2], step_s=0.1)
        await floor.all_ended()
    assert all_rows(floor) == [1, 2, 3, 4, 5, 6]


async def test_the_answer_names_those_that_failed(floor: Dispatching) -> None:
    """They alone are retried, by their ids here, and the others are delivered."""
    expression = "results[$not(ok)].id"
    crm = await batching(floor, 3, 1.0, failed=expression)

    def answer(got: Got) -> httpx.Response:
        found = [
            {"id": each["id"], "ok": each["body"]["data"]["rowId"] != "2"} for each in msgspec.json.decode(got.body)
        ]
        return httpx.Response(207, stream=httpx.ByteStream(msgspec.json.encode({"results": found})))

    floor.subscribers.answers[CRM] = answer
    async with floor.worker(schedule=(HOUR_S,)):
        await floor.rows(3)
        await until(lambda: len(floor.subscribers.got) == 1)
        await floor.settled()
        assert await floor.left() == 1
        floor.subscribers.answers[CRM] = json_answer({})
        await time_brings(floor.rig, lambda: len(floor.subscribers.got) == 2, step_s=HOUR_S)
        await floor.all_ended()
    assert sizes(floor) == [3, 1]
    attempts = await recorded(floor, crm)
    assert sorted((each.seq, each.number, each.verdict, each.error) for each in attempts) == [
        (1, 1, "delivered", ""),
        (2, 1, "retry", "partial: the answer names this event among those that failed"),
        (2, 2, "delivered", ""),
        (3, 1, "delivered", ""),
    ]


@pytest.mark.parametrize(
    ("failed", "answer", "left"),
    [
        ("data#$i[code != 'OK'].$i", {"data": [{"code": "OK"}, {"code": "OK"}]}, 0),
        ("data#$i[code != 'OK'].$i", {"data": [{"code": "NO"}, {"code": "OK"}]}, 1),
        ("data#$i[code != 'OK'].$i", {"data": [{"code": "NO"}, {"code": "NO"}]}, 2),
        ("$events[0].key", {}, 1),
        ("bad", {"bad": 7}, 2),
        ("bad", {"bad": True}, 2),
        ("$number(bad)", {"bad": "x"}, 2),
    ],
    ids=["none", "one place", "all places", "a key", "no place", "neither", "fails"],
)
async def test_whom_an_answer_names(floor: Dispatching, failed: str, answer: Any, left: int) -> None:
    """Places, ids and keys are names. If nobody can tell which failed, none counts as delivered."""
    await batching(floor, 2, failed=failed)
    floor.subscribers.answers[CRM] = json_answer(answer)
    async with floor.worker(schedule=(HOUR_S,)):
        await floor.rows(2)
        await until(lambda: len(floor.subscribers.got) == 1)
        await floor.settled()
        assert await floor.left() == left


async def test_an_event_that_a_receiver_refuses_fails_alone(floor: Dispatching) -> None:
    """The others are delivered at once, in ever smaller batches, and use up no try."""
    crm = await batching(floor, 8)
    floor.subscribers.answers[CRM] = refuses(5, 422)
    async with floor.worker(schedule=(HOUR_S,)):
        await floor.rows(8)
        await until(lambda: [5] in [rows_in(got) for got in floor.subscribers.got])
        await floor.settled()
        assert await floor.left() == 1
    delivered = [each for each in await recorded(floor, crm) if each.verdict == "delivered"]
    assert sorted((each.seq, each.number) for each in delivered) == [(row, 1) for row in (1, 2, 3, 4, 6, 7, 8)]
    assert sorted(sizes(floor)) == [1, 1, 2, 2, 4, 4, 8]


async def test_a_rule_about_one_event_is_asked_of_one_event(floor: Dispatching) -> None:
    """A batch is not there already because one of its events is."""
    crm = await batching(floor, 2, verdicts=(VerdictRule(status="409", verdict="exists"),))
    floor.subscribers.answers[CRM] = refuses(1, 409)
    async with floor.worker():
        await floor.rows(2)
        await floor.all_ended()
    assert sizes(floor) == [2, 1, 1]
    alone = [each for each in await recorded(floor, crm) if each.batch_size == 1]
    assert sorted((each.seq, each.status, each.verdict) for each in alone) == [
        (1, 409, "delivered"),
        (2, 204, "delivered"),
    ]


async def test_each_retry_halves_the_batch(floor: Dispatching) -> None:
    """So an event that makes its receiver fail in a way that speaks of no event goes alone in the end."""
    await batching(floor, 4, 0.0)
    floor.subscribers.answers[CRM] = refuses(1, 404)
    async with floor.worker(schedule=(1.0, 1.0)):
        await floor.rows(4)
        await time_brings(floor.rig, lambda: [1] in [rows_in(got) for got in floor.subscribers.got], step_s=2.0)
        await floor.settled()
    assert sizes(floor)[0] == 4
    assert [each.reason for each in await Undelivered(floor.rig.eyes).dead(UK, limit=9)] == ["schedule_used_up"]


async def test_a_failure_of_the_receiver_counts_once(floor: Dispatching) -> None:
    """A batch of ten that fails is one failed request: the breaker stays closed."""
    crm = await batching(floor, 10)
    floor.subscribers.answers[CRM] = status(500)
    async with floor.worker(schedule=(HOUR_S,)) as worker:
        await floor.rows(10)
        await until(lambda: len(floor.subscribers.got) == 1)
        await floor.settled()
        machine = worker.dispatcher._core._machines[crm.id]
        assert (machine.receiver.health.opens, machine.receiver.health.in_a_row) == (0, 1)
    attempts = await recorded(floor, crm)
    assert [(each.number, each.status, each.verdict) for each in attempts] == [(1, 500, "retry")] * 10


async def test_what_is_skipped_or_fails_is_no_part_of_the_batch(floor: Dispatching) -> None:
    """The transformation makes a body of each event, and an expression one of all bodies."""
    made = 'data.rowId = "1" ? null : data.rowId = "2" ? $error("no") : {"row": data.rowId}'
    crm = await batching(floor, 4, transformation=made, body='{"inputs": $, "keys": $events.key}')
    async with floor.worker():
        await floor.rows(4)
        await until(partial(_left, floor, 1))
        await floor.settled()
    [got] = floor.subscribers.got
    assert msgspec.json.decode(got.body) == {"inputs": [{"row": "3"}, {"row": "4"}], "keys": ["1-3", "1-4"]}
    assert sorted((each.seq, each.verdict, each.batch_size) for each in await recorded(floor, crm)) == [
        (1, "skipped", 0), (2, "dead", 0), (3, "delivered", 2), (4, "delivered", 2),
    ]  # fmt: skip


async def test_a_batch_of_events_that_are_all_skipped_sends_nothing(floor: Dispatching) -> None:
    """All of its deliveries end."""
    await batching(floor, 2, transformation="null")
    async with floor.worker():
        await floor.rows(2)
        await floor.all_ended()
    assert floor.subscribers.got == []


async def test_an_expression_over_the_batch_that_fails_on_one_event_fails_it_alone(floor: Dispatching) -> None:
    """The others are delivered."""
    body = '$map($, function($each) { $each.row = "2" ? $error("no") : $each })[]'
    crm = await batching(floor, 4, transformation='{"row": data.rowId}', body=body)
    async with floor.worker():
        await floor.rows(4)
        await until(partial(_left, floor, 1))
        await floor.settled()
    sent = [each["row"] for got in floor.subscribers.got for each in msgspec.json.decode(got.body)]
    assert sorted(sent) == ["1", "3", "4"]
    assert [each.seq for each in await recorded(floor, crm) if each.verdict == "dead"] == [2]


async def test_a_request_is_bounded_in_bytes(floor: Dispatching) -> None:
    """What has no room goes in the next request, at once; events that grow in their transformation too."""
    grows = '{"row": data.rowId, "text": $pad("", 300000, "x")}'
    await batching(floor, 8, transformation=grows)
    async with floor.worker():
        await floor.rows(8)
        await floor.all_ended()
    requests = [[each["row"] for each in msgspec.json.decode(got.body)] for got in floor.subscribers.got]
    assert sorted(row for rows in requests for row in rows) == [str(row) for row in range(1, 9)]
    assert max(len(got.body) for got in floor.subscribers.got) <= 1 << 20
    assert [len(rows) for rows in requests] == [3, 3, 2]


async def test_large_events_go_in_smaller_batches(floor: Dispatching) -> None:
    """A batch is full when its bytes are, before anything is composed."""
    crm = await batching(floor, 8)
    async with floor.worker():
        await floor.rows(5, notes_long="x" * 400_000)
        await until(lambda: sizes(floor) == [2, 2])
        await until(lambda: _waits(floor, crm) == 1)


async def test_a_batch_is_one_request_for_every_limit(floor: Dispatching) -> None:
    """A window of two requests in a minute lets two batches pass."""
    await batching(floor, 5, own={"rates": (Rate(limit=2, seconds=60),)})
    async with floor.worker():
        await floor.rows(15)
        await until(lambda: sizes(floor) == [5, 5])
        await until(partial(_left, floor, 5))
    assert sizes(floor) == [5, 5]


async def test_an_endpoint_that_is_paused_while_a_batch_gathers_keeps_it(floor: Dispatching) -> None:
    """It goes when the endpoint is resumed, and all is sent once."""
    crm = await batching(floor, 3)
    async with floor.worker():
        await floor.rows(2)
        await until(lambda: _waits(floor, crm) == 2)
        crm = await floor.change(crm, paused=True)
        await until(lambda: _waits(floor, crm) == 0)
        await floor.rows(1)
        assert floor.subscribers.got == []
        await floor.change(crm, paused=False)
        await floor.pass_time(61)
        await floor.all_ended()
    assert [rows_in(got) for got in floor.subscribers.got] == [[1, 2, 3]]


async def test_a_change_of_the_endpoint_ends_the_wait(floor: Dispatching) -> None:
    """Without batches each event goes alone, at once."""
    crm = await batching(floor, 3)
    async with floor.worker():
        await floor.rows(2)
        await until(lambda: _waits(floor, crm) == 2)
        await floor.change(crm, request=RequestShape())
        await floor.all_ended()
    assert sorted(got.row_id for got in floor.subscribers.got) == [1, 2]


async def test_a_worker_that_ends_does_not_wait_for_its_batches(floor: Dispatching) -> None:
    """It hands back what gathered, and another one sends it."""
    crm = await batching(floor, 3)
    async with floor.worker():
        await floor.rows(2)
        await until(lambda: _waits(floor, crm) == 2)
    assert (floor.subscribers.got, await floor.left()) == ([], 2)
    async with floor.worker():
        await floor.rows(1)
        await floor.all_ended()
    assert [rows_in(got) for got in floor.subscribers.got] == [[1, 2, 3]]


async def test_a_batch_survives_its_worker(floor: Dispatching) -> None:
    """What was in flight when a worker died is announced, and sent one by one: one of them may be to blame."""
    await batching(floor, 4)
    never: asyncio.Future[httpx.Response] = asyncio.get_running_loop().create_future()

    async def hang(_: Got) -> httpx.Response:
        return await never

    floor.subscribers.answers[CRM] = hang
    async with floor.worker() as worker:
        await floor.rows(4)
        await until(lambda: len(floor.subscribers.got) == 1)
        await worker.dies()
        floor.workers.remove(worker)
        await floor.rig.eyes.zadd(keys.sessions(UK), {worker.name: 0})
    floor.subscribers.answers[CRM] = status(204)
    floor.subscribers.got.clear()
    async with floor.worker():
        await floor.pass_time(0)
        await floor.all_ended()
    assert sorted(rows_in(got) for got in floor.subscribers.got) == [[1], [2], [3], [4]]


async def test_a_down_receiver_is_probed_with_one_event(floor: Dispatching) -> None:
    """When it is back, batches go again."""
    await batching(floor, 3, 1.0)
    floor.subscribers.answers[CRM] = status(500)
    async with floor.worker(schedule=(1.0,) * 20):
        await floor.rows(30)
        await time_brings(floor.rig, lambda: 1 in sizes(floor), step_s=5.0)
        floor.subscribers.answers[CRM] = status(204)
        floor.subscribers.got.clear()
        await time_brings(floor.rig, lambda: len(set(all_rows(floor))) == 30, step_s=5.0)
        await floor.all_ended()
    assert sizes(floor)[0] == 1


async def test_events_are_looked_up_one_by_one(floor: Dispatching) -> None:
    """Each finds its own, and the batch is one callback."""
    search = Lookup(key="data.rowId", url=f"https://{CRM}/search", result="found", method="POST", body="data.rowId")
    await batching(floor, 3, lookup=search, transformation='{"row": data.rowId, "contact": $lookup}')

    def answer(got: Got) -> httpx.Response:
        body = {"found": f"c{msgspec.json.decode(got.body)}"} if got.path == "/search" else {}
        return httpx.Response(200, stream=httpx.ByteStream(msgspec.json.encode(body)))

    floor.subscribers.answers[CRM] = answer
    async with floor.worker():
        await floor.rows(3)
        await floor.all_ended()
    [got] = [got for got in floor.subscribers.got if got.path == "/hook"]
    assert msgspec.json.decode(got.body) == [{"row": str(n), "contact": f"c{n}"} for n in (1, 2, 3)]


async def test_slow_lookups_make_the_batch_smaller(floor: Dispatching) -> None:
    """Half of an attempt's time is for composing: what is left goes in the next request."""
    search = Lookup(key="data.rowId", url=f"https://{CRM}/search", result="found", method="POST", body="data.rowId")
    await batching(floor, 6, lookup=search, transformation='{"row": data.rowId}')

    async def answer(got: Got) -> httpx.Response:
        if got.path == "/search":
            await asyncio.sleep(0.2)
        return httpx.Response(200, stream=httpx.ByteStream(b"{}"))

    floor.subscribers.answers[CRM] = answer
    async with floor.worker() as worker:
        worker.dispatcher._attempting.deadline_s = 0.3
        await floor.rows(6)
        await floor.all_ended()
    callbacks = [msgspec.json.decode(got.body) for got in floor.subscribers.got if got.path == "/hook"]
    assert [len(each) for each in callbacks] == [4, 2]
    assert sorted(each["row"] for some in callbacks for each in some) == [str(n) for n in range(1, 7)]


async def _left(floor: Dispatching, count: int) -> bool:
    """Whether so many deliveries have not ended; those that are dead count."""
    return await floor.left() == count


def _waits(floor: Dispatching, endpoint: Endpoint) -> int:
    """How many deliveries of an endpoint wait in the workers."""
    machines = [worker.dispatcher._core._machines.get(endpoint.id) for worker in floor.workers]
    return sum(len(lane.queue) for machine in machines if machine for lane in machine.lanes.values())
