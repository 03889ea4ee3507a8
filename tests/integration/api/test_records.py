"""What the API says of records that can't be used, of deletions that go on, and of names."""

from typing import Any
from urllib.parse import quote

import httpx
import msgspec
import pytest
from svix.api import EndpointListOptions, SvixAsync

from relay.api import deletions
from relay.domain.model import ApplicationId, EndpointId, SourceUid
from relay.store import keys
from relay.wiring import Stores, deleting_of
from tests.patience import PATIENCE_S

SOURCE = {"baseUrl": "https://u.test", "igrp": 1, "auth": {"type": "apiKey", "key": "k"}, "routes": ["all"]}
URL = "https://hooks.example.com/in"
S = SourceUid("s")


@pytest.fixture
async def app_id(http: httpx.AsyncClient) -> ApplicationId:
    """A source, and an application."""
    await http.put("/source/s", json=SOURCE)
    return ApplicationId((await http.post("/app", json={"name": "One", "uid": "one"})).json()["id"])


async def made(http: httpx.AsyncClient, **fields: Any) -> EndpointId:
    """An endpoint."""
    return EndpointId((await http.post("/app/one/endpoint", json={"url": URL, **fields})).json()["id"])


async def patch(stores: Stores, kind: str, object_id: str, **fields: Any) -> None:
    """Change a record as another release would."""
    record = msgspec.json.decode(await stores.redis.hget(keys.config(kind), object_id))  # type: ignore[misc,arg-type]
    await stores.redis.hset(keys.config(kind), object_id, msgspec.json.encode(record | fields).decode())  # type: ignore[misc]


async def test_what_cant_be_read_is_told(http: httpx.AsyncClient, stores: Stores, app_id: ApplicationId) -> None:
    """Reading it names the record, the reason and what to do; lists leave it out, and say so."""
    broken, fine = await made(http, uid="broken"), await made(http)
    for kind, record in (("endpoints", broken), ("sources", S)):
        await patch(stores, kind, record, v=2)
    for path, name in (
        ("/app/one/endpoint/broken", broken), (f"/app/{app_id}/endpoint/{broken}", broken),
        ("/app/one/endpoint/broken/secret", broken), ("/source/s", "source s"), ("/source/s/quarantine", "source s"),
    ):  # fmt: skip
        answer = await http.get(path)
        assert (answer.status_code, answer.json()["code"]) == (409, "unreadable")
        for words in (name, "version 2", "PUT", "DELETE"):
            assert words in answer.json()["detail"]
    listed = (await http.get("/app/one/endpoint")).json()
    assert [each["id"] for each in listed["data"]] == [fine]
    assert [each["id"] for each in listed["unreadable"]] == [broken]
    assert "version 2" in listed["unreadable"][0]["reason"]
    sources = (await http.get("/source")).json()
    assert (sources["data"], sources["unreadable"][0]["id"]) == ([], "s")
    assert "unreadable" not in (await http.get("/app")).json()
    await patch(stores, "applications", app_id, v=2)
    for path in ("/app/one", f"/app/{app_id}/endpoint", "/app/one/msg"):
        assert (await http.get(path)).json()["code"] == "unreadable"
    assert (await http.get("/app")).json()["unreadable"][0]["id"] == app_id


async def test_pages_show_what_cant_be_read_once(
    http: httpx.AsyncClient, stores: Stores, app_id: ApplicationId
) -> None:
    """On the page that it would stand on, forth and back, and the pages are as long as without it."""
    ids = sorted([await made(http) for _ in range(7)])
    for broken in (ids[0], ids[2], ids[3], ids[6]):
        await patch(stores, "endpoints", broken, v=2)
    for order, expected in (("ascending", ids), ("descending", ids[::-1])):
        seen: list[str] = []
        iterator, done = None, False
        while not done:
            query = {"limit": 1, "order": order} | ({"iterator": iterator} if iterator else {})
            page = (await http.get("/app/one/endpoint", params=query)).json()
            seen += [each["id"] for each in [*page.get("unreadable", []), *page["data"]]]
            iterator, done = page["iterator"], page["done"]
        assert sorted(seen) == sorted(expected)


async def test_a_put_of_all_of_it_mends_it(http: httpx.AsyncClient, stores: Stores, app_id: ApplicationId) -> None:
    """Sources keep their cursors, endpoints their ids and lanes; secrets must be given, or are made anew."""
    endpoint = await made(http, uid="crm")
    before = (await http.get("/app/one/endpoint/crm/secret")).json()["key"]
    token = await stores.routes.take(S)
    assert token is not None
    await stores.routes.start(S, "all", 99, token=token, now_ms=0)
    await stores.routes.save(S, "all", {"state": "stopped", "refused": 1}, token=token)
    for kind, record in (("endpoints", endpoint), ("sources", S)):
        await patch(stores, kind, record, v=2)
    assert (await http.patch("/app/one/endpoint/crm", json={"description": "d"})).status_code == 409
    assert (await http.post("/source/s/pause")).status_code == 409
    without = {name: value for name, value in SOURCE.items() if name != "auth"}
    assert (await http.put("/source/s", json=without)).status_code == 422
    source_again = await http.put("/source/s", json=SOURCE)
    assert (source_again.status_code, source_again.json()["routeStates"]["all"]["cursor"]) == (200, 99)
    source, (state,) = await stores.sources.get(S), await stores.routes.states(S, ["all"])
    assert source.times_written != state.tried_as
    mended = await http.put("/app/one/endpoint/crm", json={"url": URL, "filter": {"act": "call"}})
    assert (mended.status_code, mended.json()["id"], mended.json()["uid"]) == (200, endpoint, "crm")
    assert (await http.get("/app/one/endpoint/crm/secret")).json()["key"] != before
    await patch(stores, "applications", app_id, v=2)
    assert (await http.put("/app/one", json={"name": "Again"})).json()["id"] == app_id
    assert (await http.get("/app/one/endpoint/crm")).json()["id"] == endpoint


async def test_what_cant_be_read_can_be_deleted(http: httpx.AsyncClient, stores: Stores, app_id: ApplicationId) -> None:
    """Whatever stands in its place."""
    endpoint = await made(http, uid="crm")
    for kind, record, path in (
        ("endpoints", endpoint, "/app/one/endpoint/crm"), ("applications", app_id, f"/app/{app_id}"),
        ("sources", S, "/source/s"),
    ):  # fmt: skip
        await stores.redis.hset(keys.config(kind), record, "{")  # type: ignore[misc]
        assert (await http.get(path)).status_code == 409
        assert (await http.delete(path)).status_code == 204
        assert (await http.get(path)).status_code == 404


async def test_an_unfit_endpoint_says_why(http: httpx.AsyncClient, stores: Stores, app_id: ApplicationId) -> None:
    """When it is read, listed and changed; a filter that can be used ends it."""
    endpoint = await made(http, filter={"act": "call"})
    assert (await http.get(f"/app/one/endpoint/{endpoint}")).json()["unfitReason"] is None
    await patch(stores, "endpoints", endpoint, filter={"act": {"$like": "c"}})
    for answer in (
        await http.get(f"/app/one/endpoint/{endpoint}"),
        await http.patch(f"/app/one/endpoint/{endpoint}", json={"description": "d"}),
    ):
        assert "$like" in answer.json()["unfitReason"]
    assert "its filter" in (await http.get("/app/one/endpoint")).json()["data"][0]["unfitReason"]
    await stores.redis.rpush(keys.lane(S, endpoint), "u7:12:abcde")  # type: ignore[misc]
    waiting = (await http.get("/undelivered")).json()["data"]
    assert [(each["endpointId"], each["state"], each["reason"]) for each in waiting] == [
        (endpoint, "waiting", "endpoint_unfit")
    ]
    await http.patch(f"/app/one/endpoint/{endpoint}", json={"filter": {"act": "land"}})
    assert (await http.get("/undelivered")).json()["data"] == []
    assert (await http.get(f"/app/one/endpoint/{endpoint}")).json()["unfitReason"] is None
    await patch(stores, "applications", app_id, filter={"act": {"$like": "c"}})
    assert "application's filter" in (await http.get(f"/app/one/endpoint/{endpoint}")).json()["unfitReason"]
    messages = await http.get("/app/one/msg")
    assert (messages.status_code, messages.json()["code"]) == (409, "unreadable")


async def test_svix_reads_past_what_it_does_not_know(
    svix: SvixAsync, http: httpx.AsyncClient, stores: Stores, app_id: ApplicationId
) -> None:
    """Its client takes lists and endpoints with the relay's own fields."""
    broken, fine = await made(http), await made(http)
    await patch(stores, "endpoints", broken, v=2)
    listed = await svix.endpoint.list("one", EndpointListOptions(limit=10))
    assert [each.id for each in listed.data] == [fine]


async def test_a_uid_that_is_being_deleted_is_taken(
    http: httpx.AsyncClient, stores: Stores, monkeypatch: pytest.MonkeyPatch, app_id: ApplicationId
) -> None:
    """While a worker has lanes of the old source, a new one has to wait: 409, and when to try again."""
    monkeypatch.setattr(deletions, "FIRST_S", 0.1)
    monkeypatch.setattr(deletions, "WAIT_S", 0.1)
    await stores.redis.zadd(keys.sessions(S), {"worker": 2**52})
    assert (await http.delete("/source/s")).status_code == 204
    for status in ((await http.get("/source/s")).status_code, (await http.delete("/source/s")).status_code):
        assert status == 404
    answer = await http.put("/source/s", json=SOURCE)
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (409, "being_deleted", "2")
    assert "try again" in answer.json()["detail"]
    await stores.redis.delete(keys.sessions(S))
    for name in ("FIRST_S", "WAIT_S"):
        monkeypatch.setattr(deletions, name, PATIENCE_S)
    assert (await http.put("/source/s", json=SOURCE)).status_code == 201
    assert not await deleting_of(stores).round()


async def test_a_deletion_is_answered_though_the_rest_fails(
    http: httpx.AsyncClient, stores: Stores, app_id: ApplicationId
) -> None:
    """What was deleted is deleted: that something of it is in the way concerns nobody but the workers' log."""
    await stores.redis.set(keys.references(S), "no hash")
    assert (await http.delete("/source/s")).status_code == 204


@pytest.mark.parametrize("uid", [".", "..", "a b", "a/b", "é", "a\n", "a" * 257, "a:b", "{a}", "a*"])
async def test_a_name_is_checked_wherever_it_comes_from(
    http: httpx.AsyncClient, app_id: ApplicationId, uid: str
) -> None:
    """In bodies, in the paths of PUT, in an application's sources and in the queries of lists."""
    source = {"url": URL}
    answers = [
        await http.post("/app", json={"name": "n", "uid": uid}),
        await http.patch("/app/one", json={"uid": uid}),
        await http.post("/app/one/endpoint", json={**source, "uid": uid}),
        await http.patch("/app/one", json={"sources": [uid]}),
        await http.get("/undelivered", params={"source": uid}),
    ]
    if uid not in (".", "..", "a/b"):  # Those are other paths.
        name = quote(uid, safe="")
        answers += [
            await http.put(f"/app/{name}", json={"name": "n"}),
            await http.put(f"/app/one/endpoint/{name}", json=source),
            await http.put(f"/source/{name}", json=SOURCE),
            await http.delete(f"/source/{name}"),
        ]
    assert {answer.status_code for answer in answers} == {422}
    assert (await http.get("/app")).json()["data"][0]["uid"] == "one"
    assert len((await http.get("/app")).json()["data"]) == 1
