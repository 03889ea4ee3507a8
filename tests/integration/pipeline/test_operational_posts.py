"""Operational events become posts of the operator's application: each once, in order, none about its own endpoints."""

import asyncio
from collections import deque
from functools import partial
from typing import Any

import msgspec
import pytest
from jsonschema_rs import Draft202012Validator

from relay.domain.event_schemas import schema_of
from relay.domain.identity import id_of_attempt
from relay.domain.model import Application, Endpoint, MessageId, SigningKey, StoredEvent
from relay.domain.operational import ABOUT_ATTEMPTS, EXHAUSTED, OPERATIONAL, operational_application
from relay.domain.streams import posts_of
from relay.pipeline import operational_posts as module
from relay.pipeline.disabling import Disabling
from relay.pipeline.dispatch.sweeping import Sweeping
from relay.pipeline.operational_posts import OperationalPosts
from relay.pipeline.operational_subscriptions import OperationalSubscriptions
from relay.pipeline.posting import Posting
from relay.pipeline.pressure import FULL, MEMORY
from relay.store import keys, outbox_keys
from relay.store.attempts import Attempts
from relay.store.chores import Chores
from relay.store.events import Events
from relay.store.operations import Operations
from relay.store.outboxes import Outboxes
from relay.store.posts import Posts
from tests.fakes.subscribers import Got, status
from tests.integration.pipeline.dispatching_rig import Dispatching
from tests.integration.pipeline.rig import SECRET, UK, Rig, until


class DiesError(Exception):
    """The process ends here."""


class DyingOperations(Operations):
    """A process that ends after the append, before it writes the place down."""

    async def set_posted(self, position: str) -> None:
        raise DiesError


class DyingOutboxes(Outboxes):
    """A process that ends after the append, before it removes the entry."""

    async def remove(self, stream: Any, position: str) -> None:
        raise DiesError


def mover(rig: Rig, *, operations: Operations | None = None, outboxes: Outboxes | None = None) -> OperationalPosts:
    """What a worker has of it."""
    log, subscriptions = operations or rig.operations, OperationalSubscriptions(rig.configuration, rig.endpoints)
    posting = Posting(
        posts=Posts(rig.redis), applications=rig.applications, catalogue=subscriptions, operations=log, clock=rig.clock
    )
    return OperationalPosts(
        operations=log,
        outboxes=outboxes or Outboxes(rig.redis),
        applications=rig.applications,
        endpoints=rig.endpoints,
        events=Events(rig.redis),
        subscriptions=subscriptions,
        posting=posting,
        chores=Chores(rig.redis),
    )


async def move(rig: Rig, worker: OperationalPosts | None = None) -> bool:
    """One round, as if no other worker had the chore."""
    await rig.eyes.delete(keys.upkeep("outboxes"))
    await rig.catalogue.refresh()
    return await (worker or mover(rig)).round(sorted(rig.catalogue.streams))


async def listener(rig: Rig, **fields: Any) -> Endpoint:
    """An operational endpoint, created as the API does it."""
    await rig.applications.operational(operational_application())
    await rig.operations.pass_over(OPERATIONAL)
    values = {"url": "https://ops.example.com/hook", "keys": (SigningKey(key=SECRET),)} | fields
    return await rig.endpoints.create(lambda i: Endpoint(id=i, app_id=OPERATIONAL, **values), now_ms=0)


async def posts(rig: Rig) -> list[StoredEvent]:
    """All posts of the operator's application, oldest first; each fits the schema of its type."""
    found = await Events(rig.eyes).read(posts_of(OPERATIONAL), range(1, 100))
    for event in found.values():
        assert event.post is not None
        faults = Draft202012Validator(schema_of(event.post.event_type)).iter_errors(msgspec.json.decode(event.body))
        assert not list(faults), event
    return [found[number] for number in sorted(found)]


async def types(rig: Rig) -> list[str]:
    """Their types."""
    return [event.post.event_type for event in await posts(rig) if event.post]


async def waiting(rig: Rig, endpoint: Endpoint) -> int:
    """How many callbacks wait for an operational endpoint."""
    return int(await rig.eyes.llen(keys.lane(posts_of(OPERATIONAL), endpoint.id)))  # type: ignore[misc]


async def clocks(rig: Rig, count: int) -> None:
    """So many events are noted."""
    for number in range(count):
        await rig.operations.note("clock.off", {"node": "n", "skewSeconds": number}, now_ms=rig.clock.at_ms)


async def test_a_disabled_endpoint_is_a_callback_for_the_operator(rig: Rig) -> None:
    """In Svix's shape, under the log entry's position as its eventId."""
    own = await listener(rig)
    customer = await rig.application(uid="crm")
    gone = await rig.endpoint(customer, uid="all")
    await Disabling(rig.endpoints, rig.clock)(gone, "410")
    await move(rig)
    event = next(each for each in await posts(rig) if each.post and each.post.event_type == "endpoint.disabled")
    (entry,) = await rig.operations.page(limit=9)
    assert event.post is not None
    assert event.post.event_id == entry.position
    assert msgspec.json.decode(event.body)["data"] == {
        "appId": customer.id,
        "appUid": "crm",
        "endpointId": gone.id,
        "endpointUid": "all",
        "failSince": None,
        "trigger": "automatic",
        "reason": "410",
    }
    assert await waiting(rig, own) == len(await posts(rig)) == 2


async def test_what_was_noted_before_the_first_endpoint_is_not_sent(rig: Rig) -> None:
    """A second one passes over nothing; after all were deleted, the next one begins anew."""
    await clocks(rig, 2)
    first = await listener(rig)
    await clocks(rig, 1)
    second = await listener(rig)
    await move(rig)
    assert await waiting(rig, first) == await waiting(rig, second) == 1
    for each in (first, second):
        await rig.endpoints.delete(OPERATIONAL, each.id)
    await clocks(rig, 3)
    third = await listener(rig)
    await clocks(rig, 1)
    await move(rig)
    assert await waiting(rig, third) == 1


async def test_changes_of_endpoints_are_sent_in_svix_shape(rig: Rig) -> None:
    """Created, updated, disabled by hand, enabled, deleted. They are not in the log, which has what the relay did."""
    customer = await rig.application(uid="crm")
    await rig.endpoint(customer, uid="before")
    own = await listener(rig, event_types=("endpoint.created", "endpoint.disabled"))
    made = await rig.endpoint(customer, uid="all")
    await rig.change(made, description="new")
    await rig.change(made, disabled=True, disabled_reason="disabled through the API")
    await rig.change(made, disabled=False)
    await rig.endpoints.delete(customer.id, made.id)
    await move(rig)
    assert await types(rig) == [
        "endpoint.created",
        "endpoint.updated",
        "endpoint.updated",
        "endpoint.disabled",
        "endpoint.updated",
        "endpoint.enabled",
        "endpoint.deleted",
    ]
    ids = {"appId": customer.id, "appUid": "crm", "endpointId": made.id, "endpointUid": "all"}
    told = [msgspec.json.decode(each.body)["data"] for each in await posts(rig)]
    assert told[0] == told[-1] == ids
    assert told[3] == {**ids, "failSince": None, "trigger": "manual", "reason": "disabled through the API"}
    assert await waiting(rig, own) == 2
    assert await rig.operations.page(limit=9) == []


async def test_without_operational_endpoints_nothing_is_kept_for_them(rig: Rig) -> None:
    """No outbox is written, whatever happens."""
    await rig.endpoint()
    assert not await rig.eyes.exists(outbox_keys.OUTBOX)


@pytest.mark.parametrize("dies", ["log", "outbox"])
async def test_a_crash_after_the_append_repeats_nothing(rig: Rig, dies: str) -> None:
    """The next round finds the post by its id, and goes on."""
    own = await listener(rig)
    await clocks(rig, 2)
    await rig.endpoint()
    dying = mover(
        rig,
        operations=DyingOperations(rig.redis) if dies == "log" else None,
        outboxes=DyingOutboxes(rig.redis) if dies == "outbox" else None,
    )
    with pytest.raises(DiesError):
        await move(rig, dying)
    assert await waiting(rig, own) == (1 if dies == "log" else 3)
    await move(rig)
    assert await types(rig) == ["clock.off", "clock.off", "endpoint.created"]
    assert await waiting(rig, own) == 3
    await move(rig)
    assert await waiting(rig, own) == 3
    assert await rig.eyes.xlen(outbox_keys.OUTBOX) == 0


async def test_two_workers_at_once_post_each_event_once(rig: Rig) -> None:
    own = await listener(rig)
    await clocks(rig, 9)
    await rig.endpoint()
    await asyncio.gather(mover(rig).round([]), mover(rig).round([]))
    assert len(await posts(rig)) == await waiting(rig, own) == 10


async def test_events_about_operational_endpoints_are_not_sent(rig: Rig) -> None:
    """They stay in the log. Otherwise each callback that fails could cause the next."""
    own = await listener(rig)
    other = await listener(rig)
    await rig.endpoints.change(OPERATIONAL, other.id, lambda e: msgspec.structs.replace(e, description="new"))
    await Disabling(rig.endpoints, rig.clock)(other, "410")
    data = {"endpointId": own.id, "givenUp": 0, "waiting": 1, "tooOld": 0, "bytes": 9}
    await rig.operations.note("endpoint.backlog_dropped", data, now_ms=1)
    await rig.endpoints.delete(OPERATIONAL, other.id)
    await move(rig)
    assert await posts(rig) == []
    assert [each.kind for each in await rig.operations.page(limit=9)] == [
        "endpoint.backlog_dropped",
        "endpoint.disabled",
    ]


async def test_a_full_store_is_reported_and_other_events_wait(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log goes on. Outboxes wait for room, and a long log takes more than one round."""
    monkeypatch.setattr(module, "AT_ONCE", 2)
    await listener(rig)
    await rig.endpoint()
    await rig.operations.note("store.full", {"usedBytes": 1, "maxBytes": 1}, now_ms=1, condition=(MEMORY, FULL))
    await clocks(rig, 1)
    assert await move(rig)
    assert await types(rig) == ["store.full", "clock.off"]
    await rig.operations.note("store.recovered", {"usedBytes": 0, "maxBytes": 1}, now_ms=2, condition=(MEMORY, "well"))
    assert not await move(rig)
    assert await types(rig) == ["store.full", "clock.off", "store.recovered", "endpoint.created"]


async def attempts_reported(rig: Rig, statuses: list[int]) -> tuple[Endpoint, list[dict[str, Any]]]:
    """What is posted of a row whose attempts are answered so; the schedule has five. Gives the endpoint, too."""
    await rig.source()
    await listener(rig, event_types=tuple(ABOUT_ATTEMPTS))
    floor, left = Dispatching(rig), deque(statuses)
    crm = await rig.endpoint(await rig.application(uid="crm"), url="https://crm.example.com/hook")

    def answer(got: Got) -> Any:
        return status(left.popleft())(got)

    floor.subscribers.answers["crm.example.com"] = answer
    async with floor.worker(schedule=(1.0,) * 4):
        await floor.rows(1)
        for number in range(1, len(statuses) + 1):
            await until(partial(_made, rig, crm, number), within_s=15)
            await floor.settled()
            await floor.pass_time(60)
    await move(rig)
    return crm, [msgspec.json.decode(each.body) for each in await posts(rig) if each.post]


async def _made(rig: Rig, endpoint: Endpoint, number: int) -> bool:
    return len(await Attempts(rig.eyes).of_endpoint(UK, endpoint.id, limit=99)) >= number


async def test_a_message_that_fails_and_recovers_is_reported(rig: Rig) -> None:
    """Once at its fourth failure, and once when it is delivered after that."""
    crm, told = await attempts_reported(rig, [400, 400, 400, 400, 204])
    failing, recovered = (each for each in told if each["type"].startswith("message."))
    assert (failing["type"], recovered["type"]) == ("message.attempt.failing", "message.attempt.recovered")
    data = failing["data"]
    assert (data["appId"], data["appUid"], data["endpointId"]) == (crm.app_id, "crm", crm.id)
    assert (data["msgEventId"], data["lastAttempt"]["responseStatusCode"]) == (None, 400)
    assert data["msgId"] == recovered["data"]["msgId"]
    assert recovered["data"]["lastAttempt"]["responseStatusCode"] == 204
    (_, attempt), *_ = await Attempts(rig.eyes).of_endpoint(UK, crm.id, limit=1)
    assert attempt is not None
    assert recovered["data"]["lastAttempt"]["id"] == id_of_attempt(attempt, MessageId(data["msgId"]))


async def test_a_message_that_is_given_up_is_reported(rig: Rig) -> None:
    """After its last attempt. One that is delivered before the fourth failure is not reported."""
    _, told = await attempts_reported(rig, [400] * 5)
    assert [each["type"] for each in told][-2:] == ["message.attempt.failing", "message.attempt.exhausted"]


async def test_a_message_that_is_delivered_early_is_not_reported(rig: Rig) -> None:
    _, told = await attempts_reported(rig, [400, 400, 400, 204])
    assert [each["type"] for each in told if each["type"].startswith("message.")] == []


@pytest.mark.parametrize("wanted", [True, False])
async def test_a_delivery_that_is_poison_is_reported(rig: Rig, wanted: bool) -> None:
    """Without an attempt: the five workers that sent it died. The sweep that gives it up writes the report."""
    await rig.source()
    await listener(rig, event_types=(EXHAUSTED,) if wanted else ("endpoint.disabled",))
    crm = await rig.endpoint(await rig.application(uid="crm"), url="https://crm.example.com/hook")
    await Dispatching(rig).rows(1)
    (stored,) = await rig.eyes.lrange(keys.lane(UK, crm.id), 0, -1)  # type: ignore[misc]
    await rig.eyes.delete(keys.lane(UK, crm.id))
    await rig.eyes.sadd(keys.flight(UK, crm.id), stored + b":1:4")  # type: ignore[misc]
    await rig.eyes.sadd(keys.tried(UK, "w"), f"{crm.id} ".encode() + stored + b":1:4")  # type: ignore[misc]
    await rig.eyes.hset(keys.lanes(UK), crm.id, "w")  # type: ignore[misc]
    await rig.eyes.zadd(keys.sessions(UK), {"w": 0})
    await rig.catalogue.refresh()
    sweep = await Sweeping(rig.lanes, rig.clock, lambda: rig.catalogue.reports or ()).sweep(UK)
    assert sweep.poisoned == 1
    await move(rig)
    told = [msgspec.json.decode(each.body) for each in await posts(rig)]
    reported = [each["data"] for each in told if each["type"] == EXHAUSTED]
    assert len(reported) == wanted
    if wanted:
        (message,) = (await Events(rig.eyes).read(UK, [1])).values()
        (data,) = reported
        assert (data["appId"], data["appUid"], data["endpointId"]) == (crm.app_id, "crm", crm.id)
        assert (data["msgId"], data["lastAttempt"]["responseStatusCode"], data["reason"]) == (message.id, 0, "poison")


async def test_callbacks_for_the_operator_report_nothing(rig: Rig) -> None:
    """Otherwise an operational endpoint that fails would get more and more events about that."""
    own = await listener(rig)
    await clocks(rig, 1)
    await move(rig)
    floor = Dispatching(rig)
    floor.subscribers.answers["ops.example.com"] = status(400)
    async with floor.worker(schedule=()):
        await until(lambda: rig.eyes.zcard(keys.dead(posts_of(OPERATIONAL))), within_s=15)
    assert not await rig.eyes.exists(outbox_keys.outbox(posts_of(OPERATIONAL)))
    assert not await rig.eyes.exists(outbox_keys.OUTBOX)
    await move(rig)
    assert await types(rig) == ["clock.off"]
    assert await waiting(rig, own) == 0


async def test_an_application_that_is_gone_has_no_uid(rig: Rig) -> None:
    own = await listener(rig)
    customer: Application = await rig.application(uid="crm")
    await rig.endpoint(customer)
    await rig.applications.delete(customer.id)
    await move(rig)
    assert msgspec.json.decode((await posts(rig))[0].body)["data"]["appUid"] is None
    assert await waiting(rig, own) == 1


async def test_without_operational_endpoints_no_command_is_sent(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that has none costs the store nothing; with the first one it begins to work."""
    monkeypatch.setattr(module, "EVERY_S", 0.001)
    await rig.endpoint()
    rounds = asyncio.Event()

    class Counting(OperationalPosts):
        async def round(self, streams: Any) -> bool:
            rounds.set()
            return False

    worker = mover(rig)
    worker.__class__ = Counting
    async with rig.eyes.monitor() as monitor:
        running = asyncio.create_task(worker.run(rig.catalogue))
        for _ in range(50):
            await asyncio.sleep(0.001)
        await rig.eyes.echo("the end")
        while "the end" not in (command := await monitor.next_command())["command"]:
            assert "upkeep:operational" not in command["command"]
        assert not rounds.is_set()
    await listener(rig)
    await rig.catalogue.refresh()
    async with asyncio.timeout(15):
        await rounds.wait()
    running.cancel()
