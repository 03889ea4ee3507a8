"""Rates and places over all workers, budgets, delays, and revisions of rows that need not be sent."""

import asyncio
from collections import Counter
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from relay.domain.books import State
from relay.domain.model import Application, Endpoint
from relay.domain.rates import Budget, Rate
from relay.domain.requests.model import Lookup, RequestShape
from relay.store import keys, rate_keys
from relay.store.attempts import Attempts
from relay.store.books import Books
from relay.store.undelivered import Undelivered
from tests.fakes.subscribers import Got, status
from tests.integration.pipeline.dispatching_rig import Dispatching
from tests.integration.pipeline.rig import UK, Rig, until

DAY = 86_400


@pytest.fixture
async def floor(rig: Rig) -> Dispatching:
    await rig.source()
    return Dispatching(rig)


async def crm(floor: Dispatching, **budget: Any) -> Application:
    return await floor.rig.application(budgets={"crm": Budget(**budget)})


async def subscribed(
    floor: Dispatching, application: Application | None = None, name: str = "a", **fields: Any
) -> Endpoint:
    made = await floor.rig.endpoint(application, url=f"https://{name}.example.com/", **fields)
    await floor.changed()
    return made


def sent(floor: Dispatching) -> Counter[str]:
    return Counter(got.host for got in floor.subscribers.got)


async def test_a_budget_is_shared_and_holds_nobody_else_back(floor: Dispatching) -> None:
    """Endpoints that name it have its limit together. Their lanes are put aside, and another endpoint gets all."""
    application = await crm(floor, rates=(Rate(6, DAY),))
    for name in ("a", "b"):
        await subscribed(floor, application, name, budget="crm")
    await subscribed(floor, application, "free")
    async with floor.worker(slots=2), floor.worker(slots=2), floor.time_passing():
        await floor.rows(10)
        await until(lambda: sent(floor)["free.example.com"] == 10)
        await until(lambda: sent(floor)["a.example.com"] + sent(floor)["b.example.com"] == 6)

        async def aside() -> bool:
            states = await floor.rig.eyes.hvals(keys.lanes(UK))
            return states == [b"p", b"p"]

        await until(aside)
    assert sum(sent(floor).values()) == 16
    assert sum(map(int, await floor.rig.eyes.hvals(rate_keys.window(f"{application.id}/crm", DAY)))) == 6


async def test_concurrency_counts_all_workers(floor: Dispatching) -> None:
    """Two workers together have no more callbacks in flight than the budget has, and all of them arrive."""
    application = await crm(floor, concurrency=3)
    for name in ("a", "b"):
        await subscribed(floor, application, name, budget="crm")
    most = 0

    async def slow(_: Got) -> httpx.Response:
        nonlocal most
        most = max(most, sum(floor.subscribers.in_flight.values()))
        await asyncio.sleep(0.01)
        return httpx.Response(204)

    for name in ("a", "b"):
        floor.subscribers.answers[f"{name}.example.com"] = slow
    async with floor.worker(), floor.worker(), floor.time_passing():
        await floor.rows(30)
        await floor.all_ended()
    assert sum(sent(floor).values()) == 60
    assert most == 3


async def test_the_places_of_a_worker_that_died_come_back(floor: Dispatching, redis: Redis) -> None:
    """It held all of them when it died."""
    endpoint = await subscribed(floor, concurrency=2)
    answers = asyncio.Event()

    async def silent(_: Got) -> httpx.Response:
        await answers.wait()
        return httpx.Response(204)

    floor.subscribers.answers["a.example.com"] = silent
    async with floor.worker() as dead:
        await floor.rows(4)
        await until(lambda: sent(floor)["a.example.com"] == 2)
        await dead.dies()
    answers.set()
    held = await redis.hgetall(rate_keys.crowd(endpoint.id))  # type: ignore[misc]
    assert [value.partition(b":")[0] for value in held.values()] == [b"2"]
    # Its callbacks count until they must have ended. That would be half a minute from now.
    await redis.hset(rate_keys.crowd(endpoint.id), mapping=dict.fromkeys(held, "2:1"))  # type: ignore[misc]
    await floor.rig.eyes.zadd(keys.sessions(UK), {dead.name: 0})
    async with floor.worker(), floor.time_passing():
        await floor.pass_time(0)
        await floor.all_ended()
    assert sorted(floor.subscribers.rows("a.example.com")) == [1, 1, 2, 2, 3, 4]


async def test_an_endpoint_whose_budget_is_gone_waits(floor: Dispatching) -> None:
    """It must not send without its limits, so its events are kept until the budget is there."""
    application = await crm(floor, concurrency=1)
    endpoint = await subscribed(floor, application, budget="none")
    assert floor.rig.catalogue.unfit(endpoint.id) == "its application has no budget `none`"
    async with floor.worker() as worker, floor.time_passing():
        await floor.rows(1)
        await until(lambda: worker.dispatcher.done > 1)
        assert not sent(floor)
        await floor.change(endpoint, budget="crm")
        await floor.pass_time(61)
        await floor.all_ended()
    assert floor.subscribers.rows("a.example.com") == [1]


@pytest.mark.parametrize("order", [{"order": "unordered"}, {"order": "fifo"}, {"order": "keyed", "order_key": "act"}])
async def test_a_delay_holds_events_in_the_store(floor: Dispatching, order: dict[str, Any]) -> None:
    """No lane is held for it, they go out when they are old enough and not before, in order, and others at once."""
    await subscribed(floor, delay_s=300.0, **order)
    await subscribed(floor, name="quick")
    async with floor.worker():
        ids = await floor.rows(40)
        await until(lambda: sent(floor)["quick.example.com"] == 40)
        await floor.settled()
        await floor.pass_time(150)
        ids += await floor.rows(40)
        await until(lambda: sent(floor)["quick.example.com"] == 80)
        await floor.settled()
        await floor.pass_time(149)
        assert not floor.subscribers.rows("a.example.com")
        # What was stored in one ms is due in one ms.
        await floor.pass_time(1.001)
        await until(lambda: sent(floor)["a.example.com"] == 40)
        await floor.settled()
        await floor.pass_time(150)
        await floor.all_ended()
    got = floor.subscribers.rows("a.example.com")
    assert (got if order["order"] != "unordered" else sorted(got)) == ids


async def test_what_is_sent_by_hand_goes_at_once(floor: Dispatching) -> None:
    """The delay holds what came by itself, and nobody waits for what they asked for."""
    endpoint = await subscribed(floor, delay_s=300.0)
    async with floor.worker():
        await floor.rows(1)

        async def held() -> bool:
            return await floor.rig.lanes.retrying(UK) == 1

        await until(held)
        await floor.settled()
        books = await floor.rig.books()
        [(_, reference)] = books.due
        by_hand = reference._replace(by_hand=1, held=0)
        await Undelivered(floor.rig.redis).resend(UK, endpoint.id, by_hand)
        floor.wake()
        await until(lambda: sent(floor)["a.example.com"] == 1)
        await floor.pass_time(300)
        await floor.all_ended()


async def said(floor: Dispatching, endpoint: Endpoint) -> list[str]:
    """What attempts of an endpoint say that were not made."""
    found = await Attempts(floor.rig.eyes).of_endpoint(UK, endpoint.id, limit=100)
    return [each.error for _, each in reversed(found) if each is not None and each.verdict == "skipped"]


async def pass_by(floor: Dispatching, seconds: float) -> None:
    await floor.settled()
    await floor.pass_time(seconds)


async def states(floor: Dispatching, endpoint: Endpoint, row_id: int) -> list[State]:
    """What became of the revisions of a row, the oldest first."""
    books = Books(floor.rig.eyes)
    numbers = (await books.revisions(UK, {("t", row_id)}))["t", row_id]
    found = await books.states(UK, [(endpoint.id, number) for number in numbers])
    return [found[endpoint.id, number] for number in numbers]


async def test_only_the_newest_revision_is_sent(floor: Dispatching) -> None:
    """The older ones end when it is confirmed, and an attempt of each names it."""
    endpoint = await subscribed(floor, delay_s=100.0, newest_only=True, event_types=None)
    async with floor.worker():
        await floor.rows(2)
        await pass_by(floor, 60)
        await floor.again(1, callRating="5")
        await pass_by(floor, 60)
        await until(lambda: floor.subscribers.rows("a.example.com") == [2])
        for _ in range(5):
            await pass_by(floor, 26)
        await floor.all_ended()
    assert floor.subscribers.rows("a.example.com") == [2, 1]
    newest = floor.subscribers.got[-1]
    assert b'"callRating"' in newest.body
    assert await said(floor, endpoint) == [f"superseded: {newest.id}"]
    assert await states(floor, endpoint, 1) == [State.UNWANTED, State.CONFIRMED]


async def test_the_revision_before_is_sent_if_the_newest_is_given_up(floor: Dispatching) -> None:
    """Nothing of a row is lost because its newest revision can't be sent."""
    shape = RequestShape(transformation='data.revision = 2 ? $error("no") : $')
    endpoint = await subscribed(floor, delay_s=100.0, newest_only=True, request=shape)
    async with floor.worker():
        await floor.rows(1)
        await pass_by(floor, 60)
        await floor.again(1, callRating="5")
        for _ in range(8):
            await pass_by(floor, 26)
        await until(lambda: sent(floor)["a.example.com"] == 1)
        await floor.settled()
    assert await states(floor, endpoint, 1) == [State.CONFIRMED, State.DEAD]


async def test_a_newer_revision_that_is_not_wanted_holds_nothing_up(floor: Dispatching) -> None:
    """The endpoint's filter lets only the first one pass."""
    await subscribed(floor, delay_s=100.0, newest_only=True, filter={"act": "call"})
    async with floor.worker():
        await floor.rows(1)
        await pass_by(floor, 60)
        await floor.again(1, act="land")
        await pass_by(floor, 40)
        await floor.all_ended()
    assert sent(floor)["a.example.com"] == 1


async def test_a_row_that_changes_for_ever_is_sent_all_the_same(floor: Dispatching) -> None:
    """At the latest when its oldest revision has waited for four delays, and a bit."""
    await subscribed(floor, delay_s=100.0, newest_only=True)
    async with floor.worker():
        await floor.rows(1)
        for change in range(30):
            await pass_by(floor, 50)
            await floor.again(1, callRating=str(change))
        await floor.settled()
        got = len(floor.subscribers.rows("a.example.com"))
        # 1,500 s: once in 400 s, when the next review finds it. Without newestOnly they would be 29.
        assert 2 <= got <= 4
        for _ in range(8):
            await pass_by(floor, 26)
        await floor.all_ended()
    assert b'"29"' in floor.subscribers.got[-1].body


async def test_one_that_was_tried_ends_when_a_newer_one_was_confirmed(floor: Dispatching) -> None:
    """An older state must not follow a newer one because its first attempt failed."""
    endpoint = await subscribed(floor, delay_s=100.0, newest_only=True)
    floor.subscribers.answers["a.example.com"] = status(500)
    async with floor.worker(schedule=[150.0, 150.0]):
        await floor.rows(1)
        await pass_by(floor, 100)
        await until(lambda: sent(floor)["a.example.com"] == 1)
        await floor.again(1, callRating="5")
        await floor.settled()
        floor.subscribers.answers["a.example.com"] = status(204)
        await pass_by(floor, 101)
        await until(lambda: sent(floor)["a.example.com"] == 2)
        await pass_by(floor, 100)
        await floor.all_ended()
    assert await states(floor, endpoint, 1) == [State.UNWANTED, State.CONFIRMED]


async def test_lookups_count_in_the_budget(floor: Dispatching) -> None:
    """They are requests to the same receiver."""
    application = await crm(floor, rates=(Rate(100, DAY),))
    lookup = Lookup(key="data.rowId", url="https://a.example.com/search", result="id")
    await subscribed(floor, application, budget="crm", request=RequestShape(lookup=lookup))
    async with floor.worker(), floor.time_passing():
        await floor.rows(3)
        await floor.all_ended()
    counts = await floor.rig.eyes.hvals(rate_keys.window(f"{application.id}/crm", DAY))
    assert (sum(map(int, counts)), sent(floor)["a.example.com"]) == (6, 6)
