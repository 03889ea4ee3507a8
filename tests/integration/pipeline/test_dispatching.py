"""Dispatch, with the real sender over scripted subscribers and the real store."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime

import httpx
import pytest
from standardwebhooks import Webhook

from relay.domain.model import Endpoint
from relay.domain.outcomes import Failure
from relay.errors import StoreUnavailable
from relay.outbound.failures import EgressError
from relay.pipeline.dispatch import exchanging
from relay.store import keys
from relay.store.bodies import Bodies
from relay.store.undelivered import Undelivered
from tests.fakes.subscribers import OK, Got, status
from tests.integration.pipeline.dispatching_rig import Dispatching
from tests.integration.pipeline.rig import SECRET, UK, Rig, until
from tests.patience import PATIENCE_S

CRM, ERP = "crm.example.com", "erp.example.com"


def sent_at(got: Got) -> datetime:
    return datetime.fromtimestamp(int(got.headers["webhook-timestamp"]), UTC)


@pytest.fixture
async def floor(rig: Rig) -> Dispatching:
    await rig.source()
    return Dispatching(rig)


async def endpoint(floor: Dispatching, host: str = CRM, **fields: object) -> Endpoint:
    made = await floor.rig.endpoint(url=f"https://{host}/hook", **fields)
    await floor.changed()
    return made


async def test_everything_is_sent_once(floor: Dispatching) -> None:
    """Each event is one signed callback, in the words of its row, and nothing of it is left but its attempt."""
    crm = await endpoint(floor)
    async with floor.worker():
        await floor.rows(100)
        await floor.all_ended()
    got = floor.subscribers.got
    assert sorted(each.row_id for each in got) == list(range(1, 101))
    for each in got:
        assert Webhook(SECRET).sign(each.id, sent_at(each), each.body.decode()) == each.headers["webhook-signature"]
        assert each.body.startswith(b'{"type":"call.created","timestamp":"')
        found = await floor.rig.events.find(UK, each.id)
        assert found is not None
        assert found[1].row_id == str(each.row_id)
    assert await floor.attempts(crm) == [(1, 204, "delivered")] * 100
    assert (await floor.rig.books()).lanes == {}


async def test_a_failure_is_tried_again_when_it_is_due(floor: Dispatching) -> None:
    """By the schedule, not before, with the same id; and what came of it is the end of it."""
    crm = await endpoint(floor)
    floor.subscribers.answers[CRM] = status(500)
    async with floor.worker(schedule=(5.0, 300.0)):
        await floor.rows(1)
        await until(lambda: len(floor.subscribers.got) == 1)
        await floor.settled()
        await floor.pass_time(4.4)
        await asyncio.sleep(0.05)
        assert len(floor.subscribers.got) == 1
        await floor.pass_time(0.6)
        await until(lambda: len(floor.subscribers.got) == 2)
        await floor.settled()
        floor.subscribers.answers[CRM] = OK
        await floor.pass_time(300)
        await floor.all_ended()
    assert len(set(floor.subscribers.ids(CRM))) == 1
    assert await floor.attempts(crm) == [(1, 500, "retry"), (2, 500, "retry"), (3, 204, "delivered")]


async def test_what_is_never_taken_is_listed(floor: Dispatching) -> None:
    """After the last try the event stands among the dead with its reason, and is sent again by hand."""
    crm = await endpoint(floor, retry_schedule=(1.0,))
    floor.subscribers.answers[CRM] = status(400)
    async with floor.worker():
        await floor.rows(1)
        await until(lambda: len(floor.subscribers.got) == 1)
        await floor.settled()
        await floor.pass_time(1)
        await until(lambda: len(floor.subscribers.got) == 2)
        await floor.settled()
        books = await floor.rig.books()
        assert [(e, ref.attempt, why) for e, ref, why in books.dead] == [(crm.id, 2, "schedule_used_up")]
        floor.subscribers.answers[CRM] = OK
        await Undelivered(floor.rig.redis).resend(UK, crm.id, books.dead[0][1]._replace(attempt=1))
        floor.wake()
        await floor.all_ended()
    assert len(set(floor.subscribers.ids(CRM))) == 1


async def test_410_disables(floor: Dispatching) -> None:
    """The endpoint gets nothing more; what came and what comes is kept, and sent when it is enabled (goal G26)."""
    crm = await endpoint(floor, max_in_flight=1)
    floor.subscribers.answers[CRM] = status(410)
    async with floor.worker():
        await floor.rows(3)
        await until(lambda: is_disabled(floor, crm))
        await floor.changed()
        await floor.rows(2)
        await floor.settled()
        await floor.pass_time(3600)
        await floor.settled()
        assert len(floor.subscribers.got) == 1
        assert await floor.left() == 5
        floor.subscribers.answers[CRM] = OK
        await floor.change(crm, disabled=False, disabled_reason=None)
        await floor.all_ended()
    assert sorted(floor.subscribers.rows(CRM)[1:]) == [1, 2, 3, 4, 5]
    assert (await floor.attempts(crm))[0] == (1, 410, "disabled")


async def is_disabled(floor: Dispatching, endpoint: Endpoint) -> bool:
    return (await floor.rig.endpoints.get(endpoint.app_id, endpoint.id)).disabled


async def test_410_is_heard_again_if_disabling_failed(floor: Dispatching) -> None:
    """A store that was away when the endpoint should have been disabled leaves no lane parked for good."""
    crm = await endpoint(floor, max_in_flight=1)
    floor.subscribers.answers[CRM] = status(410)
    async with floor.worker() as worker:

        async def fails(_endpoint: Endpoint, _reason: str) -> None:
            raise StoreUnavailable("away")

        right, worker.dispatcher._disable = worker.dispatcher._disable, fails
        await floor.rows(1)
        await until(lambda: len(floor.subscribers.got) == 1)
        await floor.settled()
        worker.dispatcher._disable = right
        await floor.pass_time(61)
        await until(lambda: is_disabled(floor, crm))


async def test_a_retry_after_pauses_the_lane(floor: Dispatching) -> None:
    """Nothing is sent to a receiver that asked for a pause, until then; nothing is lost, and no try used up twice."""
    await endpoint(floor, max_in_flight=1)
    floor.subscribers.answers[CRM] = status(429, retry_after="40")
    async with floor.worker():
        await floor.rows(5)
        await until(lambda: len(floor.subscribers.got) == 1)
        await floor.settled()
        floor.subscribers.answers[CRM] = OK
        await floor.pass_time(39)
        await asyncio.sleep(0.05)
        assert len(floor.subscribers.got) == 1
        await floor.pass_time(1.1)
        await floor.all_ended()
    assert sorted(floor.subscribers.rows(CRM)[1:]) == [1, 2, 3, 4, 5]


async def test_the_breaker_opens_probes_and_closes(floor: Dispatching) -> None:
    """A receiver that is down gets one probe at a time; when it is well everything is sent (goal G22)."""
    crm = await endpoint(floor, max_in_flight=1)
    floor.subscribers.answers[CRM] = status(500)
    async with floor.worker():
        await floor.rows(40)
        await until(lambda: len(floor.subscribers.got) == 5)
        await floor.settled()
        assert (await floor.rig.books()).lanes == {crm.id: "p"}
        for probes in range(1, 5):
            await floor.pass_time(31)
            await until(lambda probes=probes: len(floor.subscribers.got) == 5 + probes)
            await floor.settled()
        assert floor.subscribers.most_in_flight[CRM] == 1
        floor.subscribers.answers[CRM] = OK
        for _ in range(3):
            await floor.pass_time(31)
        await floor.all_ended()
    assert set(floor.subscribers.rows(CRM)) == set(range(1, 41))
    tries = [number for number, _, _ in await floor.attempts(crm)]
    assert max(tries) == 2


async def test_a_refusal_of_one_event_stops_no_other(floor: Dispatching) -> None:
    """A receiver that works and does not want some events gets the rest (breaker closed)."""
    await endpoint(floor)
    floor.subscribers.answers[CRM] = lambda got: status(422 if got.row_id % 2 else 204)(got)  # type: ignore[return-value]
    async with floor.worker():
        await floor.rows(60)
        await until(lambda: len(floor.subscribers.got) == 60)
        await floor.settled()
        assert len((await floor.rig.books()).due) == 30


async def test_a_fault_of_ours_uses_no_try(floor: Dispatching) -> None:
    """When this machine has run out of sockets the event waits, untried and unblamed."""
    crm = await endpoint(floor)

    def out_of_sockets(_got: Got) -> httpx.Response:
        raise EgressError(Failure.LOCAL, "out of sockets")

    floor.subscribers.answers[CRM] = out_of_sockets
    async with floor.worker():
        await floor.rows(1)
        await until(lambda: len(floor.subscribers.got) == 1)
        await floor.settled()
        assert await floor.rig.lanes.retrying(UK) == 0
        floor.subscribers.answers[CRM] = OK
        await floor.pass_time(5.1)
        await floor.all_ended()
    assert [number for number, _, _ in await floor.attempts(crm)] == [1, 1]


@pytest.mark.parametrize("field", ["disabled", "paused"])
async def test_an_endpoint_that_is_switched_off_keeps_what_comes(floor: Dispatching, field: str) -> None:
    """Disabled or paused it gets nothing, and afterwards everything, oldest first."""
    crm = await endpoint(floor, max_in_flight=1, **{field: True})
    async with floor.worker():
        await floor.rows(20)
        await floor.settled()
        assert floor.subscribers.got == []
        await floor.change(crm, **{field: False})
        await floor.all_ended()
    assert floor.subscribers.rows(CRM) == list(range(1, 21))


async def test_switching_off_stops_at_once(floor: Dispatching) -> None:
    """What is in flight ends, what waits in the worker is handed back, and nothing is lost."""
    crm = await endpoint(floor, max_in_flight=4)
    gate = asyncio.Event()

    async def slow(got: Got) -> httpx.Response:
        await gate.wait()
        return OK(got)  # type: ignore[return-value]

    floor.subscribers.answers[CRM] = slow
    async with floor.worker():
        await floor.rows(50)
        await until(lambda: len(floor.subscribers.got) == 4)
        await floor.change(crm, disabled=True)
        gate.set()
        await floor.settled()
        assert len(floor.subscribers.got) == 4
        assert await floor.left() == 46
        await floor.change(crm, disabled=False)
        await floor.all_ended()
    assert sorted(floor.subscribers.rows(CRM)) == list(range(1, 51))


async def test_off_and_on_again_in_a_moment_is_on(floor: Dispatching) -> None:
    """However the notices of both changes fall together with the lane's parking, it goes on."""
    crm = await endpoint(floor, max_in_flight=2)
    async with floor.worker() as worker:
        for _ in range(20):
            await floor.rows(5)
            await floor.rig.change(crm, disabled=True)
            await worker.catalogue.refresh()
            await asyncio.sleep(0)
            await floor.rig.change(crm, disabled=False)
            await floor.changed()
            await floor.all_ended()
    assert sorted(floor.subscribers.rows(CRM)) == list(range(1, 101))


async def test_a_worker_that_missed_the_enabling_looks_again(floor: Dispatching) -> None:
    """A lane that was parked for an endpoint that is on by now is taken up, though nobody told the worker."""
    crm = await endpoint(floor)
    await floor.rig.change(crm, disabled=True)
    async with floor.worker() as worker:
        await floor.rows(3)
        await floor.settled()
        refresh, worker.catalogue.refresh = worker.catalogue.refresh, nothing  # type: ignore[method-assign]
        await floor.rig.change(crm, disabled=False)
        worker.catalogue.refresh = refresh  # type: ignore[method-assign]
        # What the tick finds out each second.
        assert await worker.catalogue.is_stale()
        await floor.changed()
        await floor.all_ended()


async def nothing() -> set[str]:
    return set()


async def test_a_worker_that_does_not_know_an_endpoint_asks(floor: Dispatching) -> None:
    """A lane of an endpoint that was made a moment ago is not given up."""
    async with floor.worker() as worker:
        await floor.rig.endpoint(url=f"https://{CRM}/hook")
        assert worker.catalogue.version < floor.rig.catalogue.version
        await floor.rows(3)
        await floor.all_ended()
    assert sorted(floor.subscribers.rows(CRM)) == [1, 2, 3]


async def test_a_deleted_endpoint_gets_nothing_more(floor: Dispatching) -> None:
    """Its lane goes with all that was in it, and its worker hears of it."""
    crm = await endpoint(floor, max_in_flight=1)
    await endpoint(floor, ERP)
    gate = asyncio.Event()

    async def slow(got: Got) -> httpx.Response:
        await gate.wait()
        return OK(got)  # type: ignore[return-value]

    floor.subscribers.answers[CRM] = slow
    async with floor.worker():
        await floor.rows(30)
        await until(lambda: floor.subscribers.in_flight[CRM] == 1)
        await floor.rig.endpoints.delete(crm.app_id, crm.id)
        await floor.changed()
        gate.set()
        assert await floor.rig.deleting().run(within_s=PATIENCE_S)
        await floor.all_ended()
    assert len(floor.subscribers.rows(CRM)) == 1
    assert sorted(floor.subscribers.rows(ERP)) == list(range(1, 31))


async def test_a_deleted_source_sends_nothing_more(floor: Dispatching) -> None:
    """What waits in the worker is dropped with the source."""
    await endpoint(floor, max_in_flight=1)
    gate = asyncio.Event()

    async def slow(got: Got) -> httpx.Response:
        await gate.wait()
        return OK(got)  # type: ignore[return-value]

    floor.subscribers.answers[CRM] = slow
    async with floor.worker():
        await floor.rows(30)
        await until(lambda: floor.subscribers.in_flight[CRM] == 1)
        await floor.rig.sources.delete(UK)
        await floor.changed()
        gate.set()
        await until(lambda: floor.subscribers.in_flight[CRM] == 0)
        await asyncio.sleep(0.05)
    assert len(floor.subscribers.got) == 1


async def test_a_new_url_is_used_for_what_waits(floor: Dispatching) -> None:
    """A retry goes to where the endpoint is now."""
    crm = await endpoint(floor)
    floor.subscribers.answers[CRM] = status(500)
    async with floor.worker():
        await floor.rows(3)
        await until(lambda: len(floor.subscribers.got) == 3)
        await floor.settled()
        await floor.change(crm, url=f"https://{ERP}/hook")
        await floor.pass_time(10)
        await floor.all_ended()
    assert sorted(floor.subscribers.rows(ERP)) == [1, 2, 3]


async def test_a_new_maximum_applies_at_once(floor: Dispatching) -> None:
    """Also to a lane that is held."""
    crm = await endpoint(floor, max_in_flight=1)
    gate = asyncio.Event()

    async def slow(got: Got) -> httpx.Response:
        await gate.wait()
        return OK(got)  # type: ignore[return-value]

    floor.subscribers.answers[CRM] = slow
    async with floor.worker():
        await floor.rows(30)
        await until(lambda: floor.subscribers.in_flight[CRM] == 1)
        await floor.change(crm, max_in_flight=8)
        gate.set()
        await floor.all_ended()
    assert 1 < floor.subscribers.most_in_flight[CRM] <= 8


async def test_one_that_never_answers_delays_nobody(floor: Dispatching) -> None:
    """Promise 4: the others get everything while it hangs."""
    await endpoint(floor, CRM)
    await endpoint(floor, ERP)

    async def hangs(got: Got) -> httpx.Response:
        await asyncio.Event().wait()
        return OK(got)  # type: ignore[return-value]

    floor.subscribers.answers[CRM] = hangs
    async with floor.worker() as worker:
        await floor.rows(200)
        await until(lambda: len(floor.subscribers.rows(ERP)) == 200)
        assert len(floor.subscribers.rows(CRM)) <= 64
        await worker.dies()


async def test_draining_hands_everything_back(floor: Dispatching) -> None:
    """What is in flight ends, what waits goes back, nothing is sent twice, and nobody holds a lane (goal G27)."""
    for host in (CRM, ERP):
        await endpoint(floor, host, max_in_flight=2)
    async with floor.worker() as worker:
        await floor.rows(100)
        await until(lambda: len(floor.subscribers.got) >= 20)
        await worker.dispatcher.drain(PATIENCE_S)
        books = await floor.rig.books()
        assert set(books.lanes.values()) == {"r"}
        assert books.flying == {}
        sent = len(floor.subscribers.got)
    assert await floor.left() == 200 - sent
    async with floor.worker():
        await floor.all_ended()
    for host in (CRM, ERP):
        assert sorted(floor.subscribers.rows(host)) == list(range(1, 101))


async def test_draining_while_an_answer_is_on_its_way(floor: Dispatching) -> None:
    """What an exchange brings after the draining began is handed back too."""
    await endpoint(floor)
    draining: list[asyncio.Task[None]] = []
    async with floor.worker() as worker:

        async def drain() -> None:
            draining.append(asyncio.create_task(worker.dispatcher.drain(PATIENCE_S)))
            await asyncio.sleep(0.02)

        await until(lambda: UK in worker.dispatcher._exchanges)
        floor.rig.redis.faults.interrupt(0, drain, only="exchange")
        await floor.rows(100)
        await until(lambda: bool(draining))
        await draining[0]
        books = await floor.rig.books()
        assert (set(books.lanes.values()), books.flying) == ({"r"}, {})
        assert await floor.left() == 100 - len(floor.subscribers.got)


async def test_who_does_not_end_in_time_is_sent_again(floor: Dispatching) -> None:
    """A callback that outlasts the draining is given up, and somebody else sends it again."""
    await endpoint(floor, max_in_flight=3)

    async def hangs(got: Got) -> httpx.Response:
        await asyncio.Event().wait()
        return OK(got)  # type: ignore[return-value]

    floor.subscribers.answers[CRM] = hangs
    async with floor.worker() as worker:
        await floor.rows(10)
        await until(lambda: floor.subscribers.in_flight[CRM] == 3)
        await worker.dispatcher.drain(0.05)
        assert (await floor.rig.books()).flying == {}
    floor.subscribers.answers[CRM] = OK
    async with floor.worker():
        await floor.all_ended()
    assert sorted(floor.subscribers.rows(CRM)[3:]) == list(range(1, 11))


async def test_two_workers_share_the_lanes(floor: Dispatching) -> None:
    """Each event goes out once, whoever sends it."""
    hosts = [f"crm{n}.example.com" for n in range(12)]
    for host in hosts:
        await endpoint(floor, host)
    async with floor.worker(), floor.worker():
        for _ in range(4):
            await floor.rows(25)
            await asyncio.sleep(0.01)
        await floor.all_ended()
    for host in hosts:
        assert sorted(floor.subscribers.rows(host)) == list(range(1, 101))


async def test_a_busy_worker_gives_a_lane_to_one_that_has_room(floor: Dispatching) -> None:
    """Which then sends what comes. The busy one takes rows in too: it claims nothing, and nothing is sent twice."""
    await endpoint(floor)
    gate = asyncio.Event()
    holders: list[tuple[int, int]] = []

    async def wait(_: Got) -> httpx.Response:
        await gate.wait()
        return httpx.Response(204)

    floor.subscribers.answers[CRM] = wait
    async with floor.worker() as busy:
        await floor.rows(200)
        await until(lambda: len(floor.subscribers.got) > 1)
        async with floor.worker() as other:

            def note(_: Got) -> httpx.Response:
                holders.append((busy.dispatcher._core.held(), other.dispatcher._core.held()))
                return httpx.Response(204)

            busy.dispatcher.sharing.measured(1.0, takes_rows_in=True)
            busy.dispatcher.has_room(busy.name)
            assert busy.dispatcher.sharing.claims(floor.rig.clock.at_ms)
            busy.dispatcher.has_room(other.name)
            gate.set()
            await until(lambda: busy.dispatcher._core.held() == 0)
            floor.subscribers.answers[CRM] = note
            floor.wake()
            await floor.all_ended()
            await floor.rows(5)
            await floor.all_ended()
    assert set(holders) == {(0, 1)}
    assert sorted(each.row_id for each in floor.subscribers.got) == list(range(1, 206))


async def test_a_dead_workers_lanes_are_taken_over(floor: Dispatching) -> None:
    """Everything arrives; twice only what was in flight, and under the same id (goals G1, G3)."""
    await endpoint(floor, max_in_flight=4)
    gate = asyncio.Event()

    async def slow(got: Got) -> httpx.Response:
        if got.row_id > 30:
            await gate.wait()
        return OK(got)  # type: ignore[return-value]

    floor.subscribers.answers[CRM] = slow
    async with floor.worker() as worker:
        await floor.rows(100)
        await until(lambda: floor.subscribers.in_flight[CRM] == 4)
        await worker.dies()
        await floor.rig.eyes.zadd(keys.sessions(UK), {worker.name: 0})
    gate.set()
    async with floor.worker():
        await floor.pass_time(0)
        await floor.all_ended()
    got = floor.subscribers.ids(CRM)
    assert len(set(got)) == 100
    # Also what was delivered and not yet handed in.
    assert len(got) - 100 <= 40


async def test_a_worker_that_slept_goes_on(floor: Dispatching) -> None:
    """Its lanes were taken from it: what it remembers counts no more, and the books stay right."""
    await endpoint(floor, max_in_flight=2)
    gate = asyncio.Event()

    async def slow(got: Got) -> httpx.Response:
        if got.row_id > 10:
            await gate.wait()
        return OK(got)  # type: ignore[return-value]

    floor.subscribers.answers[CRM] = slow
    async with floor.worker() as sleeper:
        await floor.rows(60)
        await until(lambda: floor.subscribers.in_flight[CRM] == 2)
        await floor.rig.eyes.zadd(keys.sessions(UK), {sleeper.name: 0})
        await floor.pass_time(0)
        gate.set()
        await floor.all_ended()
    assert set(floor.subscribers.rows(CRM)) == set(range(1, 61))


@pytest.mark.parametrize("takes_effect", [False, True])
async def test_a_broken_connection_costs_nothing(floor: Dispatching, takes_effect: bool) -> None:
    """Whichever command fails, before or after it took effect: everything arrives, and arrives once."""
    await endpoint(floor, max_in_flight=3)
    faults = floor.rig.redis.faults
    async with floor.worker():
        for commands in range(12):
            before = len(floor.subscribers.got)
            rows = floor.rows(20)
            faults.interrupt(0, nothing, only="commit_page")
            await rows
            faults.after(commands, takes_effect=takes_effect)
            await until(lambda before=before: len(floor.subscribers.got) == before + 20)
            faults.stop()
            await floor.all_ended()
    assert sorted(floor.subscribers.rows(CRM)) == list(range(1, 241))


async def test_a_refusal_ends_no_worker(floor: Dispatching, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that refuses a script is told of, and asked again until somebody has mended it: nothing is lost."""
    monkeypatch.setattr(exchanging, "REFUSED_RETRY_S", 0.05)
    await endpoint(floor)
    async with floor.worker() as worker:
        watching = asyncio.create_task(worker.dispatcher.watch())
        for key in (keys.due(UK), keys.turns(UK)):
            await floor.rig.eyes.rename(key, f"{key}:aside") if await floor.rig.eyes.exists(key) else None
            await floor.rig.eyes.set(key, "of another type")
            await floor.rows(5)
            await asyncio.sleep(0.7)
            assert not watching.done()
            await floor.rig.eyes.delete(key)
        await floor.all_ended()
        watching.cancel()
    assert {each.row_id for each in floor.subscribers.got} == set(range(1, 11))


async def test_killed_connections_cost_nothing(floor: Dispatching) -> None:
    """The server drops every connection again and again, in the middle of exchanges: nothing is lost or doubled."""
    for host in (CRM, ERP):
        await endpoint(floor, host, max_in_flight=4)
    async with floor.worker(), floor.worker():
        for _ in range(10):
            with suppress(StoreUnavailable):
                await floor.rows(30)
            await floor.rig.eyes.client_kill_filter(_type="normal", skipme=True)
            floor.wake()
            await asyncio.sleep(0.01)
        await floor.all_ended()
    for host in (CRM, ERP):
        rows = floor.subscribers.rows(host)
        assert len(rows) == len(set(rows)) >= 30


async def test_an_event_that_is_kept_no_more_is_listed(floor: Dispatching) -> None:
    """A reference without its event is no reason to stop: it stands among the dead, with that reason."""
    crm = await endpoint(floor)
    await floor.rows(5)
    size = await floor.rig.eyes.hstrlen(keys.events(UK, 0), "3")
    await floor.rig.eyes.hdel(keys.events(UK, 0), "3")
    await floor.rig.eyes.hincrby(keys.owed(UK), crm.id, -size)
    floor.rig.bodies = Bodies(floor.rig.events)
    async with floor.worker():
        await until(lambda: len(floor.subscribers.got) == 4)
        await floor.settled()
    dead = (await floor.rig.books()).dead
    assert [(e, ref.number, why) for e, ref, why in dead] == [(crm.id, 3, "event_not_kept")]


async def test_fifo_keeps_the_order(floor: Dispatching) -> None:
    """One at a time, and nothing passes an event that must be tried again."""
    await endpoint(floor, order="fifo")
    failures = iter([500, 204, 500, 500, 204])

    def sometimes(got: Got) -> httpx.Response:
        return status(next(failures, 204))(got)  # type: ignore[return-value]

    floor.subscribers.answers[CRM] = sometimes
    async with floor.worker(schedule=(1.0, 1.0, 1.0)):
        await floor.rows(20)
        for _ in range(4):
            await floor.settled()
            await floor.pass_time(1.2)
        await floor.all_ended()
    assert floor.subscribers.most_in_flight[CRM] == 1
    assert floor.subscribers.rows(CRM) == [1, 1, 2, 2, 2, *range(3, 21)]


async def test_a_key_keeps_its_order(floor: Dispatching) -> None:
    """Events of one visitor come in order, whatever fails; those of others do not wait for them."""
    await endpoint(floor, order="keyed", order_key="visitorId")
    failed: set[int] = set()

    def fails_once(got: Got) -> httpx.Response:
        if got.row_id in (1, 4, 9) and got.row_id not in failed:
            failed.add(got.row_id)
            return status(400)(got)  # type: ignore[return-value]
        return OK(got)  # type: ignore[return-value]

    floor.subscribers.answers[CRM] = fails_once
    async with floor.worker(schedule=(1.0, 1.0, 1.0)):
        for _ in range(6):
            await floor.rows(1, visitorId="a")
            await floor.rows(1, visitorId="b")
            await floor.rows(1, visitorId="c")
        for _ in range(6):
            await floor.settled()
            await floor.pass_time(1.2)
        await floor.all_ended()
    for visitor in range(3):
        order = [row for row in floor.subscribers.rows(CRM) if (row - 1) % 3 == visitor]
        assert list(dict.fromkeys(order)) == sorted(set(order)) == list(range(visitor + 1, 19, 3))
    assert floor.subscribers.rows(CRM).index(17) < floor.subscribers.rows(CRM).index(13)


async def test_a_rate_limit_is_kept(floor: Dispatching) -> None:
    """Over all workers no more callbacks a second go out than the endpoint allows."""
    await endpoint(floor, rate_limit=100)
    loop = asyncio.get_running_loop()
    async with floor.worker(), floor.worker():
        began = loop.time()
        await floor.rows(50)
        async with floor.time_passing():
            await floor.all_ended()
        took = loop.time() - began
    assert took >= (50 - 10) / 100 - 0.02
    assert sorted(floor.subscribers.rows(CRM)) == list(range(1, 51))


async def test_suspects_are_tried_one_at_a_time(floor: Dispatching) -> None:
    """What was in flight when workers died is tried alone, beside the others and not before them (goal G10)."""
    crm, erp = await endpoint(floor, CRM), await endpoint(floor, ERP)
    await floor.rows(10)
    for _ in range(2):
        await floor.worker_dies_with_everything()
    waiting = (await floor.rig.books()).waiting
    assert {ref.crashes for refs in (waiting[crm.id], waiting[erp.id]) for ref in refs} == {2}
    await floor.rows(10)
    alone = Alone()
    floor.subscribers.answers[CRM] = floor.subscribers.answers[ERP] = alone
    async with floor.worker():
        await floor.all_ended()
    for host in (CRM, ERP):
        assert sorted(floor.subscribers.rows(host)) == list(range(1, 21))
    assert alone.most == 1


class Alone:
    """Counts the suspects, rows 1 to 10, that are in flight at once."""

    def __init__(self) -> None:
        self.now = self.most = 0

    async def __call__(self, got: Got) -> httpx.Response:
        suspect = got.row_id <= 10
        self.now += suspect
        self.most = max(self.most, self.now)
        await asyncio.sleep(0.001)
        self.now -= suspect
        return OK(got)  # type: ignore[return-value]
