"""Deletions: a tombstone at once, and then nothing is left, wherever the job is cut short."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from redis.asyncio import Redis

from relay.domain.model import ApiKeyAuth, Application, EndpointId, Source, SourceUid
from relay.errors import BeingDeleted, NotFound
from relay.store import deleted_lanes, keys, rate_keys
from relay.store.deletions import Deletions
from relay.store.routes import Routes
from tests.fakes.faulty_redis import Died
from tests.integration.books import dump
from tests.integration.pipeline.rig import UK, Rig, until
from tests.patience import PATIENCE_S

US = SourceUid("us")
BUCKET = keys.EVENTS_PER_BUCKET
UIDS = [SourceUid(uid) for uid in ("config", "rates", "endpoints", "s", "uk", "uk.", "uk2", "u", "lanes", "-", "_._")]


async def make(rig: Rig, *uids: SourceUid) -> None:
    """Sources with those uids."""
    for uid in uids:
        source = Source(
            uid=uid, name=uid, base_url="https://u.test", version="v2", igrp=1, auth=ApiKeyAuth("k"), routes=("all",)
        )
        await rig.sources.put(uid, lambda _, source=source: source)  # type: ignore[misc]


async def fill(eyes: Redis, source: SourceUid, endpoint: EndpointId, *, deliveries: int = 2, held_by: str = "") -> None:
    """Put something of a source into every key that it can have, with as many deliveries in each place of a lane."""
    await Routes(eyes).take(source)
    await eyes.mset(
        {
            keys.sequence(source): 9_000, keys.subscriptions(source): 1, keys.revived(source): 3,
            f"{keys.prefix(source)}of a newer release:7": "",
        }
    )  # fmt: skip
    await eyes.hset(keys.route(source, "all"), "cursor", 1200)  # type: ignore[misc]
    await eyes.zadd(keys.trail(source, "all"), {"1200": 1})
    await eyes.zadd(keys.POLLS, {source: 1})
    for key in (keys.seen(source, "t", 12), keys.seen(source, "i", 10**11), keys.message_ids(source, "ab"),
                keys.quarantine(source), keys.turns(source), keys.swept(source), keys.attempts(source, 3),
                keys.attempt_sizes(source)):  # fmt: skip
        await eyes.hset(key, "3", "1")  # type: ignore[misc]
    await eyes.zadd(keys.attempt_buckets(source), {"3": 1})
    await eyes.zadd(keys.seen_buckets(source, "t"), {"12": 12})
    await eyes.zadd(keys.marks(source, "t"), {"1200": 1})
    await eyes.zadd(keys.dropped(source, endpoint), {"a1:2:abcde backlog_full msg_1 1": 1})
    await eyes.hset(keys.dropped_counts(source), endpoint, "1")  # type: ignore[misc]
    await eyes.zadd(keys.endpoint_attempts(source, endpoint), {"3:1": 1})
    await eyes.sadd(keys.blockers(source), endpoint)  # type: ignore[misc]
    numbers = iter(range(5 * deliveries))

    async def some(put: Callable[[str], Awaitable[Any]]) -> None:
        for _ in range(deliveries):
            number = next(numbers)
            event = keys.events(source, number // BUCKET)
            size = 0 if await eyes.hexists(event, str(number)) else 4  # type: ignore[misc]
            await eyes.hset(event, str(number), "body")  # type: ignore[misc]
            await eyes.hincrby(keys.references(source), str(number // BUCKET), 1)  # type: ignore[misc]
            await eyes.hincrby(keys.owed(source), endpoint, size or 4)  # type: ignore[misc]
            await put(f"a{number}:2:abcde")

    await some(lambda ref: eyes.rpush(keys.lane(source, endpoint), ref))  # type: ignore[arg-type,return-value]
    await some(lambda ref: eyes.sadd(keys.flight(source, endpoint), ref))  # type: ignore[arg-type,return-value]
    await some(lambda ref: eyes.zadd(keys.due(source), {f"{endpoint} {ref}": 1}))
    await some(lambda ref: eyes.zadd(keys.dead(source), {f"{endpoint} {ref} poison": 1}))
    await some(lambda ref: eyes.rpush(keys.waiting(source, endpoint, "k"), ref))  # type: ignore[arg-type,return-value]
    await eyes.hset(keys.blocked(source, endpoint), "k", "1")  # type: ignore[misc]
    await eyes.hset(keys.lanes(source), endpoint, held_by or "r")  # type: ignore[misc]
    if not held_by:
        await eyes.rpush(keys.ready(source), endpoint)  # type: ignore[misc]


async def of(eyes: Redis, *uids: SourceUid) -> dict[str, Any]:
    """Everything that is kept of some sources."""
    return {name: value for name, value in (await dump(eyes)).items() if name.startswith(tuple(map(keys.prefix, uids)))}


async def is_over(eyes: Redis) -> bool:
    """Whether no tombstone is left."""
    return not await eyes.exists(keys.config("deletions"))


async def until_over(rig: Rig) -> None:
    """Let the job go on until nothing is left to do."""
    assert await rig.deleting().run(within_s=PATIENCE_S)
    assert await is_over(rig.eyes)


@pytest.mark.parametrize("uid", UIDS)
async def test_deleting_a_source_touches_no_other(rig: Rig, uid: SourceUid) -> None:
    """Whatever its name is: that of a system key, or the beginning of another's."""
    application = await rig.applications.create(lambda i: Application(id=i, name="n"), now_ms=0)
    await make(rig, *UIDS)
    others = [other for other in UIDS if other != uid]
    for other in UIDS:
        await fill(rig.eyes, other, EndpointId("ep_a"))
    for key in (rate_keys.rate("ep_a"), "relay:{jobs}", f"relay:{uid}", f"{{{uid}}}"):
        await rig.eyes.set(key, 1)
    before = await dump(rig.eyes)
    await rig.sources.delete(uid)
    await until_over(rig)
    after, ours = await dump(rig.eyes), keys.prefix(uid)
    assert await of(rig.eyes, *others) == {name: value for name, value in before.items() if name.startswith(
        tuple(map(keys.prefix, others)))}  # fmt: skip
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    config = {keys.config(name) for name in ("sources", "index", "history", "matched", "polls")}
    assert {name for name in changed if not name.startswith(ours)} <= config
    assert sorted(await rig.sources.uids()) == sorted(others)
    assert (await rig.applications.get(application.id)).id == application.id


async def test_a_deleted_source_leaves_nothing_but_its_fence(rig: Rig) -> None:
    """Also what nothing leads to, and what a newer release keeps; who fenced it is told by the fence."""
    await make(rig, UK)
    await fill(rig.eyes, UK, EndpointId("ep_a"))
    await rig.eyes.mset({keys.prefix(UK) + str(n): "" for n in range(1200)})
    await rig.sources.delete(UK)
    with pytest.raises(NotFound):
        await rig.sources.get(UK)
    version = await rig.configuration.version()
    await until_over(rig)
    assert await of(rig.eyes, UK) == {keys.fence(UK): b"-%d" % version}
    assert await rig.eyes.zscore(keys.POLLS, UK) is None


@pytest.mark.parametrize("takes_effect", [False, True])
async def test_a_job_that_is_killed_anywhere_goes_on(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, takes_effect: bool
) -> None:
    """Of a source, an application and an endpoint: whichever command was its last, another worker ends it."""
    monkeypatch.setattr(deleted_lanes, "DELIVERIES_AT_ONCE", 3)
    await make(rig, UK, US)
    keeper = await rig.endpoint()
    await fill(rig.eyes, US, keeper.id)
    commands, met = 0, True
    while met:
        await make(rig, UK)
        endpoint, other = await rig.endpoint(), await rig.endpoint()
        for each in (endpoint, other):
            await fill(rig.eyes, US, each.id)
        await fill(rig.eyes, UK, endpoint.id)
        await rig.sources.delete(UK)
        await rig.endpoints.delete(endpoint.app_id, endpoint.id)
        await rig.applications.delete(other.app_id)
        rig.redis.faults.after(commands, takes_effect=takes_effect, kind=Died)
        with suppress(Died):
            await rig.deleting().run(within_s=PATIENCE_S)
        met = rig.redis.faults.met > 0
        rig.redis.faults.stop()
        await until_over(rig)
        assert list(await of(rig.eyes, UK)) == [keys.fence(UK)]
        left = str(await dump(rig.eyes))
        assert endpoint.id not in left.replace(f"endpoint/{endpoint.app_id}/{endpoint.id}", "")
        assert other.id not in left.replace(f"endpoint/{other.app_id}/{other.id}", "")
        commands += 7 if takes_effect else 5
    assert commands > 20
    assert int((await rig.eyes.hgetall(keys.references(US)))[b"0"]) == 10  # type: ignore[misc]


@pytest.mark.parametrize("script", ["close_source", "remove_keys", "end_deletion"])
@pytest.mark.parametrize("again", [False, True])
async def test_a_job_that_slept_removes_nothing_of_another_source(rig: Rig, script: str, again: bool) -> None:
    """It wakes when the deletion has ended, and another source has that name, or was deleted too."""
    for calls in (0, 1, 3, 8):
        await make(rig, UK)
        await fill(rig.eyes, UK, EndpointId("ep_a"))
        await rig.sources.delete(UK)
        kept: dict[str, Any] = {}

        async def meanwhile(kept: dict[str, Any] = kept) -> None:
            rig.redis.faults.stop()
            await until_over(rig)
            await make(rig, UK)
            await fill(rig.eyes, UK, EndpointId("ep_b"))
            if again:
                await rig.sources.delete(UK)
            kept.update(await of(rig.eyes, UK), deletions=await rig.eyes.hgetall(keys.config("deletions")))  # type: ignore[misc]

        rig.redis.faults.interrupt(calls, meanwhile, only=script)
        await rig.deleting().round()
        rig.redis.faults.stop()
        assert kept or calls
        if kept:
            now = {**await of(rig.eyes, UK), "deletions": await rig.eyes.hgetall(keys.config("deletions"))}  # type: ignore[misc]
            assert now == kept
            await rig.eyes.flushdb()


async def test_many_workers_at_once_are_harmless(rig: Rig) -> None:
    """They do the same, and get to the same end."""
    await make(rig, UK, US)
    endpoints = [await rig.endpoint() for _ in range(5)]
    for endpoint in endpoints:
        await fill(rig.eyes, US, endpoint.id)
        await fill(rig.eyes, UK, endpoint.id)
    await rig.sources.delete(UK)
    for endpoint in endpoints:
        await rig.applications.delete(endpoint.app_id)
    await asyncio.gather(*(rig.deleting().run(within_s=PATIENCE_S) for _ in range(4)))
    assert await is_over(rig.eyes)
    assert list(await of(rig.eyes, UK)) == [keys.fence(UK)]
    assert set((await rig.eyes.hgetall(keys.references(US))).values()) == {b"0"}  # type: ignore[misc]


async def test_a_uid_is_free_when_its_deletion_has_ended(rig: Rig) -> None:
    """Not before: what is left of the old source must not become the new one's."""
    await make(rig, UK)
    await rig.sources.delete(UK)
    with pytest.raises(BeingDeleted, match="still being deleted"):
        await make(rig, UK)
    await until_over(rig)
    await make(rig, UK)
    assert (await rig.sources.get(UK)).uid == UK


async def test_a_source_is_emptied_when_its_workers_have_let_it_go(rig: Rig) -> None:
    """What a worker hands in that lives and does not know yet would stay behind."""
    await make(rig, UK)
    await rig.eyes.zadd(keys.sessions(UK), {"s": 2**52})
    await rig.sources.delete(UK)
    assert not await rig.deleting().run(within_s=0.2)
    assert await rig.eyes.exists(keys.sessions(UK))
    await rig.eyes.zadd(keys.sessions(UK), {"s": 0})
    await until_over(rig)
    assert list(await of(rig.eyes, UK)) == [keys.fence(UK)]


async def test_a_lane_is_emptied_whole(rig: Rig) -> None:
    """In every place and every source, also those that the application has not any more; nobody else's is touched."""
    await make(rig, UK, US)
    application = await rig.application(sources=(UK,))
    gone, stays = await rig.endpoint(application), await rig.endpoint(application)
    for source in (UK, US):
        for endpoint in (gone, stays):
            await fill(rig.eyes, source, endpoint.id, held_by="died" if source == US else "")
    await rig.eyes.rpush(keys.lane(UK, gone.id), "damaged", "")  # type: ignore[misc]
    await rig.eyes.zadd(keys.due(UK), {f"{gone.id} damaged": 1})
    events = await dump(rig.eyes)
    await rig.endpoints.delete(application.id, gone.id)
    await until_over(rig)
    for source in (UK, US):
        now = await of(rig.eyes, source)
        assert [name for name, value in now.items() if gone.id in name or gone.id in str(value)] == []
        assert now[keys.references(source)] == {b"0": b"10"}
        assert now[keys.owed(source)] == {stays.id.encode(): b"40"}
        mine = [name for name in now if stays.id in name]
        assert {name: now[name] for name in mine} == {name: events[name] for name in mine}


async def test_a_lane_that_a_worker_has_is_left_to_it(rig: Rig) -> None:
    """It learns that the endpoint is gone and lets the lane go; until then nothing is taken from under its hands."""
    await make(rig, UK)
    endpoint = await rig.endpoint()
    await fill(rig.eyes, UK, endpoint.id, held_by="s")
    await rig.eyes.zadd(keys.sessions(UK), {"s": 2**52})
    await rig.endpoints.delete(endpoint.app_id, endpoint.id)
    before = await of(rig.eyes, UK)
    assert not await rig.deleting().run(within_s=0.2)
    assert {**await of(rig.eyes, UK), keys.subscriptions(UK): b""} == {**before, keys.subscriptions(UK): b""}
    await rig.eyes.hset(keys.lanes(UK), endpoint.id, "p")  # type: ignore[misc]
    await until_over(rig)
    assert endpoint.id not in str(await of(rig.eyes, UK))


async def test_one_call_drops_a_bounded_number_of_deliveries(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many wait: others get their turn between the calls."""
    monkeypatch.setattr(deleted_lanes, "DELIVERIES_AT_ONCE", 10)
    await make(rig, UK)
    endpoint = await rig.endpoint()
    await fill(rig.eyes, UK, endpoint.id, deliveries=25)
    await rig.endpoints.delete(endpoint.app_id, endpoint.id)
    sizes: list[int] = []

    async def count() -> None:
        sizes.append(int(await rig.eyes.hget(keys.references(UK), "0") or 0))  # type: ignore[misc]
        rig.redis.faults.interrupt(1, count)

    rig.redis.faults.interrupt(0, count)
    await until_over(rig)
    rig.redis.faults.stop()
    await count()
    steps = [before - after for before, after in pairwise(sizes)]
    assert sum(steps) == 125
    assert max(steps) <= 20  # Two calls at most lie between two looks.


async def test_a_page_that_was_matched_before_is_matched_again(rig: Rig) -> None:
    """Also when who deleted an endpoint or an application died before it could say so: the job does."""
    await make(rig, UK, US)
    application = await rig.application(sources=(UK,))
    endpoint = await rig.endpoint(application)
    for delete in (
        lambda: rig.endpoints.delete(application.id, endpoint.id),
        lambda: rig.applications.delete(application.id),
    ):
        before = await rig.eyes.get(keys.subscriptions(US))
        await delete()
        version = await rig.configuration.version()
        await rig.eyes.set(keys.subscriptions(UK), 1)
        await until_over(rig)
        assert int(await rig.eyes.get(keys.subscriptions(UK)) or 0) == version
        assert await rig.eyes.get(keys.subscriptions(US)) == before


async def test_an_application_is_gone_at_once(rig: Rig) -> None:
    """With its uid and its endpoints, for everybody who asks, however many endpoints are left to delete."""
    application = await rig.application(uid="crm")
    endpoints = [await rig.endpoint(application, uid=f"e{n}") for n in range(3)]
    await rig.applications.delete("crm")
    with pytest.raises(NotFound):
        await rig.applications.get("crm")
    with pytest.raises(NotFound):
        await rig.endpoint(application)
    await rig.catalogue.refresh()
    assert [rig.catalogue.standing(endpoint.id) for endpoint in endpoints] == ["gone"] * 3
    assert [rig.catalogue.endpoint(endpoint.id) for endpoint in endpoints] == [None] * 3
    assert (await rig.application(uid="crm")).id != application.id
    await until_over(rig)
    assert not await rig.eyes.exists(keys.config("endpoints"), keys.config("endpoint_uids"))


async def test_a_lane_of_an_endpoint_that_is_gone_is_buried(rig: Rig) -> None:
    """Who finds one has it deleted by the job; one that is there is left alone."""
    await make(rig, UK)
    endpoint, stray = await rig.endpoint(), EndpointId("ep_stray")
    await fill(rig.eyes, UK, stray)
    deletions, version = Deletions(rig.redis), await rig.configuration.version()
    assert not await deletions.bury(endpoint.id, UK, version=version)
    assert await is_over(rig.eyes)
    assert await deletions.bury(stray, UK, version=version)
    await until_over(rig)
    assert stray not in str(await of(rig.eyes, UK))


async def test_rows_are_found_without_a_walk(rig: Rig) -> None:
    """Ids from 10^13 on would take ages to try one by one."""
    await make(rig, UK)
    await rig.eyes.hset(keys.route(UK, "all"), "cursor", 10**15)  # type: ignore[misc]
    await rig.eyes.hset(keys.seen(UK, "t", 10**13), "1", "x")  # type: ignore[misc]
    await rig.sources.delete(UK)
    await until_over(rig)
    assert list(await of(rig.eyes, UK)) == [keys.fence(UK)]


async def test_one_deletion_that_breaks_stops_no_other(rig: Rig) -> None:
    """A key of another type, by whatever damage, is in the way of its own source only."""
    await make(rig, UK, US)
    await rig.eyes.set(keys.references(UK), "no hash")
    for uid in (UK, US):
        await rig.sources.delete(uid)
    await rig.deleting().round()
    assert [each.id for each in await Deletions(rig.redis).pending()] == [UK]


async def test_what_a_deletion_must_know_is_read_from_any_tombstone(rig: Rig) -> None:
    """One of another release, or damaged, is taken to concern every source."""
    await rig.eyes.hset(
        keys.config("deletions"),
        mapping={"endpoint/ep_c": "x", "endpoint/ep_a": "7", "endpoint/ep_b": '8 {"sources":["uk"]}'},
    )  # type: ignore[misc]
    found = {each.id: (each.version, each.sources) for each in await Deletions(rig.redis).pending()}
    assert found == {"ep_a": (7, None), "ep_b": (8, (UK,)), "ep_c": (0, None)}
    await until_over(rig)


async def test_a_worker_goes_on_whatever_the_store_does(rig: Rig) -> None:
    """It is woken by a change of the configuration, and outlives a store that is away for a moment."""
    deleting = rig.deleting()
    task = asyncio.create_task(deleting.forever())
    try:
        for fails in (False, True):
            await make(rig, UK)
            await fill(rig.eyes, UK, EndpointId("ep_a"))
            await rig.sources.delete(UK)
            if fails:
                rig.redis.faults.after(3, takes_effect=False)
            deleting.wake()
            await until(lambda: is_over(rig.eyes))
            assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
