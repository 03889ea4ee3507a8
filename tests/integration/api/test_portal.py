"""Access to the portal: Svix's client gets a link and a token, which reaches one application, for a time."""

from typing import Any

import httpx
import pytest
from msgspec.structs import replace
from svix.api import ApplicationTokenExpireIn, AppPortalAccessIn, SvixAsync, SvixOptions
from svix.api.errors.http_error import HttpError

from relay.domain.principals import ADMIN
from relay.domain.tokens import read_token
from relay.store import portal, request_keys
from relay.wiring import Stores
from tests.integration.api.conftest import KEY, TestClock

ACCESS = "/auth/app-portal-access/one"
ENDPOINT = {"url": "https://hooks.example.com/in"}


def bearer(token: str) -> dict[str, str]:
    """The header of a token."""
    return {"authorization": f"Bearer {token}"}


@pytest.fixture(autouse=True)
async def applications(http: httpx.AsyncClient) -> None:
    """Two, each with an endpoint."""
    for uid in ("one", "two"):
        await http.put(f"/app/{uid}", json={"name": uid})
        await http.put(f"/app/{uid}/endpoint/crm", json=ENDPOINT)


async def access(http: httpx.AsyncClient, **body: Any) -> dict[str, str]:
    """A link and its token."""
    answer = await http.post(ACCESS, json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, str] = answer.json()
    return found


async def exchange(http: httpx.AsyncClient, url: str) -> httpx.Response:
    """What the portal does with the last part of its path."""
    return await http.post("http://relay/portal/token", json={"code": url.rpartition("/")[2]}, headers=bearer(""))


async def test_svixs_client_lets_a_subscriber_in(svix: SvixAsync, base_url: str, http: httpx.AsyncClient) -> None:
    """The token works with the client, for one application; it logs out, and then it is over."""
    given = await svix.authentication.app_portal_access("one", AppPortalAccessIn(expiry=3600, session_id="s"))
    assert given.url.startswith("https://relay.example.com/console/portal/")
    assert given.token not in given.url
    subscriber = SvixAsync(given.token, SvixOptions(server_url=base_url, retry_schedule=[]))
    try:
        assert [each.uid for each in (await subscriber.endpoint.list("one")).data] == ["crm"]
        with pytest.raises(HttpError) as refused:
            await subscriber.endpoint.list("two")
        assert refused.value.status_code == 404
        await subscriber.authentication.logout()
        with pytest.raises(HttpError) as ended:
            await subscriber.endpoint.list("one")
        assert ended.value.status_code == 401
    finally:
        await subscriber._httpx_client.aclose()


async def test_svixs_client_ends_sessions(svix: SvixAsync, http: httpx.AsyncClient) -> None:
    """Those of a session, or all of an application, and none of another one."""
    first, second = await access(http, sessionId="a"), await access(http, sessionId="b")
    other = (await http.post("/auth/app-portal-access/two", json={})).json()["token"]
    await svix.authentication.expire_all("one", ApplicationTokenExpireIn(session_ids=["a"]))
    assert (await http.get("/app/one", headers=bearer(first["token"]))).status_code == 401
    assert (await http.get("/app/one", headers=bearer(second["token"]))).status_code == 200
    await svix.authentication.expire_all("one", ApplicationTokenExpireIn())
    assert (await http.get("/app/one", headers=bearer(second["token"]))).status_code == 401
    assert (await http.get("/app/two", headers=bearer(other))).status_code == 200


async def test_sessions_end_in_some_seconds(http: httpx.AsyncClient, stores: Stores) -> None:
    """A token that would expire sooner is not given more time."""
    soon = (await access(http, expiry=60))["token"]
    late = (await access(http, expiry=7200))["token"]
    assert (await http.post("/auth/app/one/expire-all", json={"expiry": 600})).status_code == 204
    lives = []
    for token in (soon, late):
        found = await http.get("/principal", headers=bearer(token))
        assert found.status_code == 200
        lives.append(await stores.redis.pttl(request_keys.portal_token(found.json()["id"])))
    assert lives[0] <= 60_000 < lives[1] <= 600_000


async def test_a_code_works_once(http: httpx.AsyncClient) -> None:
    """It gives the token and what it can do; neither a second use nor a guess gives anything."""
    given = await access(http, readOnly=True)
    answer = await exchange(http, given["url"])
    assert answer.status_code == 200
    found = answer.json()
    one = (await http.get("/app/one")).json()["id"]
    assert (found["token"], found["appId"], found["isPortal"]) == (given["token"], one, True)
    assert found["scopes"] == [
        "application:read", "attempt:read", "endpoint:read", "event_type:read", "message:read",
    ]  # fmt: skip
    shown = (await http.get("/principal", headers=bearer(given["token"]))).json()
    assert shown == {name: value for name, value in found.items() if name != "token"}
    for url in (given["url"], "https://relay.example.com/console/portal/guess"):
        again = await exchange(http, url)
        assert (again.status_code, again.json()["code"]) == (401, "authentication_failed")


async def test_a_code_of_an_ended_token_gives_nothing(http: httpx.AsyncClient) -> None:
    """Links that were not opened end with their tokens."""
    given = await access(http)
    await http.post("/auth/app/one/expire-all", json={})
    assert (await exchange(http, given["url"])).status_code == 401


@pytest.mark.parametrize(
    ("body", "allowed"),
    [
        ({"readOnly": True}, set()),
        ({"capabilities": ["ViewBase", "ViewEndpointSecret"]}, {"secret"}),
        ({"capabilities": ["ManageEndpointSecret"]}, {"secret", "rotate"}),
        ({"capabilities": ["CreateAttempts"]}, {"recover"}),
        ({"capabilities": ["ManageEndpoint"]}, {"secret", "rotate", "change"}),
        ({}, {"secret", "rotate", "change", "recover"}),
    ],
    ids=["read only", "view secret", "manage secret", "attempts", "manage", "all"],
)
async def test_capabilities(http: httpx.AsyncClient, body: dict[str, Any], allowed: set[str]) -> None:
    """Each is what Svix says; none posts messages, sees the audit log or makes keys."""
    headers = bearer((await access(http, **body))["token"])
    calls = {
        "secret": await http.get("/app/one/endpoint/crm/secret", headers=headers),
        "rotate": await http.post("/app/one/endpoint/crm/secret/rotate", json={}, headers=headers),
        "change": await http.patch("/app/one/endpoint/crm", json={"description": "x"}, headers=headers),
        "recover": await http.post(
            "/app/one/endpoint/crm/recover", json={"since": "2026-09-20T00:00:00Z"}, headers=headers
        ),
        "post": await http.post("/app/one/msg", json={"eventType": "a.b", "payload": {}}, headers=headers),
        "audit": await http.get("/audit", headers=headers),
        "key": await http.get("/key", headers=headers),
        "access": await http.post(ACCESS, json={}, headers=headers),
        "application": await http.patch("/app/one", json={"name": "x"}, headers=headers),
        "source": await http.get("/source", headers=headers),
    }
    assert {name for name, answer in calls.items() if answer.status_code != 403} == allowed
    assert (await http.get("/app/one/msg", headers=headers)).status_code == 200


async def test_a_token_expires(http: httpx.AsyncClient, clock: TestClock) -> None:
    """At the second that was asked for; no token works longer than the key that made it."""
    token = (await access(http, expiry=3600))["token"]
    clock.at_ms += 3_599_000
    assert (await http.get("/app/one", headers=bearer(token))).status_code == 200
    clock.at_ms += 1_000
    assert (await http.get("/app/one", headers=bearer(token))).status_code == 401
    body = {"name": "k", "scopes": ["read", "write", "endpoint_secret:write", "key:write"], "appId": "one"}
    key = (await http.post("/key", json=body | {"expiresAt": "2026-09-21T15:30:00Z"})).json()["token"]
    made = await http.post(ACCESS, json={}, headers=bearer(key))
    shown = (await http.get("/principal", headers=bearer(made.json()["token"]))).json()
    assert shown["expiresAt"] == "2026-09-21T15:30:00.000Z"


async def test_nobody_gives_more_than_they_have(http: httpx.AsyncClient) -> None:
    """A key without a scope cannot give it to a subscriber, nor let anybody into another application."""
    body = {"name": "k", "scopes": ["read", "key:write"], "appId": "one"}
    headers = bearer((await http.post("/key", json=body)).json()["token"])
    assert (await http.post(ACCESS, json={}, headers=headers)).status_code == 403
    assert (await http.post(ACCESS, json={"readOnly": True}, headers=headers)).status_code == 200
    assert (await http.post("/auth/app-portal-access/two", json={}, headers=headers)).status_code == 404
    assert (await http.post("/auth/app-portal-access/app_operational", json={})).status_code == 409
    assert (await http.post("/auth/logout", headers=headers)).status_code == 409


@pytest.mark.parametrize(
    "body",
    [
        {"expiry": 59},
        {"expiry": 604_801},
        {"capabilities": ["ManageTransformations"]},
        {"capabilities": ["Everything"]},
        {"readOnly": True, "capabilities": ["ManageEndpoint"]},
        {"featureFlags": ["beta"]},
        {"sessionId": "a b"},
    ],
    ids=["short", "long", "transformations alone", "unknown", "contradiction", "flags", "session"],
)
async def test_what_cannot_be_given_is_refused(http: httpx.AsyncClient, body: dict[str, Any]) -> None:
    """With the field that is wrong."""
    answer = await http.post(ACCESS, json=body)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"][1] in body


async def test_an_application_is_created_with_its_first_link(svix: SvixAsync, http: httpx.AsyncClient) -> None:
    """As in Svix, if the body has it; one that exists is not changed."""
    body = {"application": {"name": "New"}}
    for _ in range(2):
        assert (await http.post("/auth/app-portal-access/new", json=body)).status_code == 200
    assert (await http.get("/app/new")).json()["name"] == "New"
    assert (await http.post("/auth/app-portal-access/none", json={})).status_code == 404


async def test_tokens_are_bounded_and_gone_with_their_application(
    http: httpx.AsyncClient, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that would expire first makes room; a deleted application lets nobody in."""
    monkeypatch.setattr(portal, "TOKENS_MOST", 2)
    tokens = [(await access(http, expiry=3600 + n))["token"] for n in range(3)]
    works = [(await http.get("/app/one", headers=bearer(each))).status_code for each in tokens]
    assert works == [401, 200, 200]
    await http.delete("/app/one")
    assert (await http.get("/app/one", headers=bearer(tokens[2]))).status_code == 401


async def test_the_store_has_no_token(http: httpx.AsyncClient, stores: Stores) -> None:
    """Neither a token nor a code stands in Redis in a form that can be used."""
    given = await access(http)
    code = given["url"].rpartition("/")[2]
    dump = b""
    async for name in stores.redis.scan_iter(match="relay:{config}:portal*"):
        dump += name + (await stores.redis.get(name) if await stores.redis.type(name) == b"string" else b"")
    assert dump
    assert given["token"].encode() not in dump
    assert code.encode() not in dump


async def test_the_audit_log_says_who_let_somebody_in(http: httpx.AsyncClient) -> None:
    """The id of the token, and no token."""
    given = await access(http, sessionId="s")
    entry = (await http.get("/audit", params={"limit": 1})).json()["data"][0]
    found = (await http.get("/principal", headers=bearer(given["token"]))).json()
    assert entry["action"] == "portal.create"
    assert found["id"] in str(entry)
    assert given["token"] not in str(entry)
    assert KEY not in str(entry)


@pytest.mark.parametrize("body", [{"readOnly": True}, {}], ids=["read only", "all"])
async def test_no_token_moves_a_consumer(http: httpx.AsyncClient, body: dict[str, Any]) -> None:
    """A GET acknowledges messages of the subscriber's own program, which would then miss them. Reading is allowed."""
    at = "/app/one/poller/pull"
    await http.put("/app/one/endpoint/pull", json={"type": "poller"})
    headers = bearer((await access(http, **body))["token"])
    assert (await http.get(at, headers=headers)).status_code == 200
    moved = [
        await http.get(f"{at}/consumer/c", headers=headers),
        await http.post(f"{at}/consumer/c/seek", json={"after": "2026-01-31T12:00:00Z"}, headers=headers),
    ]
    assert [each.status_code for each in moved] == [403, 403]


async def test_tokens_of_an_application_share_one_quota(http: httpx.AsyncClient, stores: Stores) -> None:
    """Each page view of a subscriber can make another token, so their number must not multiply what they can take."""
    given = [await access(http), await access(http), (await http.post("/auth/app-portal-access/two", json={})).json()]
    apps = [(await http.get(f"/app/{uid}")).json()["id"] for uid in ("one", "one", "two")]
    counted = []
    for each, app in zip(given, apps, strict=True):
        read = read_token(each["token"])
        assert read is not None
        subscriber = replace(ADMIN, id=read[0], application=app)
        quota = await stores.quotas.of_principal(subscriber, per_minute=1, now_ms=0)
        counted.append(quota and quota.counted)
    assert counted == [True, False, True]
