"""API keys: shown once, hashed, rotated with overlap, gone when deleted. Nobody gives more than they have."""

from typing import Any

import httpx
import pytest
from svix.api import EndpointIn, SvixAsync, SvixOptions
from svix.api.errors.http_error import HttpError

from relay.domain.tokens import SECRETS_MOST
from relay.wiring import Stores, deleting_of
from tests.integration.api.conftest import TestClock
from tests.patience import PATIENCE_S

URL = "https://hooks.example.com/in"
DAY_MS = 86_400_000


def bearer(token: str) -> dict[str, str]:
    """The header of a token."""
    return {"authorization": f"Bearer {token}"}


async def created(http: httpx.AsyncClient, *, by: dict[str, str] | None = None, **body: Any) -> dict[str, Any]:
    """A new key."""
    answer = await http.post("/key", json={"name": "k", "scopes": ["read"], **body}, headers=by or {})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def status(http: httpx.AsyncClient, token: str, path: str = "/app") -> int:
    """What a token gets."""
    return (await http.get(path, headers=bearer(token))).status_code


async def test_a_token_is_shown_once_and_kept_hashed(http: httpx.AsyncClient, stores: Stores) -> None:
    """No other answer, and nothing in the store, has it."""
    made = await created(http, name="CRM")
    token = made.pop("token")
    assert token.startswith("rlk_")
    assert made["censoredToken"] == f"rlk_…{token[-4:]}"
    shown = (await http.get(f"/key/{made['id']}")).json()
    assert shown == made
    assert (await http.get("/key")).json()["data"] == [made]
    assert await status(http, token) == 200
    for name in [name async for name in stores.redis.scan_iter()]:
        assert token[31:58].encode() not in await stores.redis.dump(name)


async def test_a_key_notes_its_last_use(http: httpx.AsyncClient, clock: TestClock) -> None:
    """With the time of the request, also of one that is refused for lack of a scope."""
    made = await created(http)
    assert made["lastUsedAt"] is None
    clock.at_ms += 60_000
    await http.post("/app", json={"name": "n"}, headers=bearer(made["token"]))
    used = (await http.get(f"/key/{made['id']}")).json()["lastUsedAt"]
    assert used > made["createdAt"]
    assert (await http.get("/key")).json()["data"][0]["lastUsedAt"] == used


async def test_a_deleted_key_lets_nobody_in(http: httpx.AsyncClient, stores: Stores) -> None:
    """At once, and it leaves nothing behind."""
    made = await created(http)
    assert await status(http, made["token"]) == 200
    assert (await http.delete(f"/key/{made['id']}")).status_code == 204
    assert await status(http, made["token"]) == 401
    assert (await http.get(f"/key/{made['id']}")).status_code == 404
    assert await stores.api_keys.last_used([made["id"]]) == [None]


async def test_a_rotated_key_works_with_both_tokens_for_a_while(http: httpx.AsyncClient, clock: TestClock) -> None:
    """The replaced token works until its grace period ends, also if the key is rotated again; 0 ends it at once."""
    made = await created(http)
    first = made["token"]
    second = (await http.post(f"/key/{made['id']}/rotate", json={"gracePeriodSeconds": 60})).json()
    third = (await http.post(f"/key/{made['id']}/rotate")).json()
    assert second["replacedUntil"] < third["replacedUntil"]
    tokens = [first, second["token"], third["token"]]
    assert [await status(http, token) for token in tokens] == [200, 200, 200]
    clock.at_ms += 60_000
    assert [await status(http, token) for token in tokens] == [401, 200, 200]
    clock.at_ms += DAY_MS
    assert [await status(http, token) for token in tokens] == [401, 401, 200]
    assert (await http.get(f"/key/{made['id']}")).json()["replacedUntil"] is None
    fourth = (await http.post(f"/key/{made['id']}/rotate", json={"gracePeriodSeconds": 0})).json()
    assert [await status(http, token) for token in (third["token"], fourth["token"])] == [401, 200]


async def test_a_key_has_few_tokens_at_a_time(http: httpx.AsyncClient) -> None:
    """One more is 409, and changes nothing."""
    made = await created(http)
    for _ in range(SECRETS_MOST - 1):
        assert (await http.post(f"/key/{made['id']}/rotate")).status_code == 200
    refused = await http.post(f"/key/{made['id']}/rotate")
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert await status(http, made["token"]) == 200


async def test_a_key_expires(http: httpx.AsyncClient, clock: TestClock) -> None:
    """It stops working at the time, and works again if the time is moved."""
    made = await created(http, expiresAt="2026-09-21T14:13:21Z")
    assert made["expiresAt"] == "2026-09-21T14:13:21.000Z"
    assert await status(http, made["token"]) == 200
    clock.at_ms = 1_790_000_001_000
    assert await status(http, made["token"]) == 401
    assert (await http.patch(f"/key/{made['id']}", json={"expiresAt": None})).json()["expiresAt"] is None
    assert await status(http, made["token"]) == 200
    past = await http.patch(f"/key/{made['id']}", json={"expiresAt": "2020-01-01T00:00:00Z"})
    assert (past.status_code, past.json()["detail"][0]["loc"]) == (422, ["body", "expiresAt"])


async def test_a_change_of_scopes_applies_to_the_next_request(http: httpx.AsyncClient) -> None:
    """In both directions."""
    made = await created(http)
    assert await status(http, made["token"], "/source") == 200
    changed = await http.patch(f"/key/{made['id']}", json={"scopes": ["event_type:read"], "name": "other"})
    assert (changed.json()["scopes"], changed.json()["name"]) == (["event_type:read"], "other")
    assert await status(http, made["token"], "/source") == 403
    assert await status(http, made["token"], "/event-type") == 200


@pytest.mark.parametrize("given", ["rlk_x", "rlk_" + "a" * 62, "key_1", "rlk_"])
async def test_what_is_no_token_is_refused_without_a_lookup(http: httpx.AsyncClient, given: str) -> None:
    """The checksum tells."""
    answer = await http.get("/app", headers=bearer(given))
    assert (answer.status_code, answer.json()["code"]) == (401, "authentication_failed")
    assert "not an API key" in answer.json()["detail"]


async def test_nobody_gives_more_than_they_have(http: httpx.AsyncClient) -> None:
    """Not to a new key, not by a change, and not by taking over or removing a key that can do more."""
    strong = await created(http, scopes=["write", "key:write"])
    weak = await created(http, scopes=["key:write", "endpoint:read"])
    by = bearer(weak["token"])
    for scopes in (["read"], ["endpoint:write"], ["key:write", "audit:read"]):
        refused = await http.post("/key", json={"name": "k", "scopes": scopes}, headers=by)
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
        assert (await http.patch(f"/key/{weak['id']}", json={"scopes": scopes}, headers=by)).status_code == 403
    path = f"/key/{strong['id']}"
    for method, where in (("PATCH", path), ("DELETE", path), ("POST", f"{path}/rotate")):
        body = {"scopes": ["endpoint:read"]} if method == "PATCH" else None
        assert (await http.request(method, where, json=body, headers=by)).status_code == 403, method
    assert await status(http, strong["token"]) == 200
    equal = await created(http, by=by, scopes=["endpoint:read"])
    assert (await http.post(f"/key/{equal['id']}/rotate", headers=by)).status_code == 200


@pytest.mark.parametrize(
    "time", ["9999-12-31T23:59:59-23:59", "9999-12-31T23:59:59.999999-00:01", "0001-01-01T00:00:00+00:01"]
)
async def test_a_time_that_utc_does_not_have_is_refused(http: httpx.AsyncClient, time: str) -> None:
    """It could be stored, and no list of keys could show it afterwards."""
    refused = await http.post("/key", json={"name": "k", "scopes": ["read"], "expiresAt": time})
    assert (refused.status_code, refused.json()["detail"][0]["loc"]) == (422, ["body", "expiresAt"])
    made = await created(http, expiresAt="9999-12-31T23:59:59Z")
    assert (await http.patch(f"/key/{made['id']}", json={"expiresAt": time})).status_code == 422
    assert [each["expiresAt"] for each in (await http.get("/key")).json()["data"]] == ["9999-12-31T23:59:59.000Z"]


async def test_a_key_that_expires_makes_none_that_lasts_longer(http: httpx.AsyncClient) -> None:
    """Nor does it extend itself."""
    short = await created(http, scopes=["key:write", "read"], expiresAt="2026-10-01T00:00:00Z")
    by = bearer(short["token"])
    for later in (None, "2026-10-01T00:00:01Z"):
        body = {"name": "k", "scopes": ["read"], "expiresAt": later}
        assert (await http.post("/key", json=body, headers=by)).status_code == 403
        assert (await http.patch(f"/key/{short['id']}", json={"expiresAt": later}, headers=by)).status_code == 403
    assert (await created(http, by=by, expiresAt="2026-09-30T00:00:00Z"))["scopes"] == ["read"]


async def test_keys_go_with_their_application(http: httpx.AsyncClient, stores: Stores) -> None:
    """They stop working when it is deleted, and are deleted with it. One of the same uid gets none of them."""
    await http.put("/app/one", json={"name": "One"})
    made = await created(http, appId="one")
    other = await created(http)
    assert await status(http, made["token"]) == 200
    await stores.applications.delete("one")
    assert await status(http, made["token"]) == 401
    await deleting_of(stores).run(within_s=PATIENCE_S)
    assert [key["id"] for key in (await http.get("/key")).json()["data"]] == [other["id"]]
    await http.put("/app/one", json={"name": "One"})
    assert await status(http, made["token"]) == 401


async def test_svixs_client_works_with_an_applications_key(
    base_url: str, http: httpx.AsyncClient, stores: Stores
) -> None:
    """For its application. Another one is 404, as one that is not there, and what the operator does is 403."""
    for uid in ("mine", "other"):
        await http.put(f"/app/{uid}", json={"name": uid})
    key = await created(http, scopes=["read", "write", "endpoint_secret:write"], appId="mine")
    svix = SvixAsync(key["token"], SvixOptions(server_url=base_url, retry_schedule=[]))
    made = await svix.endpoint.create("mine", EndpointIn(url=URL))
    assert [each.id for each in (await svix.endpoint.list("mine")).data] == [made.id]
    assert [each.uid for each in (await svix.application.list()).data] == ["mine"]
    assert (await svix.endpoint.get_secret("mine", made.id)).key.startswith("whsec_")
    await svix.message.list("mine")
    await svix.message_attempt.list_by_endpoint("mine", made.id)
    for app in ("other", "absent"):
        with pytest.raises(HttpError) as refused:
            await svix.endpoint.list(app)
        assert (refused.value.status_code, refused.value.detail) == (404, f"there is no application {app}")
    with pytest.raises(HttpError) as forbidden:
        await svix.application.delete("mine")
    assert forbidden.value.status_code == 403
    await svix._httpx_client.aclose()
