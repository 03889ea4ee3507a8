"""The configuration, copied and put back: into an empty store, and into one that lost its newest changes."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from msgspec.structs import replace
from redis.asyncio import Redis

from relay.domain.checkpoint import RouteMark, SavedConfiguration
from relay.domain.custom_types import CustomType
from relay.domain.model import SourceUid
from relay.domain.principals import ApiKey, KeyId
from relay.domain.reading.trail import Step
from relay.errors import NotFound, StoreUnavailable
from relay.store import copying, keys
from relay.store.api_keys import ApiKeys
from relay.store.copying import Copying
from relay.store.deletions import Deletions
from relay.store.event_types import EventTypes
from relay.store.readings import Readings
from relay.store.routes import Routes
from relay.store.scripts import Call, run_all
from relay.store.vault import Vault
from tests.integration.books import dump, restore, snapshot
from tests.integration.store.test_configuration import NOW, A, B, Stores, ring

PAID = CustomType(name="invoice.paid", description="d", schemas={"1": {}}, created_at_ms=NOW, updated_at_ms=NOW)


@pytest.fixture
def stores(redis: Redis) -> Stores:
    return Stores(redis, Vault(ring(1)))


@pytest.fixture
def copies(redis: Redis) -> Copying:
    return Copying(redis)


async def taken(copies: Copying) -> SavedConfiguration:
    saved = await copies.take()
    assert saved is not None
    return saved


async def configuration(redis: Redis) -> dict[str, object]:
    """What is stored of the configuration, but for versions."""
    names = (
        "sources", "applications", "endpoints", "keys", "event_types", "application_uids", "endpoint_uids", "index",
    )  # fmt: skip
    return {name: value for name, value in (await dump(redis)).items() if name in {keys.config(n) for n in names}}


@pytest.mark.parametrize("at_once", [1, 200])
async def test_an_empty_store_gets_everything(
    redis: Redis, stores: Stores, copies: Copying, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    """Byte for byte, secrets sealed as they were, in pages of any size; and a reader sees all of it as changed."""
    monkeypatch.setattr(copying, "AT_ONCE", at_once)
    await stores.source(A)
    application = await stores.application("tenant", (A,))
    endpoint = await stores.endpoint(application.id, "crm")
    for number, app in enumerate((None, application.id)):
        await ApiKeys(redis, Vault(ring(1))).create(
            ApiKey(id=KeyId(f"key_{number}"), name="k", scopes=("read",), app_id=app, secrets=())
        )
    await EventTypes(redis, Vault(ring(1))).create(PAID)
    await stores.source(B)
    await stores.sources.delete(B)
    before, version = await configuration(redis), await copies.version()
    saved = await taken(copies)
    await redis.flushdb()
    done = await copies.put_back(saved)
    assert done.written == {"source": 1, "application": 1, "endpoint": 1, "key": 2, "event_type": 1}
    assert done.refused == {}
    assert await configuration(redis) == before
    assert await stores.endpoints.get(application.id, "crm") == endpoint
    changes = await stores.configuration.changes(version)
    assert set(changes.endpoints) == {endpoint.id}
    assert changes.version == done.version > version
    assert await copies.holds(version)
    assert (await copies.put_back(saved)).version == 0


@pytest.mark.parametrize("after", range(4))
async def test_it_can_be_cut_short_anywhere(
    redis: Redis, stores: Stores, copies: Copying, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """What a process wrote before it died is not written again, and a part is never taken for the whole."""
    application = await stores.application()
    for number in range(3):
        await stores.endpoint(application.id, f"e{number}")
    saved, version, left = await taken(copies), await copies.version(), after
    await redis.flushdb()

    async def then_away(redis: Redis, calls: Sequence[Call]) -> list[Any]:
        nonlocal left
        if left == 0:
            raise StoreUnavailable("Redis can't be reached")
        left -= 1
        return await run_all(redis, calls)

    with monkeypatch.context() as patched:
        patched.setattr(copying, "AT_ONCE", 1)
        patched.setattr(copying, "run_all", then_away)
        with pytest.raises(StoreUnavailable):
            await copies.put_back(saved)
    assert not await copies.holds(version)
    assert (await copies.put_back(saved)).written.total() == len(saved.index) - after
    assert await copies.holds(version)
    assert (await taken(copies)).records == saved.records


async def lose(redis: Redis, change: Callable[[], Awaitable[object]]) -> SavedConfiguration:
    """Make a change that is checkpointed, and lose it."""
    before = await snapshot(redis)
    await change()
    saved = await taken(Copying(redis))
    await restore(redis, before)
    return saved


async def test_lost_changes_come_back(redis: Redis, stores: Stores, copies: Copying) -> None:
    """What was created, changed and deleted; nothing else is written."""
    await stores.source(A)
    application = await stores.application("tenant")
    gone, kept = await stores.endpoint(application.id, "gone"), await stores.endpoint(application.id, "kept")

    async def change() -> None:
        await stores.endpoints.delete(application.id, gone.id)
        await stores.endpoint(application.id, "gone")
        await stores.source(A, key="another")
        await stores.source(B)

    saved = await lose(redis, change)
    done = await copies.put_back(saved)
    assert (done.written, done.deleted) == ({"source": 2, "endpoint": 1}, {"endpoint": 1})
    assert done.refused == {}
    assert (await stores.endpoints.get(application.id, "gone")).id != gone.id
    assert (await stores.endpoints.get(application.id, "kept")).id == kept.id
    assert {d.name for d in await Deletions(redis).pending()} == {f"endpoint/{gone.id}"}
    assert (await taken(copies)).records == saved.records
    assert await copies.is_kin(saved)


async def test_what_was_changed_since_stays(redis: Redis, stores: Stores, copies: Copying) -> None:
    """An operator who repeated a lost change, or made another one, is not overruled."""
    application = await stores.application("tenant")
    first, second = await stores.endpoint(application.id, "1"), await stores.endpoint(application.id, "2")

    async def change() -> None:
        await stores.endpoints.delete(application.id, first.id)
        await stores.endpoints.delete(application.id, second.id)
        await stores.applications.create(lambda i: replace(application, id=i, uid="other"), now_ms=NOW)

    saved = await lose(redis, change)
    await stores.endpoints.change(application.id, first.id, lambda e: replace(e, description="new"))
    other = await stores.application("other")
    done = await copies.put_back(saved)
    assert (await stores.endpoints.get(application.id, first.id)).description == "new"
    with pytest.raises(NotFound):
        await stores.endpoints.get(application.id, second.id)
    assert (await stores.applications.get("other")).id == other.id
    assert list(done.refused.values()) == ["its uid is taken"]


async def test_a_backup_is_brought_up_to_date(redis: Redis, stores: Stores, copies: Copying) -> None:
    """It is so old that its history has nothing in common with the checkpoint's."""
    application = await stores.application("tenant")
    old = await stores.endpoint(application.id, "old")

    async def change() -> None:
        await stores.endpoints.delete(application.id, old.id)
        await stores.source(A)

    saved = await lose(redis, change)
    saved = replace(saved, history=saved.history[-1:])
    assert not await copies.holds(saved.version)
    done = await copies.put_back(saved)
    assert (done.written, done.deleted) == ({"source": 1}, {"endpoint": 1})
    assert not await copies.is_kin(replace(saved, history=("1 source/x",)))


async def test_routes_continue_from_their_marks(redis: Redis, copies: Copying) -> None:
    """A cursor is set or moved back, never forward; a poller at work is astray; a closed source is left alone."""
    routes, now_ms = Routes(redis), 5
    token = await routes.take(A)
    assert token is not None
    for route, cursor in (("all", 900), ("calls", 9)):
        await routes.start(A, route, cursor, token=token, now_ms=1)
    marks = {
        "all": RouteMark(cursor=1000), "calls": RouteMark(cursor=10), "goals": RouteMark(cursor=70, joined="creation"),
        "users": RouteMark(cursor=None, joined="creation", start="none"),
    }  # fmt: skip
    assert await copies.put_marks({A: marks}, only_new=True, now_ms=now_ms) == {"a/goals": 70}
    marks["all"] = RouteMark(cursor=88)
    assert await copies.put_marks({A: marks}, only_new=False, now_ms=now_ms) == {"a/all": 88}
    states = {state.route: state for state in await routes.states(A, marks)}
    assert {name: state.cursor for name, state in states.items()} == {
        "all": 88, "calls": 9, "goals": 70, "users": None,
    }  # fmt: skip
    assert (states["goals"].joined, states["users"].joined, states["users"].start) == ("creation", "creation", "none")
    assert await Readings(redis).trail(A, "all") == [Step(now_ms, 88)]
    assert int(await redis.get(keys.sequence(A)) or 0) > token.sequence
    await redis.set(keys.fence(SourceUid("b")), "-7")
    assert await copies.put_marks({B: marks}, only_new=False, now_ms=now_ms) == {}
    assert await redis.keys(keys.prefix(B) + "route*") == []


async def test_a_copy_is_of_one_version(redis: Redis, stores: Stores, copies: Copying) -> None:
    """When something is written while it is taken, there is none."""
    await stores.source(A)
    version = copies.version

    async def then_written() -> int:
        found = await version()
        copies.version = version  # type: ignore[method-assign]
        await stores.source(B)
        return found

    copies.version = then_written  # type: ignore[method-assign]
    assert await copies.take() is None
    assert await copies.take() is not None


async def test_a_deleted_key_stays_deleted(redis: Redis, stores: Stores, copies: Copying) -> None:
    """A store that lost the deletion deletes it again, with nothing left to do."""
    api_keys = ApiKeys(redis, Vault(ring(1)))
    key = await api_keys.create(ApiKey(id=KeyId("key_1"), name="k", scopes=("read",), secrets=()))
    before = await snapshot(redis)
    await api_keys.delete(key)
    saved = await taken(copies)
    await restore(redis, before)
    assert await api_keys.find(key.id) is not None
    await copies.put_back(saved)
    assert await api_keys.find(key.id) is None
    assert await Deletions(redis).pending() == []


async def test_an_expunged_type_stays_expunged(redis: Redis, stores: Stores, copies: Copying) -> None:
    """A store that lost that deletes it again."""
    types = EventTypes(redis, Vault(ring(1)))
    await types.create(PAID)
    before = await snapshot(redis)
    await types.expunge(PAID.name)
    saved = await taken(copies)
    await restore(redis, before)
    await copies.put_back(saved)
    assert await types.names() == []
    assert await Deletions(redis).pending() == []


async def test_a_checkpoint_of_an_older_release_deletes_no_type(redis: Redis, stores: Stores, copies: Copying) -> None:
    """It has the names of types in its index, and no records of them."""
    types = EventTypes(redis, Vault(ring(1)))
    await types.create(PAID)
    saved = await taken(copies)
    await redis.delete(keys.config("history"))
    older = {kind: found for kind, found in saved.records.items() if kind != "event_type"}
    assert (await copies.put_back(replace(saved, v=1, records=older))).deleted == {}
    assert await types.get(PAID.name) == PAID
