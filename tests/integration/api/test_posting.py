"""Posting messages through the API: shapes, ids, refusals, and who gets what."""

from typing import Any

import httpx
import pytest
from redis.asyncio import Redis
from svix.api import ApplicationIn, EventExampleIn, MessageIn, MessageListOptions, SvixAsync
from svix.api.errors.http_error import HttpError

from relay.domain.model import EndpointId, MessageId, StoredEvent
from relay.domain.post import Post
from relay.domain.streams import posts_of
from relay.errors import NotFound
from relay.pipeline.pressure import FULL
from relay.store import keys
from relay.store.posts import Posts
from relay.store.routes import NEWEST
from relay.wiring import Stores
from tests.integration.api.storing import NOW, A, Store

URL = "https://hooks.example.com/in"
ONE = {"eventType": "invoice.paid", "payload": {"n": 1}}


@pytest.fixture
async def app(http: httpx.AsyncClient) -> str:
    """The id of an application with the uid `one`."""
    return str((await http.post("/app", json={"name": "One", "uid": "one"})).json()["id"])


async def endpoint(http: httpx.AsyncClient, **fields: Any) -> EndpointId:
    """A new endpoint of `one`."""
    answer = await http.post("/app/one/endpoint", json={"url": URL, **fields})
    assert answer.status_code == 201, answer.text
    return EndpointId(answer.json()["id"])


async def lane(stores: Stores, app: str, endpoint: EndpointId) -> list[str]:
    """What waits for an endpoint."""
    found = await stores.redis.lrange(keys.lane(posts_of(app), endpoint), 0, -1)  # type: ignore[misc,arg-type]
    return [bytes(each).decode() for each in found]


async def test_svix_gets_its_shape(svix: SvixAsync, store: Store) -> None:
    """A posted message has what it was posted with, and is listed among the events of rows, newest first."""
    await svix.application.create(ApplicationIn(name="One", uid="one"))
    row = await store(A, 1, at_ms=NOW - 1)
    sent = MessageIn(
        event_type="invoice.paid", event_id="i-1", channels=["eu", "eu"], tags=["x"], payload={"total": 19.9}
    )
    out = await svix.message.create("one", sent)
    assert (out.event_type, out.event_id, out.channels, out.tags) == ("invoice.paid", "i-1", ["eu"], ["x"])
    assert out.id.startswith("msg_")
    listed = (await svix.message.list("one", MessageListOptions(with_content=True))).data
    assert [message.id for message in listed] == [out.id, row]
    assert listed[0].payload == {"total": 19.9}
    assert (await svix.message.get("one", "i-1")).id == out.id
    for options, expected in (
        (MessageListOptions(channel="eu"), [out.id]), (MessageListOptions(channel="us"), []),
        (MessageListOptions(tag="x"), [out.id]), (MessageListOptions(event_types=["invoice.paid"]), [out.id]),
        (MessageListOptions(event_types=["call.created"]), [row]),
    ):  # fmt: skip
        assert [message.id for message in (await svix.message.list("one", options)).data] == expected


async def test_an_event_id_is_taken_once(svix: SvixAsync, http: httpx.AsyncClient, app: str, stores: Stores) -> None:
    """409 as in Svix, also for the same content; the id is a function of application and eventId."""
    crm = await endpoint(http)
    first = await svix.message.create("one", MessageIn(event_type="a", event_id="e", payload={}))
    with pytest.raises(HttpError) as caught:
        await svix.message.create("one", MessageIn(event_type="a", event_id="e", payload={}))
    assert (caught.value.status_code, caught.value.code) == (409, "conflict")
    assert len(await lane(stores, app, crm)) == 1
    await http.post("/app", json={"name": "Two", "uid": "two"})
    other = await http.post("/app/two/msg", json={**ONE, "eventId": "e"})
    assert other.json()["id"] != first.id
    bare = [(await http.post("/app/one/msg", json=ONE)).json() for _ in range(2)]
    assert bare[0]["id"] != bare[1]["id"]
    assert bare[0]["eventId"] is None


@pytest.mark.parametrize("event_id", [None, "e"])
async def test_a_request_that_failed_behind_its_commit_is_repeated(
    http: httpx.AsyncClient, app: str, stores: Stores, event_id: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With an idempotency key the same request gets the message that it made, and there is one."""
    crm, headers = await endpoint(http), {"idempotency-key": "k"}
    append = Posts.append

    async def breaking(*args: Any, **fields: Any) -> None:
        await append(*args, **fields)
        raise OSError("the answer was lost")

    monkeypatch.setattr(Posts, "append", breaking)
    body = {**ONE, "eventId": event_id}
    assert (await http.post("/app/one/msg", json=body, headers=headers)).status_code == 500
    monkeypatch.setattr(Posts, "append", append)
    again = await http.post("/app/one/msg", json=body, headers=headers)
    assert again.status_code == 202
    assert len(await lane(stores, app, crm)) == 1
    assert (await http.get("/app/one/msg")).json()["data"] == [again.json()]


async def test_endpoints_are_chosen_by_type_channel_and_filter(
    http: httpx.AsyncClient, app: str, stores: Stores
) -> None:
    """Filters see the payload. The application's filter is about rows, and disabled endpoints keep what comes."""
    await http.patch("/app/one", json={"filter": {"act": "call"}})
    wanting = [
        await endpoint(http),
        await endpoint(http, eventTypes=["call.created"]),
        await endpoint(http, channels=["eu", "us"]),
        await endpoint(http, filter={"$fields": ["total"], "total": {"$gte": 10}, "source": "web"}),
        await endpoint(http, filter={"$fields": ["lines"], "lines.sku": "a-1"}, disabled=True),
    ]
    others = [
        await endpoint(http, eventTypes=["goal.created"]),
        await endpoint(http, channels=["asia"]),
        await endpoint(http, filter={"$fields": ["total"], "total": {"$gt": 10}}),
    ]
    payload = {"total": 10.0, "source": "web", "lines": [{"sku": "a-1"}]}
    answer = await http.post("/app/one/msg", json={"eventType": "call.created", "channels": ["eu"], "payload": payload})
    assert answer.status_code == 202, answer.text
    tag = answer.json()["id"][4:9]
    assert [await lane(stores, app, each) for each in wanting] == [[f"a1:255:{tag}"]] * 5
    assert [await lane(stores, app, each) for each in others] == [[]] * 3
    await http.post("/app/one/msg", json={"eventType": "call.created", "payload": {}})
    assert [len(await lane(stores, app, each)) for each in wanting] == [2, 2, 1, 1, 1]
    # An endpoint that is created or changed counts from then on.
    late = await endpoint(http, filter={"$fields": ["total"], "total": 10})
    await http.patch(f"/app/one/endpoint/{others[2]}", json={"filter": None})
    await http.post("/app/one/msg", json={"eventType": "other", "payload": payload})
    assert [len(await lane(stores, app, each)) for each in (late, others[2])] == [1, 1]


async def test_the_default_that_older_clients_send_is_taken(http: httpx.AsyncClient, app: str) -> None:
    """It says nothing that the relay does not do."""
    assert (await http.post("/app/one/msg", json=ONE | {"payloadRetentionPeriod": 90})).status_code == 202


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"eventType": "two words"}, "eventType"),
        ({"eventType": ""}, "eventType"),
        ({"eventId": "msg_1"}, "eventId"),
        ({"channels": []}, "channels"),
        ({"channels": ["a"] * 6}, "channels"),
        ({"tags": ["a b"]}, "tags"),
        ({"payload": []}, "payload"),
        ({"payload": None}, "payload"),
        ({"payloadRetentionPeriod": 30}, "payloadRetentionPeriod"),
        ({"deliverAt": "2027-01-01T00:00:00Z"}, "deliverAt"),
    ],
)
async def test_what_is_not_supported_is_refused(
    http: httpx.AsyncClient, app: str, stores: Stores, change: dict[str, Any], field: str
) -> None:
    """422 names the field, and nothing is stored."""
    answer = await http.post("/app/one/msg", json={**ONE, **change})
    assert (answer.status_code, answer.json()["detail"][0]["loc"][:2]) == (422, ["body", field])
    assert await stores.events.newest(posts_of(app)) == 0  # type: ignore[arg-type]


async def test_a_full_store_takes_nothing(http: httpx.AsyncClient, app: str, stores: Stores, redis: Redis) -> None:
    """503 with Retry-After while Redis is nearly full or the backlog is too long; also when Redis itself refuses."""
    for condition in ("store", "backlog"):
        await stores.redis.hset(keys.STANDING, condition, FULL)  # type: ignore[misc]
        refused = await http.post("/app/one/msg", json=ONE)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        await stores.redis.hdel(keys.STANDING, condition)  # type: ignore[misc]
    assert (await http.post("/app/one/msg", json=ONE)).status_code == 202
    await redis.config_set("maxmemory", 1)
    try:
        refused = await http.post("/app/one/msg", json={**ONE, "eventId": "e"})
    finally:
        await redis.config_set("maxmemory", 0)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert await stores.events.newest(posts_of(app)) == 1  # type: ignore[arg-type]
    assert (await http.post("/app/one/msg", json={**ONE, "eventId": "e"})).status_code == 202


async def test_nothing_is_posted_to_an_application_that_goes(
    http: httpx.AsyncClient, app: str, stores: Stores, redis: Redis
) -> None:
    """A request that read the application before it was deleted changes nothing after."""
    await http.post("/app/one/msg", json=ONE)
    application = await stores.applications.get(app)
    assert application.posts
    assert (await http.delete("/app/one")).status_code == 204
    stream = posts_of(application.id)
    assert [bytes(name) async for name in redis.scan_iter(match="relay:s:*")] == [keys.fence(stream).encode()]
    event = StoredEvent(MessageId("msg_" + "a" * 24), "", NOW, 1, b"\xff", b"{}", post=Post("a.b"))
    with pytest.raises(NotFound):
        await Posts(stores.redis).append(application.id, event, [], version=NEWEST, now_ms=NOW)


async def test_undelivered_posts_are_listed(http: httpx.AsyncClient, app: str, stores: Stores) -> None:
    """Those that wait for a paused endpoint, with their type and without a source or a rowId."""
    crm = await endpoint(http, paused=True)
    posted = (await http.post("/app/one/msg", json=ONE)).json()
    for query in ("", "?app=one", f"?endpoint={crm}"):
        (found,) = (await http.get(f"/undelivered{query}")).json()["data"]
        assert (found["msgId"], found["eventType"], found["state"]) == (posted["id"], "invoice.paid", "waiting")
        assert (found["source"], found["rowId"], found["kept"]) == (None, None, True)
    stats = (await http.get(f"/app/one/endpoint/{crm}/stats")).json()
    assert stats["sending"] == 1
    assert (await http.delete(f"/app/one/endpoint/{crm}")).status_code == 204
    assert not await lane(stores, app, crm)
    assert not await stores.redis.hgetall(keys.owed(posts_of(app)))  # type: ignore[misc,arg-type]


async def test_an_example_goes_to_one_endpoint(
    http: httpx.AsyncClient, svix: SvixAsync, app: str, stores: Stores
) -> None:
    """Whatever its types are, and as one of its messages; also of a type that was created, and of no other."""
    crm = await endpoint(http, uid="crm", eventTypes=["goal.created"])
    other = await endpoint(http)
    sent = await svix.endpoint.send_example("one", "crm", EventExampleIn(event_type="call.created"))
    assert (sent.event_type, sent.payload["type"]) == ("call.created", "call.created")
    paid = {"type": "object", "examples": [{"total": 5}]}
    made = {"name": "invoice.paid", "description": "It was paid.", "schemas": {"1": paid}}
    assert (await http.post("/event-type", json=made)).status_code == 201
    own = (await http.post("/app/one/endpoint/crm/send-example", json={"eventType": "invoice.paid"})).json()
    assert own["payload"] == {"total": 5}
    assert [len(await lane(stores, app, each)) for each in (crm, other)] == [2, 0]
    refused = await http.post("/app/one/endpoint/crm/send-example", json={"eventType": "call.creatd"})
    assert refused.status_code == 422
    assert "call.created" in refused.json()["detail"][0]["msg"]
