"""Who can call what: every operation with every scope, with keys for everything and for one application."""

import re
from collections.abc import Iterable
from typing import Any

import httpx
import pytest

from relay.api import undelivered_walk
from relay.api.access import Reach, access_of, operations, reach_of, required
from relay.domain.principals import SCOPES, granted
from relay.wiring import Stores
from tests.integration.api.documented import Documented
from tests.integration.api.storing import NOW, A, B, Store
from tests.integration.api.test_idempotency import POSTS
from tests.integration.api.test_messages import attempt

URL = "https://hooks.example.com/in"
BODIES: dict[tuple[str, str], Any] = {
    **{("POST", path): body for path, body in POSTS.items()},
    ("POST", "/api/v1/key"): {"name": "n", "scopes": ["key:read"]},
    ("PUT", "/api/v1/app/{app_id}/endpoint/{endpoint_id}"): {"url": URL},
    ("PUT", "/api/v1/app/{app_id}/endpoint/{endpoint_id}/headers"): {"headers": {}},
    ("PUT", "/api/v1/operational-webhook/endpoint/{endpoint_id}"): {"url": URL},
    ("PUT", "/api/v1/operational-webhook/endpoint/{endpoint_id}/headers"): {"headers": {}},
}
ABSENT = {
    "app_id": "app_absent", "endpoint_id": "ep_absent", "msg_id": "msg_absent", "key_id": "key_absent",
    "name": "absent", "uid": "absent", "route": "absent", "attempt_id": "atmpt_absent",
    "reconciliation_id": "rec_absent", "backfill_id": "bf_absent", "task_id": "qtask_absent",
    "sink_id": "ep_absent", "consumer_id": "absent", "erasure_id": "qtask_absent", "recipe": "absent",
}  # fmt: skip
"""Names of nothing."""
CANARIES = ("canary", "Canary")
"""What stands in everything of the other application."""


class Tenants:
    """Two applications, each with an endpoint, a message, an attempt, a dead delivery and a key."""

    def __init__(self, http: httpx.AsyncClient, stores: Stores, store: Store) -> None:
        self.http, self.stores, self.store = http, stores, store
        self.ids: dict[str, dict[str, str]] = {}

    async def fill(self) -> "Tenants":
        """Make them."""
        for number, (uid, group) in enumerate((("one", "Sales"), ("canary", "Canary"))):
            filtered = {"dgrpName": group}
            app = (await self.http.put(f"/app/{uid}", json={"name": group, "filter": filtered})).json()
            made = (await self.http.put(f"/app/{uid}/endpoint/{uid}-crm", json={"url": f"{URL}/{uid}"})).json()
            key = (await self.http.post("/key", json={"name": uid, "scopes": ["read"], "appId": uid})).json()
            message = await self.store(A, number + 1, dgrpName=group, vid=f"visitor-{number}")
            await attempt(self.stores, A, message, made["id"], at_ms=NOW, status=500, verdict="dead")
            number_of, event = await self.stores.events.find(A, message) or (0, None)
            assert event is not None
            member = f"{made['id']} a{number_of}:{event.types[0]}:{message[4:9]}:3 schedule_used_up"
            await self.stores.redis.zadd(f"relay:s:{{{A}}}:dead", {member: NOW + number})
            replay = await self.http.post(f"/app/{uid}/endpoint/{uid}-crm/bulk-replay", json={})
            self.ids[uid] = {
                "app_id": app["id"], "endpoint_id": made["id"], "msg_id": message, "key_id": key["id"],
                "name": "call.created", "uid": A, "route": "all", "attempt_id": "atmpt_1",
                "recipe": "hubspot-unattached-call",
                "reconciliation_id": "rec_1", "backfill_id": "bf_1", "task_id": replay.json()["id"],
                "sink_id": made["id"], "consumer_id": "one", "erasure_id": "qtask_1",
            }  # fmt: skip
        return self

    async def key(self, scopes: Iterable[str], app: str | None = None) -> dict[str, str]:
        """The header of a new key."""
        body = {"name": "k", "scopes": list(scopes), "appId": app}
        return {"authorization": f"Bearer {(await self.http.post('/key', json=body)).json()['token']}"}

    async def call(self, method: str, template: str, names: dict[str, str], headers: dict[str, str]) -> httpx.Response:
        """Call an operation."""
        path = "http://relay" + template.format(**names)
        body = BODIES.get((method, template), {} if method in ("PUT", "PATCH") else None)
        # A tail ends by itself.
        params = {"seconds": 1} if template.endswith("/tail") else None
        return await self.http.request(method, path, json=body, headers=headers, params=params)


@pytest.fixture
async def tenants(http: httpx.AsyncClient, stores: Stores, store: Store) -> Tenants:
    """Two applications."""
    return await Tenants(http, stores, store).fill()


def called(application: Documented) -> list[tuple[str, str, Any, Reach]]:
    """Every operation that requires a key, deletions last: method, path template, access and reach."""
    found = [
        (method, path, access, reach_of(access, path))
        for path, method, handler in operations(application.app, "/api/v1")
        if (access := access_of(handler)) is not None and access.resource is not None
    ]
    return sorted(found, key=lambda each: each[0] == "DELETE")


async def test_every_operation_requires_the_scope_that_the_document_names(
    application: Documented, tenants: Tenants
) -> None:
    """With each scope alone, an operation is called or 403: no route is unguarded, and no scope opens more."""
    document, tried = application.state.document, 0
    keys = {scope: await tenants.key([scope]) for scope in SCOPES}
    for method, template, access, _ in called(application):
        needed = required(access, method)
        assert needed
        if operation := document["paths"].get(template, {}).get(method.lower()):
            assert operation["security"] == [{"key": [needed]}]
        for scope, header in keys.items():
            answer = await tenants.call(method, template, ABSENT, header)
            assert answer.status_code != 401
            allowed = needed in granted([scope])
            assert (answer.status_code == 403) is not allowed, (method, template, scope, answer.text)
            if not allowed:
                assert answer.json()["code"] == "forbidden"
                assert f"`{needed}`" in answer.json()["detail"]
            tried += 1
    assert tried == len(SCOPES) * len(called(application)) > 500


async def test_what_the_relay_does_not_have_needs_a_key_and_no_scope(application: Documented, tenants: Tenants) -> None:
    """501 says the same to all."""
    key = await tenants.key(["event_type:read"])
    bare = [(p, m) for p, m, h in operations(application.app, "/api/v1") if (a := access_of(h)) and not a.resource]
    # What a key does about itself is there.
    bare = [each for each in bare if each[0] not in ("/api/v1/auth/logout", "/api/v1/principal")]
    assert len(bare) > 50
    names = dict.fromkeys((n for path, _ in bare for n in re.findall(r"{(\w+)}", path)), "absent")
    for template, method in bare:
        answer = await tenants.call(method, template, names, key)
        assert (answer.status_code, answer.json()["code"]) == (501, "not_supported"), (method, template)
        nobody = await tenants.call(method, template, names, {"authorization": "Bearer x"})
        assert nobody.status_code == 401


async def test_a_key_of_one_application_sees_no_other(application: Documented, tenants: Tenants) -> None:
    """Every operation, with all scopes: its own things answer, those of others as if they were not there."""
    mine = await tenants.key(SCOPES, "one")
    own, foreign, secret = tenants.ids["one"], tenants.ids["canary"], set(tenants.ids["canary"].values())
    secret -= set(own.values())
    for method, template, _, reach in called(application):
        if reach is Reach.OPERATOR:
            answer = await tenants.call(method, template, own, mine)
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), (method, template)
            continue
        for names in _foreign(template, own, foreign):
            refused = await tenants.call(method, template, names, mine)
            absent = {name: ABSENT[name] if value != own[name] else value for name, value in names.items()}
            there_is_none = await tenants.call(method, template, absent, mine)
            assert refused.status_code == there_is_none.status_code == 404, (method, template, names, refused.text)
            assert _anonymous(refused, names.values()) == _anonymous(there_is_none, absent.values()), template
        answer = await tenants.call(method, template, own, mine)
        if template.endswith("/attempt/{attempt_id}"):
            assert answer.status_code == 404
        elif template.endswith(("/recording", "/visitor-trace")):
            assert answer.status_code == 502  # The source of these messages cannot be reached.
        else:
            assert answer.status_code < 300, (method, template, answer.text)
        shown = answer.text
        assert not any(canary in shown for canary in (*CANARIES, *secret)), (method, template, shown)


def _foreign(template: str, own: dict[str, str], foreign: dict[str, str]) -> list[dict[str, str]]:
    """Calls of an operation that name something of the other application: in one place, or in all of them."""
    named = [name for name in ("app_id", "endpoint_id", "sink_id", "msg_id", "key_id") if f"{{{name}}}" in template]
    some = [own | {name: foreign[name]} for name in named]
    return [*some, own | {name: foreign[name] for name in named}, *_by_uid(template, own)] if named else []


def _by_uid(template: str, own: dict[str, str]) -> list[dict[str, str]]:
    return [own | {"app_id": "canary"}] if "{app_id}" in template else []


def _anonymous(answer: httpx.Response, names: Iterable[str]) -> str:
    """An answer without the names that the request had itself."""
    text = answer.text
    for name in sorted(names, key=len, reverse=True):
        text = text.replace(name, "…")
    return text


async def test_queries_and_bodies_name_nothing_of_another_application(tenants: Tenants) -> None:
    """Lists that select by a name of another application answer as for one that is not there."""
    mine, theirs = await tenants.key(SCOPES, "one"), tenants.ids["canary"]
    for query in (
        {"app": "canary"}, {"app": theirs["app_id"]}, {"endpoint": theirs["endpoint_id"]}, {"endpoint": "canary-crm"},
    ):  # fmt: skip
        answer = await tenants.http.get("/undelivered", params=query, headers=mine)
        no_name = "ep_absent" if next(iter(query.values())).startswith("ep_") else "absent"
        absent = await tenants.http.get("/undelivered", params=dict.fromkeys(query, no_name), headers=mine)
        assert answer.status_code == absent.status_code == 404
        assert _anonymous(answer, query.values()) == _anonymous(absent, [no_name])
    for path in ("/key", "/audit"):
        answer = await tenants.http.get(path, params={"app": "canary"}, headers=mine)
        assert answer.status_code == 404
    for app in ("canary", theirs["app_id"], "absent"):
        answer = await tenants.http.post("/key", json={"name": "k", "scopes": ["read"], "appId": app}, headers=mine)
        assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["body", "appId"])
        assert answer.json()["detail"][0]["msg"].endswith(f"there is no application {app}")
    named = {"object": f"endpoint/{theirs['endpoint_id']}"}
    assert (await tenants.http.get("/audit", params=named)).json()["data"]
    assert (await tenants.http.get("/audit", params=named, headers=mine)).json()["data"] == []


async def test_a_source_that_the_application_does_not_have_is_not_there(tenants: Tenants) -> None:
    """In its list of undelivered messages."""
    await tenants.http.patch("/app/one", json={"sources": [A]})
    mine = await tenants.key(SCOPES, "one")
    assert (await tenants.http.get("/undelivered", params={"source": A}, headers=mine)).status_code == 200
    foreign = await tenants.http.get("/undelivered", params={"source": B}, headers=mine)
    absent = await tenants.http.get("/undelivered", params={"source": "absent"}, headers=mine)
    assert (foreign.status_code, absent.status_code) == (404, 404)
    assert foreign.json()["detail"] == f"there is no source {B}"
    assert (await tenants.http.get("/undelivered", params={"source": B})).status_code == 200


async def test_an_iterator_shows_nothing_of_another_application(
    tenants: Tenants, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It can lead past deliveries of others, where a page ends: it is encrypted, and opens in this key's list only."""
    monkeypatch.setattr(undelivered_walk, "STEPS_AT_MOST", 1)
    mine, theirs = await tenants.key(SCOPES, "one"), await tenants.key(SCOPES, "canary")
    page = (await tenants.http.get("/undelivered", headers=mine)).json()
    assert (page["data"], page["done"], page["iterator"][:3]) == ([], False, "v1.")
    query = {"iterator": page["iterator"]}
    (found,) = (await tenants.http.get("/undelivered", params=query, headers=mine)).json()["data"]
    assert found["msgId"] == tenants.ids["one"]["msg_id"]
    for other in (theirs, {}):
        assert (await tenants.http.get("/undelivered", params=query, headers=other)).status_code == 422


async def test_no_call_escapes_the_row_filter(tenants: Tenants) -> None:
    """A key of an application cannot change what the application sees, nor see, find or resend other rows."""
    mine, other = await tenants.key(SCOPES, "one"), tenants.ids["canary"]["msg_id"]
    for method, body in (("PATCH", {"filter": None}), ("PATCH", {"sources": None}), ("PUT", {"name": "n"})):
        for name in ("one", tenants.ids["one"]["app_id"]):
            assert (await tenants.http.request(method, f"/app/{name}", json=body, headers=mine)).status_code == 403
    assert (await tenants.http.post("/app", json={"name": "n"}, headers=mine)).status_code == 403
    open_key = {"name": "k", "scopes": ["read"], "appId": None}
    made = (await tenants.http.post("/key", json=open_key, headers=mine)).json()
    assert made["appId"] == tenants.ids["one"]["app_id"]
    seen = (await tenants.http.get("/app/one/msg", headers=mine)).json()["data"]
    assert [message["id"] for message in seen] == [tenants.ids["one"]["msg_id"]]
    for path in (f"msg/{other}", f"attempt/msg/{other}", f"msg/{other}/endpoint", f"msg/{other}/attempt/atmpt_1"):
        assert (await tenants.http.get(f"/app/one/{path}", headers=mine)).status_code == 404
    resent = await tenants.http.post(f"/app/one/msg/{other}/endpoint/one-crm/resend", headers=mine)
    assert resent.status_code == 404
