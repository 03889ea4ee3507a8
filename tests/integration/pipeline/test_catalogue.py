"""The catalogue: what a process believes of the configuration, and how it finds out that it is wrong."""

from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from relay.domain.model import Application, EndpointId, SourceUid, StoredEvent
from relay.errors import Unreadable
from relay.pipeline.catalogue import Catalogue
from relay.pipeline.lines import read_lines
from relay.pipeline.troubles import Troubles
from relay.store import keys, records
from relay.store.operations import Operations
from tests.integration.pipeline.rig import UK, Rig

LIKE: dict[str, Any] = {"act": {"$like": "c"}}
"""A filter that a newer release knows."""
ALL_KINDS = ("sources", "applications", "endpoints")
DAMAGED = [b"", b"\x80", b"null", b"[]", b"{", b'{"v": 2}', b"{}", b'{"id": 5}', b"[" * 5000]


async def patch(eyes: Redis, kind: str, object_id: str, **fields: Any) -> None:
    """Change a record in the store, as another release would have written it."""
    table = keys.config(kind)
    record = msgspec.json.decode(await eyes.hget(table, object_id))  # type: ignore[misc]
    await eyes.hset(table, object_id, msgspec.json.encode(record | fields))  # type: ignore[misc]


async def commit(rig: Rig, catalogue: Catalogue, *row_ids: int) -> None:
    """Take rows in as a worker with that catalogue would."""
    token = await rig.routes.take(UK)
    lines = [
        msgspec.json.encode({"rowId": str(i), "act": "call", "triggerDatetime": "2026-01-01 00:00:00"}) for i in row_ids
    ]
    await rig.ingest(catalogue).take_in(
        catalogue.sources[UK], "all", await read_lines(lines), row_ids=row_ids, cursor=row_ids[-1], token=token or 0
    )
    await rig.routes.give_back(UK, token or 0)


async def lane(rig: Rig, endpoint: EndpointId) -> list[bytes]:
    """What waits for an endpoint."""
    return list(await rig.eyes.lrange(keys.lane(UK, endpoint), 0, -1))  # type: ignore[misc]


async def snapshot(eyes: Redis) -> dict[bytes, bytes]:
    """The store as it is."""
    return {name: await eyes.dump(name) for name in [name async for name in eyes.scan_iter()]}


async def restore(eyes: Redis, kept: dict[bytes, bytes]) -> None:
    """Put the store back to what it was."""
    await eyes.flushdb()
    for name, value in kept.items():
        await eyes.restore(name, 0, value)


async def event(rig: Rig, number: int = 1) -> StoredEvent:
    """An event that was stored."""
    return (await rig.events.read(UK, [number]))[number]


@pytest.mark.parametrize("changes", [0, 1, 3])
async def test_a_store_that_went_back_in_time_is_noticed(rig: Rig, changes: int) -> None:
    """Whatever was changed since, so also when its version is larger than the one that was lost."""
    await rig.source()
    kept = await snapshot(rig.eyes)
    lost = await rig.endpoint()
    assert rig.catalogue.endpoint(lost.id) == lost
    await restore(rig.eyes, kept)
    for n in range(changes):
        await rig.applications.create(lambda i: Application(id=i, name=str(n)), now_ms=0)  # noqa: B023
    if changes:
        assert await rig.configuration.version() > rig.catalogue.version
    assert await rig.catalogue.is_stale()
    await rig.catalogue.refresh()
    assert rig.catalogue.standing(lost.id) == "gone"
    assert not await rig.catalogue.is_stale()
    assert set(rig.catalogue.sources) == {UK}


async def test_a_changed_source_is_given_once_whatever_read_the_change(rig: Rig) -> None:
    """An ingest that meets a newer configuration reads it too: the worker must still hear which sources to poll."""
    await rig.source()
    worker = rig.new_catalogue()
    await worker.refresh()
    assert worker.take_changed() == {UK}
    await rig.source(poll_interval_s=1.0)
    await worker.refresh()
    await worker.refresh()
    assert worker.take_changed() == {UK}
    assert worker.take_changed() == set()
    await rig.sources.delete(UK)
    await worker.refresh()
    assert worker.take_changed() == {UK}


async def test_the_history_is_bounded(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is further behind than it reaches reads everything anew, and misses nothing."""
    monkeypatch.setattr(records, "HISTORY_KEPT", 5)
    await rig.source()
    endpoint = await rig.endpoint()
    other = rig.new_catalogue()
    await other.refresh()
    for n in range(20):
        await rig.change(endpoint, description=str(n))
    assert await rig.eyes.zcard(keys.config("history")) == 5
    changes = await rig.configuration.changes(other.version)
    assert changes.complete
    await other.refresh()
    known = other.endpoint(endpoint.id)
    assert known is not None
    assert known.description == "19"
    assert not (await rig.configuration.changes(other.version)).complete


async def test_versions_never_repeat(rig: Rig) -> None:
    """Not when the history is lost, nor when the server's clock is behind of it."""
    await rig.source()
    first = await rig.configuration.version()
    await rig.eyes.delete(keys.config("history"))
    await rig.source(paused=True)
    assert await rig.configuration.version() > first
    await rig.eyes.zadd(keys.config("history"), {f"{2**52} source/uk": 2**52})
    await rig.source(paused=False)
    assert await rig.configuration.version() == 2**52 + 1


async def test_an_applications_limit_reaches_lanes_that_are_held(rig: Rig) -> None:
    """Who holds an endpoint's lane is told when its application changes in what binds it, and not for a new name."""
    application = await rig.application()
    endpoint, other = await rig.endpoint(application), await rig.endpoint()
    told: list[EndpointId] = []
    rig.catalogue.listen(told.append)

    async def after(**fields: Any) -> list[EndpointId]:
        told.clear()
        await rig.applications.change(application.id, lambda a: msgspec.structs.replace(a, **fields))
        await rig.catalogue.refresh()
        return told.copy()

    assert await after(rate_limit=5) == [endpoint.id]
    assert rig.catalogue.bounds(endpoint).steady == ((application.id, 5),)
    assert await after(rate_limit=None) == [endpoint.id]
    assert await after(filter={"act": "call"}) == [endpoint.id]
    assert await after(name="another") == []
    await rig.applications.delete(application.id)
    await rig.catalogue.refresh()
    assert told == [endpoint.id]
    assert rig.catalogue.endpoint(other.id) == other


@pytest.mark.parametrize("whose", ["endpoint", "application"])
async def test_a_filter_that_is_none_makes_its_endpoints_unfit(rig: Rig, whose: str) -> None:
    """Nothing is sent to them and everything is kept, unchecked, until the filter is mended; the source goes on."""
    await rig.source()
    application = await rig.application()
    endpoint, other = await rig.endpoint(application, event_types=("call.created",)), await rig.endpoint()
    record = endpoint.id if whose == "endpoint" else application.id
    await patch(rig.eyes, f"{whose}s", record, filter=LIKE)
    worker = rig.new_catalogue()
    await worker.refresh()
    assert "$like" in (worker.unfit(endpoint.id) or "")
    assert (worker.unfit(other.id), worker.standing(endpoint.id)) == (None, "known")
    await commit(rig, worker, 1, 2)
    assert [ref[:1] for ref in await lane(rig, endpoint.id)] == [b"u", b"u"]
    assert [ref[:1] for ref in await lane(rig, other.id)] == [b"a", b"a"]
    kept = worker.endpoint(endpoint.id)
    assert kept is not None
    with pytest.raises(Unreadable):
        worker.passes(kept, await event(rig))
    for wanted, passes in (({"act": "call"}, True), ({"act": "land"}, False)):
        if whose == "endpoint":
            await rig.change(endpoint, filter=wanted)
        else:
            await rig.applications.change(application.id, lambda a: msgspec.structs.replace(a, filter=wanted))  # noqa: B023
        await worker.refresh()
        mended = worker.endpoint(endpoint.id)
        assert mended is not None
        assert worker.unfit(endpoint.id) is None
        assert worker.passes(mended, await event(rig)) is passes
    await commit(rig, worker, 3)
    assert len(await lane(rig, endpoint.id)) == 2


async def test_what_was_kept_unchecked_is_asked_for_everything(rig: Rig) -> None:
    """Types, sources and both filters: nothing escapes an application because it was unreadable for a while."""
    await rig.source()
    application = await rig.application()
    endpoint = await rig.endpoint(application)
    await commit(rig, rig.catalogue, 1)
    stored = await event(rig)

    async def passes(**fields: Any) -> bool:
        changed = await rig.change(endpoint, **{"event_types": None, "filter": None, **fields})
        await rig.catalogue.refresh()
        return rig.catalogue.passes(changed, stored)

    assert await passes()
    assert await passes(event_types=("call.created",), filter={"act": "call"})
    assert not await passes(event_types=("goal.created",))
    assert not await passes(filter={"act": "land"})
    assert await passes()
    for fields in ({"sources": (SourceUid("us"),)}, {"sources": None, "filter": {"act": "land"}}):
        await rig.applications.change(application.id, lambda a: msgspec.structs.replace(a, **fields))  # noqa: B023
        assert not await passes()


@pytest.mark.parametrize("kind", ALL_KINDS)
@pytest.mark.parametrize("damage", DAMAGED, ids=repr)
async def test_a_record_that_cant_be_read_stops_nobody(rig: Rig, kind: str, damage: bytes) -> None:
    """It is skipped: what is known of everything else is there, and what can't be read is not taken for deleted."""
    await rig.source()
    application = await rig.application()
    endpoint, other = await rig.endpoint(application), await rig.endpoint()
    record = {"sources": UK, "applications": application.id, "endpoints": endpoint.id}[kind]
    await rig.eyes.hset(keys.config(kind), record, damage)  # type: ignore[misc]
    worker = rig.new_catalogue()
    await worker.refresh()
    assert worker.endpoint(other.id) == other
    if kind == "sources":
        assert worker.sources == {}
        assert worker.standing(endpoint.id) == "known"
        return
    assert worker.standing(endpoint.id) == ("unreadable" if kind == "endpoints" else "known")
    assert "can't be read" in (worker.unfit(endpoint.id) or "")
    await commit(rig, worker, 1)
    assert [ref[:1] for ref in await lane(rig, endpoint.id)] == [b"u"]
    assert [ref[:1] for ref in await lane(rig, other.id)] == [b"a"]


async def test_of_an_unreadable_record_no_less_is_kept_than_it_wants(rig: Rig) -> None:
    """What can be trusted of it narrows what is kept: whose it is, its event types, its application's sources."""
    await rig.source()
    elsewhere = await rig.application(sources=(SourceUid("us"),))
    narrow = await rig.endpoint(event_types=("goal.created",))
    sealed, newer = await rig.endpoint(elsewhere), await rig.endpoint(event_types=("goal.created",))
    for each in (narrow, sealed):
        await patch(rig.eyes, "endpoints", each.id, keys="v1.nobody.x.y")
    await patch(rig.eyes, "endpoints", newer.id, v=2)
    worker = rig.new_catalogue()
    await worker.refresh()
    await commit(rig, worker, 1)
    assert [len(await lane(rig, each.id)) for each in (narrow, sealed, newer)] == [0, 0, 1]
    assert "RELAY_ENCRYPTION_KEY" in (worker.unfit(sealed.id) or "")


async def test_a_record_that_becomes_unreadable_is_not_used_any_more(rig: Rig) -> None:
    """A process that knew it from before neither polls nor sends for it; when it is mended, it goes on."""
    await rig.source()
    endpoint = await rig.endpoint()
    told: list[EndpointId] = []
    rig.catalogue.listen(told.append)

    async def again(kind: str, record: str, **fields: Any) -> None:
        await patch(rig.eyes, kind, record, **fields)
        member = f"source/{record}" if kind == "sources" else f"endpoint/{endpoint.app_id}/{record}"
        version = await rig.configuration.version() + 1
        await rig.eyes.zadd(keys.config("history"), {f"{version} {member}": version})
        await rig.catalogue.refresh()

    await again("endpoints", endpoint.id, v=2)
    assert (rig.catalogue.endpoint(endpoint.id), rig.catalogue.standing(endpoint.id)) == (None, "unreadable")
    await again("endpoints", endpoint.id, v=1)
    assert (rig.catalogue.endpoint(endpoint.id), rig.catalogue.standing(endpoint.id)) == (endpoint, "known")
    assert rig.catalogue.unfit(endpoint.id) is None
    assert told == [endpoint.id] * 2
    await again("sources", UK, v=2)
    assert UK not in rig.catalogue.sources
    await again("sources", UK, v=1)
    assert UK in rig.catalogue.sources


async def test_what_is_wrong_is_told_once(rig: Rig) -> None:
    """By all workers together; again after the record was written and is wrong again; later, if the store is full."""
    await rig.source()
    application = await rig.application(filter={"act": "call"})
    broken, damaged = await rig.endpoint(application), await rig.endpoint(application)
    await patch(rig.eyes, "applications", application.id, filter=LIKE)
    await patch(rig.eyes, "endpoints", broken.id, filter=LIKE)
    await rig.eyes.hset(keys.config("endpoints"), damaged.id, "{")  # type: ignore[misc]
    await rig.eyes.hset(keys.config("sources"), UK, "{")  # type: ignore[misc]
    operations = Operations(rig.redis)
    workers = [
        Catalogue(rig.configuration, rig.catalogue._sender, troubles=Troubles(operations, rig.clock)) for _ in range(2)
    ]
    rig.redis.faults.interrupt(0, lambda: _refuse(rig), only="report_once")
    await workers[0].refresh()
    assert await workers[0].is_stale()
    for worker in (*workers, *workers):
        await worker.refresh()
        assert not await worker.is_stale()
    told = [(each.kind, each.data) for each in await operations.page(limit=50)]
    assert sorted(kind for kind, _ in told) == [
        "application.unfit", "endpoint.unfit", "endpoint.unreadable", "source.unreadable",
    ]  # fmt: skip
    data = dict(told)
    assert data["endpoint.unfit"]["endpointId"] == broken.id
    assert data["endpoint.unreadable"] == {
        "appId": application.id, "endpointId": damaged.id, "reason": "it is damaged: it is no JSON object",
    }  # fmt: skip
    assert "$like" in data["application.unfit"]["reason"]
    assert data["source.unreadable"]["source"] == UK
    await rig.change(broken, description="d")
    for worker in workers:
        await worker.refresh()
    assert len(await operations.page(limit=50)) == 5


async def _refuse(rig: Rig) -> None:
    rig.redis.faults.after(0, takes_effect=False)


async def test_kinds_of_a_newer_release_are_left_alone(rig: Rig) -> None:
    """What stands in the index and is none of ours stops nobody."""
    await rig.source()
    await rig.eyes.zadd(keys.config("index"), {"rule/r1": 0, "rule": 0})
    worker = rig.new_catalogue()
    await worker.refresh()
    assert set(worker.sources) == {UK}
