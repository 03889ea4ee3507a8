"""The configuration's store, on a real server."""

import asyncio
import base64
from collections.abc import Callable

import msgspec
import pytest
from redis.asyncio import Redis

from relay.domain.credentials import Bearer
from relay.domain.model import (
    ApiKeyAuth,
    Application,
    ApplicationId,
    ClientCertificate,
    Endpoint,
    EndpointId,
    Secret,
    SigningKey,
    Source,
    SourceUid,
)
from relay.errors import Conflict, NotFound, Unreadable
from relay.store import keys
from relay.store.applications import Applications
from relay.store.configuration import Configuration
from relay.store.endpoints import Endpoints
from relay.store.sources import Sources
from relay.store.vault import Vault
from tests.patience import PATIENCE_S

NOW = 1_790_000_000_000
A, B = SourceUid("a"), SourceUid("b")


def ring(*numbers: int) -> list[Secret]:
    return [Secret(base64.b64encode(bytes([number]) * 32).decode()) for number in numbers]


class Stores:
    def __init__(self, redis: Redis, vault: Vault) -> None:
        self.redis = redis
        self.sources = Sources(redis, vault)
        self.applications = Applications(redis, vault)
        self.endpoints = Endpoints(redis, vault)
        self.configuration = Configuration(redis, vault)

    async def raised(self, source: SourceUid) -> int:
        return int(await self.redis.get(keys.subscriptions(source)) or 0)

    async def source(self, uid: SourceUid, key: str = "k") -> Source:
        source = Source(
            uid=uid, name=uid, base_url="https://u.test", version="v2.1", igrp=1, auth=ApiKeyAuth(key), routes=("all",)
        )
        return (await self.sources.put(uid, lambda _: source))[0]

    async def application(self, uid: str | None = None, sources: tuple[SourceUid, ...] | None = None) -> Application:
        return await self.applications.create(
            lambda i: Application(id=i, name="n", uid=uid, sources=sources), now_ms=NOW
        )

    async def endpoint(self, application: ApplicationId, uid: str | None = None) -> Endpoint:
        return await self.endpoints.create(
            lambda i: Endpoint(id=i, app_id=application, url="https://r.test/", uid=uid), now_ms=NOW
        )


@pytest.fixture
def stores(redis: Redis) -> Stores:
    return Stores(redis, Vault(ring(1)))


def renamed(name: str) -> Callable[[Application], Application]:
    return lambda application: msgspec.structs.replace(application, name=name)


async def test_what_is_saved_is_read_back_whole(stores: Stores) -> None:
    """Sources, applications and endpoints come back as they were put, by id and by uid."""
    source = await stores.source(A)
    application = await stores.application("tenant", (A,))
    made = await stores.endpoints.create(
        lambda i: Endpoint(
            id=i,
            app_id=application.id,
            url="https://r.test/",
            uid="crm",
            event_types=("call.created",),
            keys=(SigningKey(key="whsec_x"), SigningKey(key="whsec_y", expires_at_ms=5)),
            headers={"x-token": "t"},
            auth=Bearer("b"),
            client_certificate=ClientCertificate(certificate="c", private_key="p"),
            filter={"callDuration": {"$gt": 5}},
            retry_schedule=(1.0, 2.5),
        ),
        now_ms=NOW,
    )
    assert await stores.sources.get(A) == source
    assert await stores.applications.get("tenant") == application == await stores.applications.get(application.id)
    assert await stores.endpoints.get(application.id, "crm") == made
    assert await stores.endpoints.get(application.id, made.id) == made


async def test_no_secret_stands_in_the_store(stores: Stores) -> None:
    """A dump of every key holds none of the credentials, signing keys, header values or certificates."""
    await stores.source(A, "canary-upstream")
    application = await stores.application()
    await stores.endpoints.create(
        lambda i: Endpoint(
            id=i,
            app_id=application.id,
            url="https://r.test/",
            keys=(SigningKey(key="whsec_canary"),),
            headers={"x-token": "canary-header"},
            auth=Bearer("canary-bearer"),
            client_certificate=ClientCertificate(certificate="c", private_key="canary-pem"),
        ),
        now_ms=NOW,
    )
    dump = await _dump(stores.redis)
    assert b"https://r.test/" in dump
    assert b"canary" not in dump


async def test_a_secret_that_was_moved_to_another_endpoint_is_refused(stores: Stores) -> None:
    """Whoever can write to Redis can't make one endpoint sign with another's key."""
    application = await stores.application()
    first, second = [
        await stores.endpoints.create(
            lambda i: Endpoint(id=i, app_id=application.id, url="https://r.test/", keys=(SigningKey(key="k"),)),
            now_ms=NOW,
        )
        for _ in range(2)
    ]
    table = keys.config("endpoints")
    ours, theirs = [msgspec.json.decode(s) for s in await stores.redis.hmget(table, [first.id, second.id])]  # type: ignore[misc]
    await stores.redis.hset(table, first.id, msgspec.json.encode({**ours, "keys": theirs["keys"]}))  # type: ignore[misc]
    with pytest.raises(Unreadable, match="seal is broken"):
        await stores.endpoints.get(application.id, first.id)


async def test_the_encryption_key_is_rotated_online(stores: Stores) -> None:
    """A new key in front opens what the old one sealed, and seals what is saved from then on."""
    await stores.source(A)
    rotated = Stores(stores.redis, Vault(ring(2, 1)))
    assert (await rotated.sources.get(A)).auth == ApiKeyAuth("k")
    await rotated.source(A)
    assert (await Stores(stores.redis, Vault(ring(2))).sources.get(A)).auth == ApiKeyAuth("k")


async def test_a_uid_belongs_to_one_thing_only(stores: Stores) -> None:
    """A uid that is taken is a conflict; a rename or a deletion frees it; endpoints' uids are their application's."""
    first, second = await stores.application("one"), await stores.application("two")
    with pytest.raises(Conflict, match="one"):
        await stores.application("one")
    with pytest.raises(Conflict, match="two"):
        await stores.applications.change("one", lambda a: msgspec.structs.replace(a, uid="two"))
    await stores.endpoint(first.id, "crm")
    await stores.endpoint(second.id, "crm")
    await stores.applications.change("two", lambda a: msgspec.structs.replace(a, uid="three"))
    with pytest.raises(NotFound):
        await stores.applications.get("two")
    assert (await stores.applications.get("three")).id == second.id
    await stores.applications.delete("three")
    assert (await stores.application("three")).id != second.id


async def test_concurrent_changes_do_not_overwrite_each_other(stores: Stores) -> None:
    """Twenty changes at once are all there in the end: each was made on what it had seen."""
    application = await stores.application()

    def marked(number: int) -> Callable[[Application], Application]:
        return lambda a: msgspec.structs.replace(a, metadata={**a.metadata, str(number): ""})

    await asyncio.gather(*(stores.applications.change(application.id, marked(n)) for n in range(20)))
    assert len((await stores.applications.get(application.id)).metadata) == 20


async def test_an_endpoint_that_was_answered_misses_nothing(stores: Stores) -> None:
    """When a write is answered, the sources that it concerns refuse pages matched against anything older."""
    for uid in (A, B):
        await stores.source(uid)
    everything, narrow = await stores.application(), await stores.application(sources=(A,))
    before_b = await stores.raised(B)
    await stores.endpoint(narrow.id)
    version = (await stores.configuration.changes(0)).version
    assert await stores.raised(A) == version
    assert await stores.raised(B) == before_b
    await stores.endpoint(everything.id)
    assert await stores.raised(A) == await stores.raised(B) == await stores.configuration.version() > version


async def test_an_application_that_moves_concerns_its_old_and_its_new_sources(stores: Stores) -> None:
    """Both sources' pages are matched again: one lost the application, the other got it."""
    for uid in (A, B):
        await stores.source(uid)
    application = await stores.application(sources=(A,))
    await stores.applications.change(application.id, lambda a: msgspec.structs.replace(a, sources=(B,)))
    version = (await stores.configuration.changes(0)).version
    assert await stores.raised(A) == await stores.raised(B) == version


async def test_subscriptions_are_never_lowered(stores: Stores) -> None:
    """A slow writer that comes late with an older version changes nothing."""
    await stores.configuration.announce(7, [A], matched=7)
    await stores.configuration.announce(8, [A], matched=3)
    assert await stores.raised(A) == 7


async def test_a_change_is_published_after_it_is_in_force(stores: Stores) -> None:
    """The version that a worker hears of is one that it can read."""
    async with stores.redis.pubsub() as pubsub:
        await pubsub.subscribe(keys.CHANGED_CHANNEL)
        await pubsub.get_message(timeout=PATIENCE_S)
        await stores.source(A)
        message = await pubsub.get_message(timeout=PATIENCE_S)
    assert message is not None
    assert int(message["data"]) == (await stores.configuration.changes(0)).version


async def test_changes_are_what_happened_since(stores: Stores) -> None:
    """Everything at first, then only what differs, deleted things as None."""
    await stores.source(A)
    application = await stores.application()
    endpoint = await stores.endpoint(application.id)
    start = await stores.configuration.changes(0)
    assert (set(start.sources), set(start.applications), set(start.endpoints)) == (
        {A}, {application.id}, {endpoint.id},
    )  # fmt: skip
    assert start.complete
    await stores.applications.change(application.id, renamed("new"))
    await stores.endpoints.delete(application.id, endpoint.id)
    later = await stores.configuration.changes(start.version)
    assert later.version == await stores.configuration.version() > start.version
    assert (later.sources, later.endpoints) == ({}, {endpoint.id: None})
    assert not later.complete
    changed = later.applications[application.id]
    assert changed is not None
    assert changed.name == "new"
    assert (await stores.configuration.changes(0)).endpoints == {}
    assert (await stores.configuration.changes(later.version)).version == later.version


async def test_a_store_that_was_emptied_is_noticed(stores: Stores) -> None:
    """Who asks for changes since a version that is not reached any more gets everything, and is told so."""
    for _ in range(3):
        await stores.source(A)
    since = (await stores.configuration.changes(0)).version
    await stores.redis.flushdb()
    await stores.source(B)
    changes = await stores.configuration.changes(since)
    assert changes.complete
    assert set(changes.sources) == {B}


async def test_lists_go_through_everything_once_in_either_order(stores: Stores) -> None:
    """Pages of two, forth and back, give each application's endpoints once, and nobody else's."""
    application, other = await stores.application(), await stores.application()
    made = [await stores.endpoint(application.id) for _ in range(5)]
    await stores.endpoint(other.id)
    expected = sorted(endpoint.id for endpoint in made)
    for descending in (False, True):
        seen: list[EndpointId] = []
        while page := (
            await stores.endpoints.page(
                application.id, after=seen[-1] if seen else None, limit=2, descending=descending
            )
        ).values:
            seen += [endpoint.id for endpoint in page]
        assert seen == (expected[::-1] if descending else expected)


async def test_an_endpoint_is_its_applications_only(stores: Stores) -> None:
    """By no id and no uid is another application's endpoint read, changed or deleted."""
    ours, theirs = await stores.application(), await stores.application()
    endpoint = await stores.endpoint(theirs.id, "crm")
    for name in (endpoint.id, "crm"):
        with pytest.raises(NotFound):
            await stores.endpoints.get(ours.id, name)
        with pytest.raises(NotFound):
            await stores.endpoints.change(ours.id, name, lambda e: e)
        with pytest.raises(NotFound):
            await stores.endpoints.delete(ours.id, name)


async def test_a_lane_goes_on_when_its_endpoint_is_enabled(stores: Stores) -> None:
    """Enabling, resuming or a new URL makes a parked lane ready; a new description does not."""
    await stores.source(A)
    application = await stores.application()
    endpoint = await stores.endpoint(application.id)

    async def state_after(*waiting: str, **changes: object) -> tuple[bytes | None, list[bytes], float | None]:
        await stores.redis.delete(keys.lane(A, endpoint.id), keys.ready(A))
        for reference in waiting:
            await stores.redis.rpush(keys.lane(A, endpoint.id), reference)  # type: ignore[misc]
        await stores.redis.hset(keys.lanes(A), endpoint.id, "p")  # type: ignore[misc]
        await stores.redis.zadd(keys.parked(A), {endpoint.id: NOW})
        await stores.endpoints.change(application.id, endpoint.id, lambda e: msgspec.structs.replace(e, **changes))
        return (
            await stores.redis.hget(keys.lanes(A), endpoint.id),  # type: ignore[misc]
            await stores.redis.lrange(keys.ready(A), 0, -1),  # type: ignore[misc]
            await stores.redis.zscore(keys.parked(A), endpoint.id),
        )

    parked, ready, idle = (b"p", [], NOW), (b"r", [endpoint.id.encode()], None), (None, [], None)
    assert await state_after("a7:0:abcde", description="d") == parked
    assert await state_after("a7:0:abcde", disabled=True) == parked
    assert await state_after("a7:0:abcde", url="https://other.test/") == parked
    assert await state_after("a7:0:abcde", disabled=False) == ready
    assert await state_after("a7:0:abcde", url="https://third.test/") == ready
    assert await state_after(paused=True) == parked
    assert await state_after(paused=False) == idle


async def test_a_saved_source_is_polled_at_the_next_tick(stores: Stores) -> None:
    """What was changed shows at once, however long the interval was before."""
    await stores.source(A)
    await stores.redis.zadd(keys.POLLS, {A: NOW})
    await stores.sources.change(A, lambda s: msgspec.structs.replace(s, paused=False))
    assert await stores.redis.zscore(keys.POLLS, A) == 0


async def _dump(redis: Redis) -> bytes:
    parts: list[bytes] = []
    async for key in redis.scan_iter():
        kind = (await redis.type(key)).decode()
        if kind == "string":
            parts.append(await redis.get(key))
        elif kind == "hash":
            parts += [part for pair in (await redis.hgetall(key)).items() for part in pair]  # type: ignore[misc]
        elif kind == "zset":
            parts += await redis.zrange(key, 0, -1)
        else:
            raise AssertionError(kind)
    return b"\n".join(parts)
