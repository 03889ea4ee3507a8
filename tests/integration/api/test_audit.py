"""The audit log: who changed what, when, and what it was before. It has no secrets, and bounds."""

from typing import Any

import httpx

from relay.store import request_keys
from relay.store.audit import Audit, Entry
from relay.store.journal import VALUE_MOST, Change
from relay.wiring import Stores
from tests.integration.api.conftest import TestClock
from tests.integration.api.test_api_keys import bearer, created

URL = "https://hooks.example.com/in"
SECRET = "hunter2-hunter2-hunter2"


async def log(http: httpx.AsyncClient, **query: Any) -> list[dict[str, Any]]:
    """What the log says, newest first."""
    answer = await http.get("/audit", params=query)
    assert answer.status_code == 200, answer.text
    entries: list[dict[str, Any]] = answer.json()["data"]
    return entries


async def test_an_entry_says_who_did_what_and_what_it_was_before(http: httpx.AsyncClient) -> None:
    """With the fields that changed."""
    key = await created(http, scopes=["write"], name="CRM")
    app = (await http.post("/app", json={"name": "One", "uid": "one", "throttleRate": 5})).json()
    sent = {**bearer(key["token"]), "x-request-id": "mine-1"}
    await http.patch("/app/one", json={"name": "Two", "throttleRate": 6}, headers=sent)
    (entry, *_) = await log(http)
    assert entry.pop("id")
    assert entry.pop("timestamp") == "2026-09-21T14:13:20.000Z"
    assert entry == {
        "principal": key["id"], "principalName": "CRM", "action": "application.update", "appId": app["id"],
        "address": "127.0.0.1", "requestId": "mine-1", "method": "PATCH", "path": "/api/v1/app/one", "status": 200,
        "changes": [
            {
                "object": f"application/{app['id']}",
                "before": {"name": "One", "throttleRate": 5},
                "after": {"name": "Two", "throttleRate": 6},
            }
        ],
    }  # fmt: skip


async def test_every_change_has_an_entry_and_no_other_request(http: httpx.AsyncClient) -> None:
    """A secret that is read counts as one. What was refused, or only read, changed nothing."""
    await http.put("/app/one", json={"name": "One"})
    await http.post("/app", json={"name": ""})
    await http.get("/app/one")
    await http.put("/app/one/endpoint/crm", json={"url": URL})
    await http.get("/app/one/endpoint/crm/secret")
    await http.post("/app/one/endpoint/crm/secret/rotate")
    await http.put("/app/one/endpoint/crm/headers", json={"headers": {"X-A": "1"}})
    await http.delete("/app/one/endpoint/crm")
    await http.delete("/app/none")
    assert [entry["action"] for entry in await log(http, order="ascending")] == [
        "application.replace", "endpoint.replace", "endpoint_secret.read", "endpoint_secret.rotate",
        "endpoint.headers", "endpoint.delete",
    ]  # fmt: skip
    objects = [entry["changes"][0]["object"].partition("/")[0] for entry in await log(http)]
    assert objects == ["endpoint"] * 5 + ["application"]
    deleted = (await log(http, action="endpoint.delete"))[0]["changes"][0]
    assert (deleted["before"]["url"], deleted["after"]) == (URL, None)


async def test_the_log_has_no_secrets(http: httpx.AsyncClient, stores: Stores) -> None:
    """Neither in its answers nor in the store: of a secret, it says that it changed."""
    source = {"baseUrl": "https://u.test", "igrp": 1, "auth": {"type": "apiKey", "key": SECRET}, "routes": ["all"]}
    await http.put("/source/s", json=source)
    await http.put("/app/one", json={"name": "One"})
    endpoint = {"url": URL, "headers": {"X-Api-Key": SECRET}, "auth": {"type": "bearer", "token": SECRET}}
    await http.put("/app/one/endpoint/crm", json=endpoint)
    signing = (await http.get("/app/one/endpoint/crm/secret")).json()["key"]
    rotated = (await http.post("/app/one/endpoint/crm/secret/rotate")).json()["key"]
    token = (await created(http))["token"]
    kept = b"".join(await stores.redis.hvals(request_keys.AUDIT)).decode()  # type: ignore[misc]
    for secret in (SECRET, signing, rotated, token, token[31:58]):
        assert secret not in kept
    (rotation,) = await log(http, action="endpoint_secret.rotate")
    assert rotation["changes"][0]["before"] == rotation["changes"][0]["after"] == {"keys": "••••"}


async def test_the_log_is_searched_by_who_what_which_and_when(http: httpx.AsyncClient, clock: TestClock) -> None:
    """Each alone, and together. The way back shows the same entries."""
    key = await created(http, scopes=["write"])
    for name in ("one", "two"):
        clock.at_ms += 1000
        await http.put(f"/app/{name}", json={"name": name}, headers=bearer(key["token"]))
        await http.put(f"/app/{name}/endpoint/crm", json={"url": URL})
    apps = {name: (await http.get(f"/app/{name}")).json()["id"] for name in ("one", "two")}
    assert len(await log(http)) == 5
    assert [e["action"] for e in await log(http, principal=key["id"])] == ["application.replace"] * 2
    assert [e["appId"] for e in await log(http, app="one")] == [apps["one"]] * 2
    assert [e["action"] for e in await log(http, object=f"application/{apps['one']}")] == ["application.replace"]
    assert [e["appId"] for e in await log(http, action="endpoint.replace", app="two")] == [apps["two"]]
    assert await log(http, object=f"application/{apps['one']}", app="two") == []
    assert len(await log(http, after="2026-09-21T14:13:21.500Z")) == 2
    assert len(await log(http, before="2026-09-21T14:13:21.500Z")) == 3


async def test_what_an_entry_says_is_bounded(http: httpx.AsyncClient) -> None:
    """A value that is too long is described by its length."""
    big = {"dgrpName": {"$in": [f"group {n}" for n in range(1000)]}}
    assert (await http.put("/app/one", json={"name": "One", "filter": big})).status_code == 201
    (entry,) = await log(http)
    assert entry["changes"][0]["after"]["filter"].endswith(" bytes)")
    assert len(str(entry)) < 2 * VALUE_MOST


async def test_the_log_is_kept_by_size_and_by_time(stores: Stores) -> None:
    """The oldest entries go first, from every index. The size is that of the entries."""
    entry = Entry(
        at_ms=1, principal="p", name="n", action="a.b", application="app_1", address="", request_id="", method="POST",
        path="", status=200, changes=[Change("x/1")],
    )  # fmt: skip
    audit = Audit(stores.redis, retention_s=60.0, most_bytes=2000)
    for _ in range(30):
        await audit.write(entry)
    positions = [position for position, _ in await audit.page("all", edge=None, newer=False, limit=100)]
    assert 2 <= len(positions) < 20
    for term in ("principal:p", "application:app_1", "object:x/1", "action:a.b"):
        found = await audit.page(term, edge=None, newer=False, limit=100)
        assert [position for position, _ in found] == positions
        assert 0 < await stores.redis.pttl(request_keys.audit_index(term)) <= 60_000
    sizes = [len(value) for value in await stores.redis.hvals(request_keys.AUDIT)]  # type: ignore[misc]
    assert int(await stores.redis.get(request_keys.AUDIT_BYTES) or 0) == sum(sizes) <= 2000
    await audit.trim(now_ms=60_001)
    assert len(await audit.page("all", edge=None, newer=False, limit=100)) == len(positions)
    await audit.trim(now_ms=60_002)
    assert await audit.page("all", edge=None, newer=False, limit=100) == []
    assert await stores.redis.get(request_keys.AUDIT_BYTES) == b"0"


async def test_a_change_without_its_entry_is_not_answered(http: httpx.AsyncClient, stores: Stores) -> None:
    """503: the client sends it again, and then there is an entry."""
    await stores.redis.set(request_keys.audit_index("all"), "not a zset")
    answer = await http.put("/app/one", json={"name": "One"})
    assert answer.status_code == 503
    await stores.redis.delete(request_keys.audit_index("all"))
    assert (await http.put("/app/one", json={"name": "Two"})).status_code == 200
    assert len(await log(http)) == 1
