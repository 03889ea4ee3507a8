"""Records of the configuration: when one is written, what that changes, and what happens to one of another release."""

import asyncio
import base64
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from msgspec import structs
from redis.asyncio import Redis

from relay.domain.model import (
    ApiKeyAuth,
    Application,
    BasicAuth,
    Endpoint,
    Secret,
    SigningKey,
    Source,
    SourceUid,
)
from relay.errors import Conflict, NotFound, Unreadable
from relay.pipeline.disabling import Disabling
from relay.store import keys
from relay.store.applications import Applications
from relay.store.configuration import Configuration
from relay.store.endpoints import Endpoints
from relay.store.operations import Operations
from relay.store.sources import Sources
from relay.store.vault import Vault
from tests.fakes.clock import StillClock
from tests.fakes.faulty_redis import Died, FaultyRedis, faulty
from tests.patience import PATIENCE_S

A, B = SourceUid("a"), SourceUid("b")
NOW = 1_790_000_000_000


class Stores:
    """The configuration's stores over one client."""

    def __init__(self, redis: FaultyRedis) -> None:
        vault = Vault([Secret(base64.b64encode(bytes(32)).decode())])
        self.redis = redis
        self.configuration = Configuration(redis, vault)
        self.sources, self.applications = Sources(redis, vault), Applications(redis, vault)
        self.endpoints = Endpoints(redis, vault)

    async def source(self, uid: SourceUid, **fields: Any) -> Source:
        """Make a source, or change it."""
        source = Source(
            uid=uid, name=uid, base_url="https://u.test", version="v2", igrp=1, auth=ApiKeyAuth("k"), routes=("all",)
        )
        return (await self.sources.put(uid, lambda _: structs.replace(source, **fields)))[0]

    async def application(self, **fields: Any) -> Application:
        """Make an application."""
        return await self.applications.create(lambda i: Application(id=i, name="n", **fields), now_ms=NOW)

    async def endpoint(self, application: Application, **fields: Any) -> Endpoint:
        """Make an endpoint."""
        values = {"url": "https://r.test/", "keys": (SigningKey(key="k"),), **fields}
        return await self.endpoints.create(lambda i: Endpoint(id=i, app_id=application.id, **values), now_ms=NOW)

    async def change(self, endpoint: Endpoint, **fields: Any) -> Endpoint:
        """Change an endpoint."""
        return await self.endpoints.change(endpoint.app_id, endpoint.id, lambda e: structs.replace(e, **fields))

    async def raised(self) -> tuple[int, int]:
        """The versions that pages of A and B must have been matched against."""
        return tuple([int(await self.redis.get(keys.subscriptions(uid)) or 0) for uid in (A, B)])  # type: ignore[return-value]

    async def fields(self, kind: str, object_id: str) -> dict[str, Any]:
        """A record as it stands."""
        return dict(msgspec.json.decode(await self.redis.hget(keys.config(kind), object_id)))  # type: ignore[misc]

    async def patch(self, kind: str, object_id: str, **fields: Any) -> None:
        """Change a record as another release would."""
        record = await self.fields(kind, object_id) | fields
        await self.redis.hset(keys.config(kind), object_id, msgspec.json.encode(record).decode())  # type: ignore[misc]


@pytest.fixture
async def stores(redis_url: str, redis: Redis) -> Any:
    """Over a client whose process may die."""
    client = faulty(redis_url)
    yield Stores(client)
    await client.aclose()


async def test_a_change_that_changes_nothing_is_none(stores: Stores) -> None:
    """It has no version, whatever time it says, and nobody is told."""
    await stores.source(A)
    application = await stores.application()
    endpoint = await stores.endpoint(application)
    version, raised = await stores.configuration.version(), await stores.raised()
    async with stores.redis.pubsub() as told:
        await told.subscribe(keys.CHANGED_CHANNEL)
        await told.get_message(timeout=PATIENCE_S)
        same = await stores.change(endpoint, updated_at_ms=NOW + 5)
        assert same.updated_at_ms == endpoint.updated_at_ms
        await stores.source(A, updated_at_ms=NOW + 5)
        await stores.applications.change(application.id, lambda a: structs.replace(a, updated_at_ms=NOW + 5))
        assert await told.get_message(timeout=0.1) is None
    assert (await stores.configuration.version(), await stores.raised()) == (version, raised)


@pytest.mark.parametrize(
    ("change", "matters"),
    [
        ({"description": "d"}, False),
        ({"disabled": True}, False),
        ({"url": "https://other.test/"}, False),
        ({"rate_limit": 5}, False),
        ({"order": "fifo"}, False),
        ({"headers": {"x": "y"}}, False),
        ({"event_types": ("call.created",)}, True),
        ({"channels": ("c",)}, True),
        ({"filter": {"act": "call"}}, True),
    ],
)
async def test_pages_are_matched_again_when_that_can_make_a_difference(
    stores: Stores, change: dict[str, Any], matters: bool
) -> None:
    """Every change of an endpoint has a version that workers are told of; few concern ingest."""
    await stores.source(A)
    await stores.source(B)
    endpoint = await stores.endpoint(await stores.application(sources=(A,)))
    version, (before, other) = await stores.configuration.version(), await stores.raised()
    await stores.change(endpoint, **change)
    newest = await stores.configuration.version()
    assert newest > version
    assert await stores.raised() == (newest if matters else before, other)


async def test_a_change_of_an_application_concerns_ingest_by_its_sources_and_filter_only(stores: Stores) -> None:
    """Not by its name or its rate limit; nor does a source that is paused."""
    await stores.source(A)
    await stores.source(B)
    application = await stores.application(sources=(A,))
    for change, matters in (({"name": "x"}, False), ({"rate_limit": 3}, False), ({"filter": {"act": "call"}}, True)):
        before = await stores.raised()
        await stores.applications.change(application.id, lambda a: structs.replace(a, **change))  # noqa: B023
        newest = await stores.configuration.version()
        assert await stores.raised() == ((newest, before[1]) if matters else before)
    await stores.applications.change(application.id, lambda a: structs.replace(a, sources=(B,)))
    assert await stores.raised() == (await stores.configuration.version(),) * 2
    before = await stores.raised()
    await stores.source(A, paused=True)
    assert await stores.raised() == before


@pytest.mark.parametrize("commands", range(8))
async def test_what_is_sent_again_after_a_crash_is_in_force_when_it_is_answered(stores: Stores, commands: int) -> None:
    """A writer that died before it raised what it had to is made good by its request, though that changes nothing."""
    await stores.source(A)
    endpoint = await stores.endpoint(await stores.application())
    stores.redis.faults.after(commands, takes_effect=False, kind=Died)
    with suppress(Died):
        await stores.change(endpoint, filter={"act": "call"})
    stores.redis.faults.stop()
    await stores.change(endpoint, filter={"act": "call"})
    assert (await stores.raised())[0] == await stores.configuration.version()


async def test_many_answers_of_410_disable_once(stores: Stores, redis_url: str) -> None:
    """One write and one operational event, however many attempts and workers say so; ingest is not concerned."""
    await stores.source(A)
    endpoint = await stores.endpoint(await stores.application())
    raised, history = await stores.raised(), await stores.redis.zcard(keys.config("history"))
    other = faulty(redis_url)
    workers = [Disabling(each.endpoints, StillClock()) for each in (stores, Stores(other))]
    await asyncio.gather(*(worker(endpoint, "410 Gone") for worker in workers for _ in range(32)))
    await other.aclose()
    disabled = await stores.endpoints.named(endpoint.id)
    assert (disabled.disabled, disabled.disabled_reason) == (True, "410 Gone")
    assert await stores.redis.zcard(keys.config("history")) == history + 1
    assert await stores.raised() == raised
    noted = await Operations(stores.redis).page(limit=10)
    assert [(each.kind, each.data["endpointId"], each.data["reason"]) for each in noted] == [
        ("endpoint.disabled", endpoint.id, "410 Gone")
    ]


async def test_an_endpoint_that_is_gone_or_newer_is_not_disabled(stores: Stores) -> None:
    """Nothing is raised at the worker that had an attempt under way."""
    application = await stores.application()
    gone, newer = await stores.endpoint(application), await stores.endpoint(application)
    await stores.endpoints.delete(application.id, gone.id)
    await stores.patch("endpoints", newer.id, v=2)
    for endpoint in (gone, newer):
        await Disabling(stores.endpoints, StillClock())(endpoint, "410 Gone")
    assert await Operations(stores.redis).page(limit=10) == []


async def test_a_new_order_has_a_new_version(stores: Stores) -> None:
    """What waits behind a key waits under one order only; nobody but the store counts them."""
    endpoint = await stores.endpoint(await stores.application())
    counts = []
    for change in ({"order": "fifo"}, {"description": "d"}, {"order": "keyed", "order_key": "vid"}, {"order_key": "x"},
                   {"order_version": 9}, {"order": "unordered"}):  # fmt: skip
        counts.append((await stores.change(endpoint, **change)).order_version)  # type: ignore[arg-type]
    assert counts == [1, 1, 2, 3, 3, 4]


async def test_fields_of_a_newer_release_stay(stores: Stores) -> None:
    """A record that is written again by an older one keeps what that does not know, also what is sealed."""
    await stores.source(A)
    application = await stores.application()
    endpoint = await stores.endpoint(application)
    await stores.patch("endpoints", endpoint.id, transformation={"$": 1}, oauth_secret="v1.sealed")
    await stores.patch("applications", application.id, labels=["x"])
    await stores.change(endpoint, description="d")
    await stores.applications.change(application.id, lambda a: structs.replace(a, name="new"))
    record = await stores.fields("endpoints", endpoint.id)
    assert (record["transformation"], record["oauth_secret"], record["description"]) == ({"$": 1}, "v1.sealed", "d")
    assert record["v"] == 1
    assert (await stores.fields("applications", application.id))["labels"] == ["x"]


async def test_a_write_that_would_drop_what_a_newer_release_knows_is_refused(stores: Stores) -> None:
    """Inside of a field that this release knows, it can't keep what it does not: it says so, and changes nothing."""
    await stores.source(A, auth=BasicAuth("u", "p"))
    record = await stores.fields("sources", A)
    vault = Vault([Secret(base64.b64encode(bytes(32)).decode())])
    auth = msgspec.json.decode(vault.open(record["auth"], "source|a|auth"))
    sealed = vault.seal(msgspec.json.encode(auth | {"realm": "r"}), "source|a|auth")
    await stores.patch("sources", A, auth=sealed)
    assert (await stores.sources.get(A)).auth == BasicAuth("u", "p")
    with pytest.raises(Conflict, match=r"newer release.*auth\.realm"):
        await stores.source(A, auth=BasicAuth("u", "p"), paused=True)
    assert (await stores.fields("sources", A))["auth"] == sealed
    await stores.sources.delete(A)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"v": 2}, "version 2"),
        ({"v": "1"}, "version '1'"),
        ({"url": 5}, "damaged"),
        ({"keys": "v1.nobody.x.y"}, "RELAY_ENCRYPTION_KEY"),
        ({"keys": "x"}, "seal is broken"),
        ({"keys": [{"key": "k"}]}, "not sealed"),
        ({"id": "ep_other"}, "id of another"),
        ({"rate_limit": 0}, "rate limit"),
        ({"order": "random"}, "damaged"),
    ],
)
async def test_what_cant_be_read_says_what_it_is_and_what_to_do(
    stores: Stores, fields: dict[str, Any], says: str
) -> None:
    """Reading or changing it names the record, the reason and the way out; no secret is in the words."""
    application = await stores.application()
    endpoint = await stores.endpoint(application, uid="crm")
    await stores.patch("endpoints", endpoint.id, **fields)
    for wrong in (
        stores.endpoints.get(application.id, endpoint.id),
        stores.endpoints.get(application.id, "crm"),
        stores.endpoints.named(endpoint.id),
        stores.change(endpoint, description="d"),
    ):
        with pytest.raises(Unreadable, match=f"endpoint {endpoint.id} can't be read: .*{says}.*PUT.*DELETE"):
            await wrong
    assert await stores.endpoints.read([endpoint.id]) == {}


async def test_what_cant_be_read_is_nobody_elses(stores: Stores) -> None:
    """By an id of another application's endpoint nobody finds out that it is there."""
    ours, theirs = await stores.application(), await stores.application()
    endpoint = await stores.endpoint(theirs)
    await stores.patch("endpoints", endpoint.id, v=2)
    with pytest.raises(NotFound):
        await stores.endpoints.get(ours.id, endpoint.id)
    with pytest.raises(NotFound):
        await stores.endpoints.change(ours.id, endpoint.id, lambda e: e)
    with pytest.raises(NotFound):
        await stores.endpoints.change(ours.id, endpoint.id, lambda e: e, replacement=lambda _: endpoint)
    with pytest.raises(NotFound):
        await stores.endpoints.delete(ours.id, endpoint.id)


@pytest.mark.parametrize("stored", ['{"v":2}', "{", "", '"x"'])
async def test_what_cant_be_read_can_be_deleted(stores: Stores, stored: str) -> None:
    """With its uid, and all that leads to it."""
    await stores.source(A)
    application = await stores.application(uid="tenant")
    endpoint = await stores.endpoint(application, uid="crm")
    await stores.redis.hset(keys.config("endpoints"), endpoint.id, stored)  # type: ignore[misc]
    await stores.endpoints.delete(application.id, endpoint.id)
    await stores.redis.hset(keys.config("applications"), application.id, stored)  # type: ignore[misc]
    await stores.applications.delete(application.id)
    await stores.redis.hset(keys.config("sources"), A, stored)  # type: ignore[misc]
    await stores.sources.delete(A)
    names = ("sources", "applications", "endpoints", "application_uids", "endpoint_uids", "index", "matched")
    assert await stores.redis.exists(*(keys.config(name) for name in names)) == 0
    assert await stores.redis.hlen(keys.config("deletions")) == 3  # type: ignore[misc]


async def test_what_cant_be_read_is_mended_by_a_whole_one(stores: Stores) -> None:
    """Under its id, and pages are matched again, for nobody knows what it was before."""
    await stores.source(A)
    application = await stores.application()
    endpoint = await stores.endpoint(application, uid="crm")
    await stores.patch("endpoints", endpoint.id, v=2, transformation=1)
    mended = await stores.endpoints.change(
        application.id, "crm", lambda _: pytest.fail("there is nothing to change"), replacement=lambda i: endpoint
    )
    assert mended == await stores.endpoints.get(application.id, "crm") == endpoint
    assert "transformation" not in await stores.fields("endpoints", endpoint.id)
    assert (await stores.raised())[0] == await stores.configuration.version()


async def test_lists_go_past_what_cant_be_read(stores: Stores) -> None:
    """A page is as long as it was asked for, and says what it left out."""
    application = await stores.application()
    made = sorted([(await stores.endpoint(application)).id for _ in range(6)])
    for endpoint in made[1:3]:
        await stores.patch("endpoints", endpoint, v=2)
    page = await stores.endpoints.page(application.id, after=None, limit=2)
    assert [each.id for each in page.values] == [made[0], made[3]]
    assert list(page.unreadable) == made[1:3]
    rest = await stores.endpoints.page(application.id, after=made[3], limit=9)
    assert ([each.id for each in rest.values], rest.unreadable) == (made[4:], {})
    assert len((await stores.endpoints.everywhere(after=None, limit=9)).values) == 4


async def test_a_uid_that_leads_nowhere_is_free(stores: Stores) -> None:
    """A store that lost an object and kept its uid gives the uid to the next one."""
    first = await stores.application(uid="crm")
    await stores.redis.hdel(keys.config("applications"), first.id)  # type: ignore[misc]
    second = await stores.application(uid="crm")
    assert (await stores.applications.get("crm")).id == second.id
    await stores.applications.delete("crm")
    with pytest.raises(NotFound):
        await stores.applications.get("crm")


async def test_an_application_with_a_source_that_is_gone_raises_nothing_of_it(stores: Stores) -> None:
    """No key of a source that was deleted comes back."""
    await stores.source(A)
    application = await stores.application(sources=(A, B))
    await stores.endpoint(application)
    assert not await stores.redis.exists(keys.subscriptions(B))
    assert await stores.configuration.sources_of(application) == [A]


async def test_every_source_is_looked_through_for_a_lane_that_goes_on(stores: Stores) -> None:
    """Also those that the application does not have any more."""
    await stores.source(A)
    await stores.source(B)
    endpoint = await stores.endpoint(await stores.application(sources=(A,)))
    await stores.change(endpoint, paused=True)
    for uid in (A, B):
        await stores.redis.rpush(keys.lane(uid, endpoint.id), "a7:0:abcde")  # type: ignore[misc]
        await stores.redis.hset(keys.lanes(uid), endpoint.id, "p")  # type: ignore[misc]
        await stores.redis.zadd(keys.parked(uid), {endpoint.id: NOW})
    await stores.change(endpoint, paused=False)
    for uid in (A, B):
        assert await stores.redis.hget(keys.lanes(uid), endpoint.id) == b"r"  # type: ignore[misc]


async def test_a_lane_goes_on_when_the_filter_of_its_endpoint_is_mended(stores: Stores) -> None:
    """It was put aside because nothing could be sent; any other change of a filter leaves a breaker alone."""
    await stores.source(A)
    endpoint = await stores.endpoint(await stores.application())
    await stores.redis.rpush(keys.lane(A, endpoint.id), "u7:0:abcde")  # type: ignore[misc]
    await stores.redis.hset(keys.lanes(A), endpoint.id, "p")  # type: ignore[misc]
    await stores.change(endpoint, filter={"act": "land"})
    assert await stores.redis.hget(keys.lanes(A), endpoint.id) == b"p"  # type: ignore[misc]
    await stores.patch("endpoints", endpoint.id, filter={"act": {"$like": "c"}})
    await stores.change(endpoint, description="d")
    assert await stores.redis.hget(keys.lanes(A), endpoint.id) == b"p"  # type: ignore[misc]
    await stores.change(endpoint, filter={"act": "call"})
    assert await stores.redis.hget(keys.lanes(A), endpoint.id) == b"r"  # type: ignore[misc]


async def test_records_without_a_version_are_read(stores: Stores) -> None:
    """The release before this one wrote none."""
    application = await stores.application()
    record = await stores.fields("applications", application.id)
    del record["v"]
    await stores.redis.hset(keys.config("applications"), application.id, msgspec.json.encode(record).decode())  # type: ignore[misc]
    assert await stores.applications.get(application.id) == application
