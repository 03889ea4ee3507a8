"""What GET answers can be put back as it is, and changes nothing: each resource, in every shape that it can have."""

import json
from typing import Any

import httpx
import pytest

from relay.domain.model import Endpoint
from relay.store import keys
from relay.wiring import Stores
from tests.fault.certificates import Authority

URL = "https://hooks.example.com/in"
SOURCE: dict[str, Any] = {
    "baseUrl": "https://u.test/",
    "igrp": 1,
    "routes": ["all"],
    "auth": {"type": "apiKey", "key": "k"},
}
PAIR = Authority().issue("relay", client=True)
CERTIFICATE = {"certificate": PAIR.certificate, "privateKey": PAIR.private_key}
OAUTH = {
    "type": "oauth2",
    "tokenUrl": "https://id.example.com/t",
    "clientId": "c",
    "clientSecret": "canary",
    "scope": "s",
}
HEADERS = {"X-Api-Key": "canary", "X-Team": "a"}
OLD_NAMES = {"filterTypes": "eventTypes", "rateLimit": "throttleRate"}


async def stored(stores: Stores) -> dict[str, Any]:
    """All that is stored of the configuration, decrypted, but for what counts writes."""
    found = await stores.configuration.changes(0)
    things = {**found.sources, **found.applications, **found.endpoints}
    return {
        key: str({n: getattr(v, n) for n in v.__struct_fields__ if n != "times_written"}) for key, v in things.items()
    }


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"auth": {"type": "basic", "username": "u", "password": "canary"}, "version": "v2"},
        {
            "name": "UK",
            "pollIntervalSeconds": 0.5,
            "batchSize": 5,
            "startRowId": 7,
            "routes": ["calls", "itemisedCalls"],
        },
        {"paused": True},
    ],
)
async def test_a_source_is_put_back(http: httpx.AsyncClient, stores: Stores, clock: Any, change: Any) -> None:
    """With its state, and without its secrets, which stay."""
    assert (await http.put("/source/s", json=SOURCE | change)).status_code == 201
    got, before = (await http.get("/source/s")).json(), await stored(stores)
    clock.at_ms += 60_000
    put = await http.put("/source/s", json=got)
    assert (put.status_code, put.json()) == (200, got)
    assert await stored(stores) == before


@pytest.mark.parametrize("path", ["id", "uid"])
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
@pytest.mark.parametrize(
    "change",
    [
        {},
        {"uid": None},
        {"throttleRate": 5, "metadata": {"a": "b"}, "sources": ["s"], "filter": {"dgrpName": "Sales"}},
        {"sources": []},
    ],
)
async def test_an_application_is_put_back(
    http: httpx.AsyncClient, stores: Stores, clock: Any, change: Any, method: str, path: str
) -> None:
    """By its id and by its uid; with the old names of fields, with the new ones, and with both."""
    await http.put("/source/s", json=SOURCE)
    made = (await http.post("/app", json={"name": "One", "uid": "one", **change})).json()
    at, before = f"/app/{made[path] or made['id']}", await stored(stores)
    clock.at_ms += 60_000
    for body in _generations((await http.get(at)).json()):
        put = await http.request(method, at, json=body)
        assert (put.status_code, put.json()) == (200, made)
    assert await stored(stores) == before


@pytest.mark.parametrize("path", ["id", "uid"])
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
@pytest.mark.parametrize(
    "change",
    [
        {},
        {"uid": None, "description": "d", "channels": ["c"], "metadata": {"a": "b"}, "throttleRate": 5},
        {"eventTypes": ["call.created"], "filter": {"callDuration": {"$gt": 5}}, "maxInFlight": 3, "paused": True},
        {"order": "keyed", "orderKey": "vid", "retrySchedule": [], "signatures": ["v1", "v1a"], "disabled": True},
        {"auth": {"type": "basic", "username": "u", "password": "canary"}, "headers": HEADERS, "retrySchedule": [0.5]},
        {"auth": {"type": "bearer", "token": "canary"}, "clientCertificate": CERTIFICATE},
        {"auth": OAUTH, "signatures": ["v1a"]},
        {"auth": OAUTH | {"tokenAuth": "body"}},
    ],
)  # fmt: skip
async def test_an_endpoint_is_put_back(
    http: httpx.AsyncClient, stores: Stores, clock: Any, change: Any, method: str, path: str
) -> None:
    """With everything that is hidden, which stays."""
    await http.post("/app", json={"name": "One", "uid": "one"})
    made = (await http.post("/app/one/endpoint", json={"url": URL, "uid": "crm", **change})).json()
    at, before = f"/app/one/endpoint/{made[path] or made['id']}", await stored(stores)
    clock.at_ms += 60_000
    for body in _generations((await http.get(at)).json()):
        put = await http.request(method, at, json=body)
        assert (put.status_code, put.json()) == (200, made), put.text
    headers = (await http.get(f"{at}/headers")).json()
    assert (await http.put(f"{at}/headers", json=headers)).status_code == 204
    assert await stored(stores) == before


async def test_an_endpoint_that_the_relay_disabled_is_put_back(http: httpx.AsyncClient, stores: Stores) -> None:
    """The reason stays, because the request is not what disabled it."""
    await http.post("/app", json={"name": "One", "uid": "one"})
    made = (await http.post("/app/one/endpoint", json={"url": URL, "uid": "crm"})).json()
    app = await stores.applications.get("one")
    endpoint: Endpoint = await stores.endpoints.get(app.id, "crm")
    await stores.endpoints.disable(endpoint, "it answered 410", now_ms=5)
    got = (await http.get("/app/one/endpoint/crm")).json()
    assert (await http.put(f"/app/one/endpoint/{made['id']}", json=got)).json() == got
    assert got["disabledReason"] == "it answered 410"


async def test_a_filter_and_a_url_that_are_stored_are_put_back(http: httpx.AsyncClient, stores: Stores) -> None:
    """Even if this release, or the operator's policy, would not take them any more. Others like them are refused."""
    await http.post("/app", json={"name": "One", "uid": "one"})
    await http.post("/app/one/endpoint", json={"url": URL, "uid": "crm"})
    old = {"callDuraton": {"$gt": 60}}
    for table, changes in (
        ("applications", {"filter": old}),
        ("endpoints", {"filter": old, "url": "https://10.0.0.1/"}),
    ):
        for key, record in (await stores.redis.hgetall(keys.config(table))).items():  # type: ignore[misc]
            await stores.redis.hset(keys.config(table), key, json.dumps(json.loads(record) | changes))  # type: ignore[misc]
    for path in ("/app/one", "/app/one/endpoint/crm"):
        got = (await http.get(path)).json()
        assert got["filter"] == old
        assert (await http.put(path, json=got)).json() == got
        assert (await http.patch(path, json={"filter": old | {"x": 1}})).status_code == 422


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_an_id_of_something_else_is_refused(http: httpx.AsyncClient, method: str) -> None:
    """The path names the object. A body that names another one was meant for that."""
    for uid in ("one", "two"):
        await http.post("/app", json={"name": uid, "uid": uid})
        await http.post(f"/app/{uid}/endpoint", json={"url": URL, "uid": "crm"})
        await http.put(f"/source/{uid}", json=SOURCE)
    paths = ["/app/{}", "/app/{}/endpoint/crm", *(["/source/{}"] if method == "PUT" else [])]
    for path in paths:
        one = (await http.get(path.format("one"))).json()
        answer = await http.request(method, path.format("two"), json=one)
        name = "uid" if path.startswith("/source") else "id"
        assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["body", name])


async def test_hidden_credentials_that_are_omitted_must_be_there(http: httpx.AsyncClient) -> None:
    """A secret is not carried over to another kind of credentials, token server or certificate."""
    await http.post("/app", json={"name": "One", "uid": "one"})
    made = {"url": URL, "uid": "crm", "auth": OAUTH, "clientCertificate": CERTIFICATE}
    assert (await http.post("/app/one/endpoint", json=made)).status_code == 201
    other = Authority().issue("relay", client=True)
    shown = {name: value for name, value in OAUTH.items() if name != "clientSecret"}
    for change, place in (
        ({"auth": {"type": "bearer"}}, "auth.token"),
        ({"auth": {"type": "basic", "username": "u"}}, "auth.password"),
        ({"auth": shown | {"tokenUrl": "https://other.example.com/t"}}, "auth.clientSecret"),
        ({"clientCertificate": {"certificate": other.certificate}}, "clientCertificate.privateKey"),
    ):
        answer = await http.patch("/app/one/endpoint/crm", json=change)
        assert answer.status_code == 422
        assert [".".join(fault["loc"][1:]) for fault in answer.json()["detail"]] == [place]
        assert "canary" not in answer.text
    assert (await http.patch("/app/one/endpoint/crm", json={"auth": shown | {"scope": None}})).status_code == 200


async def test_a_put_without_a_uid(http: httpx.AsyncClient) -> None:
    """By id it removes the uid, as in Svix. By uid it keeps it, so that the same PUT can be sent again."""
    app = (await http.put("/app/one", json={"name": "One"})).json()
    endpoint = (await http.put("/app/one/endpoint/crm", json={"url": URL})).json()
    assert (app["uid"], endpoint["uid"]) == ("one", "crm")
    for uid in ({}, {"uid": None}):
        again = await http.put("/app/one/endpoint/crm", json={"url": URL, **uid})
        assert (again.status_code, again.json()["uid"]) == (200, "crm")
        again = await http.put("/app/one", json={"name": "One", **uid})
        assert (again.status_code, again.json()["uid"]) == (200, "one")
    assert (await http.put(f"/app/one/endpoint/{endpoint['id']}", json={"url": URL})).json()["uid"] is None
    assert (await http.get("/app/one/endpoint/crm")).status_code == 404
    assert (await http.put(f"/app/{app['id']}", json={"name": "One"})).json()["uid"] is None
    assert (await http.get("/app/one")).status_code == 404
    renamed = await http.put(f"/app/{app['id']}", json={"name": "One", "uid": "uno"})
    assert (renamed.json()["id"], renamed.json()["uid"]) == (app["id"], "uno")
    assert (await http.put("/app/uno", json={"name": "One", "uid": "one"})).json()["id"] == app["id"]
    assert (await http.patch("/app/one", json={"uid": None})).json()["uid"] is None


def _generations(got: dict[str, Any]) -> list[dict[str, Any]]:
    """A body as clients of both generations would send it, and with both names of a field."""
    return [
        got,
        {name: value for name, value in got.items() if name not in OLD_NAMES},
        {name: value for name, value in got.items() if name not in OLD_NAMES.values()},
    ]
