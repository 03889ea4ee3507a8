"""A POST with an idempotency-key has its effect once, however often it is sent; one that fails uses up no key."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from msgspec import structs

from relay.errors import StoreUnavailable
from relay.store import idempotency, request_keys
from relay.store.reconciliations import Range
from relay.store.records import Records
from relay.wiring import Stores
from tests.integration.api.storing import NOW, A, Store

URL = "https://hooks.example.com/in"
KEY = {"idempotency-key": "k"}
RIGHT: dict[str, dict[str, Any]] = {"/app": {"name": "Two"}, "/app/one/endpoint": {"url": URL}}
Sent = Callable[..., Awaitable[httpx.Response]]


@pytest.fixture
async def called(http: httpx.AsyncClient) -> httpx.AsyncClient:
    """A client; there is an application `one` with an endpoint `crm`."""
    await http.put("/app/one", json={"name": "One"})
    await http.put("/app/one/endpoint/crm", json={"url": URL})
    await http.put("/operational-webhook/endpoint/crm", json={"url": URL})
    return http


POSTS: dict[str, dict[str, Any] | None] = {
    "/api/v1/source/{uid}/pause": None,
    "/api/v1/source/{uid}/resume": None,
    "/api/v1/source/{uid}/poll": None,
    "/api/v1/source/{uid}/route/{route}/pause": None,
    "/api/v1/source/{uid}/route/{route}/resume": None,
    "/api/v1/source/{uid}/route/{route}/poll": None,
    "/api/v1/source/{uid}/backfill": {"route": "all", "since": "2026-01-31", "endpoints": "none"},
    "/api/v1/source/{uid}/reconciliation": {},
    "/api/v1/source/{uid}/reconciliation/{reconciliation_id}/repair": {},
    "/api/v1/app": {"name": "n"},
    "/api/v1/auth/app-portal-access/{app_id}": {},
    "/api/v1/auth/app/{app_id}/expire-all": {},
    "/api/v1/app/{app_id}/endpoint": {"url": URL},
    "/api/v1/app/{app_id}/msg": {"eventType": "a.b", "payload": {}, "eventId": "one"},
    "/api/v1/app/{app_id}/endpoint/{endpoint_id}/secret/rotate": {},
    "/api/v1/app/{app_id}/msg/{msg_id}/endpoint/{endpoint_id}/resend": None,
    "/api/v1/app/{app_id}/endpoint/{endpoint_id}/recover": {"since": "2026-01-31T00:00:00Z"},
    "/api/v1/app/{app_id}/endpoint/{endpoint_id}/replay-missing": {"since": "2026-01-31T00:00:00Z"},
    "/api/v1/app/{app_id}/endpoint/{endpoint_id}/bulk-replay": {},
    "/api/v1/app/{app_id}/endpoint/{endpoint_id}/send-example": {"eventType": "call.created"},
    "/api/v1/app/{app_id}/endpoint/{endpoint_id}/transformation/test": {},
    "/api/v1/app/{app_id}/poller/{sink_id}/consumer/{consumer_id}/seek": {"after": "2026-01-31T12:00:00Z"},
    "/api/v1/app/{app_id}/msg/{msg_id}/recording/link": {"expiresInSeconds": 60},
    "/api/v1/stats/usage/app": {"since": "2026-01-31T00:00:00Z", "until": "2026-02-01T00:00:00Z"},
    "/api/v1/erasure": {"phone": "+442079460958"},
    "/api/v1/event-type": {"name": "a.b", "description": "d"},
    "/api/v1/event-type/import/openapi": {"spec": {"webhooks": {"a.b": {}}}},
    "/api/v1/event-type/import/svix": {"eventTypes": [{"name": "a.b", "description": "d"}]},
    "/api/v1/operational-webhook/endpoint": {"url": URL},
    "/api/v1/operational-webhook/endpoint/{endpoint_id}/secret/rotate": {},
    "/api/v1/key": {"name": "n", "scopes": ["read"]},
    "/api/v1/key/{key_id}/rotate": {},
}
"""Every POST of the API, and a body for it."""
ONE_SHOT = {"/api/v1/auth/logout", "/portal/token"}
"""What ends with its first request: a token, and a code."""


async def test_every_post_is_tried_below(http: httpx.AsyncClient) -> None:
    """A new POST must be added above. Each declares the header."""
    document = (await http.get("https://relay.test/docs/openapi.json")).json()
    posts = {path: item["post"] for path, item in document["paths"].items() if "post" in item and path not in ONE_SHOT}
    assert set(posts) == set(POSTS)
    for operation in posts.values():
        assert "idempotency-key" in [each["name"] for each in operation["parameters"]]


@pytest.mark.parametrize("template", POSTS)
async def test_every_post_has_its_effect_once(
    called: httpx.AsyncClient, stores: Stores, store: Store, template: str
) -> None:
    """The same request gets the same answer, and changes nothing more. Another body, or query, under the key is 422."""
    key = (await called.post("/key", json={"name": "k", "scopes": ["read"]})).json()["id"]
    message = await store(A, 1)
    run = await stores.reconciliations.ask(A, Range(), now_ms=NOW)
    await stores.reconciliations.save(A, run, structs.replace(run, phase="done"))
    path = "http://relay" + template.format(
        uid="a",
        route="all",
        app_id="one",
        endpoint_id="crm",
        msg_id=message,
        key_id=key,
        reconciliation_id=run.id,
        sink_id="crm",
        consumer_id="one",
    )
    first = await called.post(path, json=POSTS[template], headers=KEY)
    assert first.status_code < 300, first.text
    before = await everything(stores)
    again = await called.post(path, json=POSTS[template], headers=KEY)
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert (again.headers["idempotent-replayed"], again.headers.get("content-type")) == (
        "true",
        first.headers.get("content-type"),
    )
    assert await everything(stores) == before
    for other in ({"json": {"other": 1}}, {"json": POSTS[template], "params": {"x": "1"}}):
        refused = await called.post(path, headers=KEY, **other)  # type: ignore[arg-type]
        assert (refused.status_code, refused.json()["detail"][0]["loc"]) == (422, ["header", "idempotency-key"])
    assert await everything(stores) == before


async def everything(stores: Stores) -> dict[bytes, Any]:
    """All that is stored, but for what counts requests."""
    counts = request_keys.quota(""), request_keys.KEY_USES
    names = [name async for name in stores.redis.scan_iter() if not name.startswith(tuple(c.encode() for c in counts))]
    return {name: await stores.redis.dump(name) for name in names}


async def test_a_key_belongs_to_one_principal_and_one_path(called: httpx.AsyncClient) -> None:
    """Another API key with the same idempotency-key makes a request of its own, and sees no answer of others."""
    body = {"name": "k", "scopes": ["application:write", "endpoint:write"]}
    other = (await called.post("/key", json=body)).json()["token"]
    first = await called.post("/app", json={"name": "n"}, headers=KEY)
    second = await called.post("/app", json={"name": "n"}, headers=KEY | {"authorization": f"Bearer {other}"})
    third = await called.post("/app/one/endpoint", json={"url": URL}, headers=KEY)
    assert [first.status_code, second.status_code, third.status_code] == [201, 201, 201]
    assert first.json()["id"] != second.json()["id"]


async def test_a_kept_answer_shows_no_secret(called: httpx.AsyncClient, stores: Stores) -> None:
    """It is encrypted, bound to its request, and kept for a day."""
    token = (await called.post("/key", json={"name": "k", "scopes": ["read"]}, headers=KEY)).json()["token"]
    (name,) = [name async for name in stores.redis.scan_iter(f"{request_keys.idempotency('')}*")]
    kept = await stores.redis.hgetall(name)  # type: ignore[misc]
    assert kept[b"answer"].startswith(b"v1.")
    for value in [value for each in (await everything(stores)) for value in (each, await stores.redis.dump(each))]:
        assert token.encode() not in value
        assert token[31:58].encode() not in value
    assert 0 < await stores.redis.pttl(name) <= idempotency.KEPT_MS


@pytest.mark.parametrize("path", RIGHT)
@pytest.mark.parametrize("wrong", [{"uid": "a b"}, {"colour": 1}, {"uid": "taken"}, {"filter": {"callDuraton": 1}}])
async def test_a_refused_request_uses_up_no_key(called: httpx.AsyncClient, path: str, wrong: Any) -> None:
    """The same key works for the request that is right, whatever was wrong with the first: 409 or 422."""
    await called.post(path, json=RIGHT[path] | {"uid": "taken"})
    refused = await called.post(path, json=RIGHT[path] | wrong, headers=KEY)
    assert refused.status_code in (409, 422)
    first, again = [await called.post(path, json=RIGHT[path], headers=KEY) for _ in range(2)]
    assert (first.status_code, first.json()) == (again.status_code, again.json())
    assert first.status_code == 201


@pytest.mark.parametrize("path", RIGHT)
async def test_a_refusal_is_not_repeated(called: httpx.AsyncClient, path: str) -> None:
    """When its cause is gone, the very same request succeeds."""
    taken = (await called.post(path, json=RIGHT[path] | {"uid": "taken"})).json()
    assert (await called.post(path, json=RIGHT[path] | {"uid": "taken"}, headers=KEY)).status_code == 409
    assert (await called.delete(f"{path}/{taken['id']}")).status_code == 204
    made = await called.post(path, json=RIGHT[path] | {"uid": "taken"}, headers=KEY)
    assert (made.status_code, made.json()["uid"]) == (201, "taken")


@pytest.mark.parametrize("path", [*RIGHT, "/key"])
@pytest.mark.parametrize("written", [False, True], ids=["before it wrote", "after it wrote"])
async def test_a_request_that_failed_inside_is_sent_again(
    called: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, path: str, written: bool
) -> None:
    """After a 503, the same request makes the object, or the one that it made already. The key is for no other one."""
    body = POSTS["/api/v1/key"] if path == "/key" else RIGHT[path]
    assert body is not None
    before = len((await called.get(path)).json()["data"])
    put = Records.put

    async def failing(self: Any, *args: Any, **options: Any) -> Any:
        if written:
            await put(self, *args, **options)
        raise StoreUnavailable("away")

    monkeypatch.setattr(Records, "put", failing)
    assert (await called.post(path, json=body, headers=KEY)).status_code == 503
    monkeypatch.undo()
    assert (await called.post(path, json=body | {"name": "Three"}, headers=KEY)).status_code == 422
    same = await called.post(path, json=body, headers=KEY)
    assert same.status_code == 201
    assert [each["id"] for each in (await called.get(path)).json()["data"]].count(same.json()["id"]) == 1
    assert len((await called.get(path)).json()["data"]) == before + 1
    if path == "/key":
        asked = await called.get("/app", headers={"authorization": f"Bearer {same.json()['token']}"})
        assert asked.status_code == 200


@pytest.mark.parametrize("path", RIGHT)
async def test_a_request_at_the_same_time_is_refused(
    called: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """409 says that the first is in progress; when it has ended, its object is answered."""
    put, begun, go_on = Records.put, asyncio.Event(), asyncio.Event()

    async def slow(self: Any, *args: Any, **options: Any) -> Any:
        begun.set()
        await go_on.wait()
        return await put(self, *args, **options)

    monkeypatch.setattr(Records, "put", slow)
    first = asyncio.create_task(called.post(path, json=RIGHT[path], headers=KEY))
    await begun.wait()
    second = await called.post(path, json=RIGHT[path], headers=KEY)
    assert (second.status_code, second.json()["code"], second.headers["retry-after"]) == (409, "in_progress", "1")
    assert "in progress" in second.json()["detail"]
    go_on.set()
    made = await first
    assert (await called.post(path, json=RIGHT[path], headers=KEY)).json() == made.json()


async def test_a_crash_leaves_no_key_locked(
    called: httpx.AsyncClient, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that died holds its key for a while; then the request makes the object that it had begun."""

    async def dying(*_: Any, **__: Any) -> None:
        raise StoreUnavailable("the process is dead")

    monkeypatch.setattr(idempotency.Idempotency, "answered", dying)
    made = await called.post("/app", json=RIGHT["/app"], headers=KEY)
    monkeypatch.undo()
    assert (await called.post("/app", json=RIGHT["/app"], headers=KEY)).status_code == 409
    [held] = [name async for name in stores.redis.scan_iter(request_keys.idempotency("*"))]
    await stores.redis.hset(held, "until", "0")  # type: ignore[misc]
    again = await called.post("/app", json=RIGHT["/app"], headers=KEY)
    assert (again.status_code, again.json()["id"]) == (201, made.json()["id"])


async def test_a_run_that_took_too_long_says_nothing_of_the_next_one(stores: Stores) -> None:
    """Its answer is dropped, and it does not give the key back."""
    request = idempotency.Repeatable("k", b"x")
    first = await stores.idempotency.begin(request, now_ms=1)
    assert isinstance(first, idempotency.Once)
    stores_key = request_keys.idempotency(first.name)
    await stores.redis.hset(stores_key, "until", "0")  # type: ignore[misc]
    second = await stores.idempotency.begin(request, now_ms=2)
    assert isinstance(second, idempotency.Once)
    assert second.new_id("app_") == first.new_id("app_")
    await stores.idempotency.refused(first)
    await stores.idempotency.answered(first, idempotency.Answer(201, "", b"first"))
    await stores.idempotency.answered(second, idempotency.Answer(201, "", b"second"))
    assert await stores.idempotency.begin(request, now_ms=3) == idempotency.Answer(201, "", b"second")


async def test_a_key_that_is_too_long_is_named(called: httpx.AsyncClient) -> None:
    """422, with the limit."""
    refused = await called.post("/app", json={"name": "n"}, headers={"idempotency-key": "k" * 257})
    (fault,) = refused.json()["detail"]
    assert (refused.status_code, fault["loc"]) == (422, ["header", "idempotency-key"])
    assert "256" in fault["msg"]
