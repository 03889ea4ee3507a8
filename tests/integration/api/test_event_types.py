"""Event types: the relay's own cannot be changed, those of customers can, and endpoints select what there is."""

import json
from typing import Any

import httpx
import pytest
from jsonschema_rs import meta
from svix.api import (
    EventTypeDeleteOptions,
    EventTypeImportOpenApiIn,
    EventTypeIn,
    EventTypeListOptions,
    EventTypePatch,
    EventTypeUpsertIn,
    SvixAsync,
)
from svix.api.errors.http_error import HttpError

from relay.domain import custom_types
from relay.domain.event_types import EVENT_TYPES
from relay.store import event_types, keys
from relay.wiring import Stores

PAID: dict[str, Any] = {
    "name": "invoice.paid",
    "description": "An invoice was paid.",
    "groupName": "invoice",
    "featureFlags": ["beta", "invoices"],
    "schemas": {"1": {"type": "object", "properties": {"total": {"type": "number"}}}},
}
ENDPOINT = {"url": "https://hooks.example.com/in"}


def faults(answer: httpx.Response) -> list[tuple[str, str]]:
    """The places and messages of a 422."""
    assert answer.status_code == 422, answer.text
    return [("/".join(each["loc"]), each["msg"]) for each in answer.json()["detail"]]


async def names(http: httpx.AsyncClient, **query: str) -> list[str]:
    """Those of a list, of the types that were created."""
    page = (await http.get("/event-type", params={"limit": "250", **query})).json()
    return [each["name"] for each in page["data"] if each["name"] not in EVENT_TYPES]


async def test_svix_clients_manage_types(svix: SvixAsync, http: httpx.AsyncClient) -> None:
    """Create, read, replace, change, archive, unarchive and expunge, with the published client."""
    api = svix.event_type
    schemas = {"1": {"type": "object"}}
    made = await api.create(EventTypeIn(name="a.b", description="d", schemas=schemas, feature_flags=["x"]))
    assert (made.name, made.archived, made.deprecated, made.schemas) == ("a.b", False, False, schemas)
    assert (made.feature_flags, made.feature_flag, made.group_name) == (["x"], "x", None)
    assert (await api.get("a.b")).schemas == schemas
    with pytest.raises(HttpError) as caught:
        await api.create(EventTypeIn(name="a.b", description="other"))
    assert caught.value.status_code == 409
    assert (await api.patch("a.b", EventTypePatch(deprecated=True))).schemas == schemas
    replaced = await api.upsert("a.b", EventTypeUpsertIn(description="e", group_name="a"))
    assert (replaced.description, replaced.schemas, replaced.deprecated, replaced.group_name) == ("e", None, False, "a")
    await api.delete("a.b")
    assert (await api.get("a.b")).archived
    assert await names(http) == []
    listed = (await api.list(EventTypeListOptions(include_archived=True, limit=250))).data
    assert [each.name for each in listed if each.archived] == ["a.b"]
    again = await api.create(EventTypeIn(name="a.b", description="f"))
    assert (again.archived, again.description, again.created_at) == (False, "f", made.created_at)
    await api.delete("a.b", EventTypeDeleteOptions(expunge=True))
    with pytest.raises(HttpError) as caught:
        await api.get("a.b")
    assert caught.value.status_code == 404
    assert await names(http, include_archived="true") == []


async def test_the_relays_own_types_are_read_only(http: httpx.AsyncClient) -> None:
    """Every change says so, whatever it would change, and creates nothing."""
    body = {"description": "d"}
    for answer in (
        await http.post("/event-type", json={"name": "call.created", **body}),
        await http.put("/event-type/call.created", json=body),
        await http.patch("/event-type/call.created", json=body),
        await http.delete("/event-type/call.created"),
        await http.delete("/event-type/call.created", params={"expunge": "true"}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
        assert "read-only" in answer.json()["detail"]
    assert await names(http, include_archived="true") == []


async def test_lists_have_both_kinds_in_the_order_of_names(http: httpx.AsyncClient) -> None:
    """Page by page, both ways, with archived types left out or not, and with schemas only if asked for."""
    custom = [f"{letter}.{n}" for letter in ("a", "goal", "z") for n in range(4)]
    for name in custom:
        assert (await http.post("/event-type", json=PAID | {"name": name})).status_code == 201
    for name in custom[::2]:
        assert (await http.delete(f"/event-type/{name}")).status_code == 204
    for archived, wanted in ((False, custom[1::2]), (True, custom)):
        everything = sorted([*EVENT_TYPES, *wanted])
        for order in ("ascending", "descending"):
            found, iterator = list[str](), ""
            while True:
                query = {"limit": "3", "order": order, "include_archived": str(archived).lower()}
                page = (
                    await http.get("/event-type", params=query | ({"iterator": iterator} if iterator else {}))
                ).json()
                found += [each["name"] for each in page["data"]]
                assert all(each["schemas"] is None for each in page["data"])
                if page["done"]:
                    break
                iterator = page["iterator"]
            assert found == (everything if order == "ascending" else everything[::-1])
    full = (await http.get("/event-type", params={"limit": "250", "with_content": "true"})).json()["data"]
    for each in full:
        (schema,) = each["schemas"].values()
        meta.validate(schema)


async def test_a_type_is_put_back(http: httpx.AsyncClient, stores: Stores) -> None:
    """What GET answers can be sent back, and changes nothing."""
    made = (await http.post("/event-type", json=PAID)).json()
    before = await stores.redis.hgetall(keys.config("event_types"))  # type: ignore[misc]
    assert made == (await http.get("/event-type/invoice.paid")).json()
    answer = await http.put("/event-type/invoice.paid", json=made)
    assert (answer.status_code, answer.json()) == (200, made)
    answer = await http.patch("/event-type/invoice.paid", json=made)
    assert (answer.status_code, answer.json()) == (200, made)
    assert before == await stores.redis.hgetall(keys.config("event_types"))  # type: ignore[misc]
    ((place, _),) = faults(await http.put("/event-type/invoice.void", json=made))
    assert place == "body/name"
    flag = (await http.patch("/event-type/invoice.paid", json={"featureFlag": "one"})).json()
    assert (flag["featureFlags"], flag["featureFlag"]) == (["one"], "one")


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"name": "a b"}, "body/name"),
        ({"name": ".."}, "body/name"),
        ({"name": "a" * 257}, "body/name"),
        ({"groupName": "a b"}, "body/groupName"),
        ({"featureFlags": ["a", "b c"]}, "body/featureFlags/1"),
        ({"featureFlags": ["a"] * 21}, "body/featureFlags"),
        ({"schemas": {"1": []}}, "body/schemas/1"),
        ({"schemas": {str(n): {} for n in range(51)}}, "body/schemas"),
        ({"schemas": {"1": {"description": "a" * 32_768}}}, "body/schemas"),
        ({"schema": {}}, "body/schema"),
        ({"description": None}, "body/description"),
    ],
)
async def test_what_a_type_may_be(http: httpx.AsyncClient, change: dict[str, Any], place: str) -> None:
    """Names as Svix allows, and bounds on everything."""
    ((found, message),) = faults(await http.post("/event-type", json=PAID | change))
    assert found == place
    assert "must" in message or "is not a field" in message


async def test_a_schema_has_a_depth(http: httpx.AsyncClient) -> None:
    """That of every body."""
    deep: Any = {}
    for _ in range(32):
        deep = {"items": deep}
    answer = await http.post("/event-type", json=PAID | {"schemas": {"1": deep}})
    assert (answer.status_code, "nested too deeply" in answer.text) == (400, True)


async def test_there_are_not_too_many(http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer says what to do; types that are there can still be changed."""
    monkeypatch.setattr(event_types, "MOST_TYPES", 2)
    for name in ("a", "b"):
        assert (await http.put(f"/event-type/{name}", json={"description": "d"})).status_code == 201
    items = [{"name": name, "description": "d"} for name in ("b", "c")]
    for refused in (
        await http.put("/event-type/c", json={"description": "d"}),
        await http.post("/event-type", json=PAID),
        await http.post("/event-type/import/svix", json={"eventTypes": items}),
    ):
        assert (refused.status_code, "expunge" in refused.text) == (409, True)
    assert (await http.put("/event-type/b", json={"description": "e"})).status_code == 200


async def test_endpoints_select_types_that_there_are(http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown one is refused with its place and the near ones; an archived one with what to do."""
    await http.put("/app/one", json={"name": "One"})
    await http.post("/event-type", json=PAID)
    for field in ("filterTypes", "eventTypes"):
        body = ENDPOINT | {field: ["invoice.paid", "call.creatd", "invoice.payd", "nothing-like-it"]}
        for method, path in (("POST", "/app/one/endpoint"), ("PUT", "/app/one/endpoint/crm")):
            found = faults(await http.request(method, path, json=body))
            assert [place for place, _ in found] == [f"body/{field}/{at}" for at in (1, 2, 3)]
            near = [message for _, message in found]
            assert "did you mean `call.created`" in near[0]
            assert "did you mean `invoice.paid`?" in near[1]
            assert "did you mean" not in near[2]
            assert all("GET /api/v1/event-type" in each for each in near)
    made = (await http.put("/app/one/endpoint/crm", json=ENDPOINT | {"eventTypes": ["invoice.paid"]})).json()
    assert made["filterTypes"] == ["invoice.paid"]
    await http.delete("/event-type/invoice.paid")
    ((_, message),) = faults(await http.post("/app/one/endpoint", json=ENDPOINT | {"eventTypes": ["invoice.paid"]}))
    assert "is archived" in message
    monkeypatch.setattr(custom_types, "GUESSED_CHARS", 8)
    ((_, message),) = faults(await http.post("/app/one/endpoint", json=ENDPOINT | {"eventTypes": ["call.creatd"]}))
    assert "did you mean" not in message


@pytest.mark.parametrize("expunge", ["false", "true"])
async def test_what_an_endpoint_selects_stays(http: httpx.AsyncClient, expunge: str) -> None:
    """An endpoint can be put back and changed after a type that it selects was archived, or even expunged."""
    await http.put("/app/one", json={"name": "One"})
    for name in ("invoice.paid", "invoice.void"):
        await http.post("/event-type", json=PAID | {"name": name})
    types = {"eventTypes": ["call.created", "invoice.paid"]}
    await http.put("/app/one/endpoint/crm", json=ENDPOINT | types)
    for name in ("invoice.paid", "invoice.void"):
        assert (await http.delete(f"/event-type/{name}", params={"expunge": expunge})).status_code == 204
    shown = (await http.get("/app/one/endpoint/crm")).json()
    assert (await http.put("/app/one/endpoint/crm", json=shown)).status_code == 200
    assert (await http.patch("/app/one/endpoint/crm", json={"filterTypes": ["invoice.paid"]})).status_code == 200
    more = {"filterTypes": ["invoice.paid", "invoice.void"]}
    ((place, _),) = faults(await http.patch("/app/one/endpoint/crm", json=more))
    assert place == "body/filterTypes/1"


async def test_a_posted_message_of_a_created_type_arrives_where_it_is_selected(http: httpx.AsyncClient) -> None:
    """Also when the type was archived since; a message can have any type."""
    await http.put("/app/one", json={"name": "One"})
    await http.post("/event-type", json=PAID)
    await http.put("/app/one/endpoint/crm", json=ENDPOINT | {"eventTypes": ["invoice.paid"]})
    await http.delete("/event-type/invoice.paid")
    for event_type in ("order.sent", "invoice.paid", "order.sent"):
        posted = await http.post("/app/one/msg", json={"eventType": event_type, "payload": {"total": 5}})
        assert posted.status_code == 202
    assert (await http.get("/app/one/endpoint/crm/stats")).json()["sending"] == 1


async def test_changes_are_audited(http: httpx.AsyncClient) -> None:
    """With what they were before; a long schema by its length."""
    await http.post("/event-type", json=PAID | {"schemas": {"1": {"description": "a" * 4096}}})
    await http.patch("/event-type/invoice.paid", json={"description": "e"})
    await http.delete("/event-type/invoice.paid")
    await http.delete("/event-type/invoice.paid", params={"expunge": "true"})
    log = (await http.get("/audit", params={"object": "event_type/invoice.paid"})).json()["data"]
    assert [each["action"] for each in log[::-1]] == [
        "event_type.create", "event_type.update", "event_type.delete", "event_type.delete",
    ]  # fmt: skip
    assert log[2]["changes"][0]["before"]["description"] == PAID["description"]
    assert log[1]["changes"][0]["after"]["archived"] is True
    assert log[0]["changes"][0]["after"] is None
    assert len(json.dumps(log[3]["changes"])) < 2000


async def test_a_repeated_post_gets_the_same_answer(http: httpx.AsyncClient, stores: Stores) -> None:
    """Also if the first one failed after its write: the same type under the same key is no conflict."""
    await http.post("/event-type", json=PAID)
    found = (await http.post("/event-type", json=PAID, headers={"idempotency-key": "k"})).json()
    assert found["name"] == "invoice.paid"
    refused = await http.post("/event-type", json=PAID | {"description": "e"}, headers={"idempotency-key": "l"})
    assert refused.status_code == 409


ORDER = {"type": "object", "properties": {"id": {"type": "string"}, "lines": {"$ref": "#/components/schemas/Lines"}}}
SPEC: dict[str, Any] = {
    "openapi": "3.1.0",
    "webhooks": {
        "order.sent": {
            "post": {
                "description": "An order was sent.",
                "summary": "Sent",
                "tags": ["order"],
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Order"}}}},
                "responses": {"200": {"description": "ok"}},
            }
        },
        "order.lost": {"post": {"summary": "Lost", "deprecated": True, "tags": ["of orders"]}},
    },
    "components": {
        "schemas": {
            "Order": ORDER,
            "Lines": {"type": "array", "items": {"anyOf": [{"$ref": "#/components/schemas/Order"}, {"type": "null"}]}},
            "Other": {},
        }
    },
}
YAML = """
openapi: 3.1.0
webhooks:
  order.sent:
    post:
      description: An order was sent.
      tags: [order]
      requestBody:
        content:
          application/json:
            schema: {type: object, properties: {id: {type: string, example: 2026-01-31}}}
      responses:
        200: {description: ok}
"""


async def test_webhooks_of_a_document_are_imported(svix: SvixAsync, http: httpx.AsyncClient) -> None:
    """First as a dry run, then in earnest; schemas are whole, and a second import changes nothing."""
    dry = (await svix.event_type.import_openapi(EventTypeImportOpenApiIn(spec=SPEC, dry_run=True))).data
    assert (dry.modified, [each.name for each in dry.to_modify or ()]) == ([], ["order.lost", "order.sent"])
    assert await names(http) == []
    done = (await svix.event_type.import_openapi(EventTypeImportOpenApiIn(spec=SPEC))).data
    assert (done.modified, done.to_modify) == (["order.lost", "order.sent"], None)
    sent = await svix.event_type.get("order.sent")
    assert (sent.description, sent.group_name, sent.deprecated) == ("An order was sent.", "order", False)
    schema = (sent.schemas or {})["1"]
    meta.validate(schema)
    assert schema["$ref"] == "#/$defs/Order"
    assert set(schema["$defs"]) == {"Order", "Lines"}
    assert "components" not in json.dumps(schema)
    lost = await svix.event_type.get("order.lost")
    assert (lost.description, lost.group_name, lost.deprecated, lost.schemas) == ("Lost", None, True, None)
    assert (await svix.event_type.import_openapi(EventTypeImportOpenApiIn(spec=SPEC))).data.modified == []


async def test_an_import_unarchives_and_can_archive_the_rest(http: httpx.AsyncClient) -> None:
    """A type keeps the flags that it had."""
    await http.post("/event-type", json=PAID)
    await http.post("/event-type", json=PAID | {"name": "order.sent"})
    await http.delete("/event-type/order.sent")
    answer = await http.post("/event-type/import/openapi", json={"spec": SPEC, "replaceAll": True})
    assert answer.json()["data"]["modified"] == ["invoice.paid", "order.lost", "order.sent"]
    assert await names(http) == ["order.lost", "order.sent"]
    sent = (await http.get("/event-type/order.sent")).json()
    assert (sent["archived"], sent["featureFlags"], sent["description"]) == (
        False, PAID["featureFlags"], "An order was sent.",
    )  # fmt: skip
    assert (await http.get("/event-type/invoice.paid")).json()["archived"]


@pytest.mark.parametrize("text", [YAML, json.dumps(SPEC), json.dumps({"x-webhooks": SPEC["webhooks"]})])
async def test_a_document_can_be_a_text(http: httpx.AsyncClient, text: str) -> None:
    """In YAML or JSON, with webhooks as before OpenAPI 3.1, too."""
    answer = await http.post("/event-type/import/openapi", json={"specRaw": text})
    assert "order.sent" in answer.json()["data"]["modified"]
    assert (await http.get("/event-type/order.sent")).json()["schemas"]


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefg", "bcdefgh", strict=True)
)


@pytest.mark.parametrize(
    ("body", "place", "says"),
    [
        ({}, "body/spec", "send one of them"),
        ({"spec": SPEC, "specRaw": YAML}, "body/spec", "send one of them"),
        ({"spec": {"openapi": "3.1.0"}}, "body/spec/webhooks", "is required"),
        ({"spec": {"webhooks": [1]}}, "body/spec/webhooks", "must be an object"),
        ({"spec": {"webhooks": {"a b": {}}}}, "body/spec/webhooks/a b", "must be 1 to 256 letters"),
        ({"spec": {"webhooks": {"call.created": {}}}}, "body/spec/webhooks/call.created", "read-only"),
        ({"specRaw": "a: [b"}, "body/specRaw", "is neither JSON nor YAML"),
        ({"specRaw": '{"a": 1'}, "body/specRaw", "is no JSON"),
        ({"specRaw": "webhooks"}, "body/specRaw", "must be an object"),
        ({"specRaw": "a: !!python/object:os.system {}"}, "body/specRaw", "is neither JSON nor YAML"),
        ({"specRaw": BOMB}, "body/specRaw", "with those of aliases"),
        ({"specRaw": "a: &a\n  b: *a"}, "body/specRaw", "nested too deeply"),
        ({"specRaw": "a: !!binary aGk="}, "body/specRaw", "does not have: bytes"),
        ({"specRaw": "a: " + "1" * 5_000}, "body/specRaw", "number must have at most 100 digits, at line 1"),
        ({"specRaw": "a: b\nc: +0x" + "f" * 101}, "body/specRaw", "must have at most 100 digits, at line 2"),
        ({"specRaw": "a: b\n" * 60_000}, "body/specRaw", "at most 262144 characters"),
        (
            {"spec": {"webhooks": {"a.b": {"post": {"requestBody": {"content": {"application/json": {"schema": {
                "description": "a" * 32_768}}}}}}}}},
            "body/spec/webhooks/a.b", "must take at most 32768 bytes",
        ),
    ],
)  # fmt: skip
async def test_what_cannot_be_imported(http: httpx.AsyncClient, body: Any, place: str, says: str) -> None:
    """Says where and why, and nothing is imported."""
    ((found, message),) = faults(await http.post("/event-type/import/openapi", json=body))
    assert (found, says in message) == (place, True), message
    assert await names(http, include_archived="true") == []


@pytest.mark.parametrize(
    "entry",
    [
        None, 5, [], {"post": 5}, {"post": {"requestBody": {"$ref": "#/nothing"}}}, {"$ref": "#/webhooks/a.b"},
        {"post": {"requestBody": {"content": {"application/json": {"schema": {"$ref": "https://else.test/x"}}}}}},
        {"post": {"requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/X"}}}}}},
        {"post": {"tags": [5], "description": 5, "requestBody": {"content": 5}}},
    ],
)  # fmt: skip
async def test_odd_webhooks_are_types_without_more(http: httpx.AsyncClient, entry: Any) -> None:
    """Whatever a document says that is not understood: the name is enough."""
    answer = await http.post("/event-type/import/openapi", json={"spec": {"webhooks": {"a.b": entry}}})
    assert answer.json()["data"]["modified"] == ["a.b"]


async def test_types_in_svix_shape_are_imported(http: httpx.AsyncClient) -> None:
    """What another installation lists can be imported, archived types too; the relay's own and repeated ones cannot."""
    await http.post("/event-type", json=PAID)
    await http.post("/event-type", json=PAID | {"name": "old"})
    await http.delete("/event-type/old")
    query = {"limit": "250", "include_archived": "true", "with_content": "true"}
    listed = (await http.get("/event-type", params=query)).json()["data"]
    custom = [each for each in listed if each["name"] not in EVENT_TYPES]
    for each in custom:
        await http.delete(f"/event-type/{each['name']}", params={"expunge": "true"})
    answer = await http.post("/event-type/import/svix", json={"eventTypes": custom})
    assert answer.json()["data"]["modified"] == ["invoice.paid", "old"]
    again = (await http.get("/event-type", params=query)).json()["data"]
    assert [each | {"createdAt": "", "updatedAt": ""} for each in again] == [
        each | {"createdAt": "", "updatedAt": ""} for each in listed
    ]
    twice = [custom[0], {"name": "goal.created", "description": "d"}, custom[0]]
    found = faults(await http.post("/event-type/import/svix", json={"eventTypes": twice}))
    assert [place for place, _ in found] == ["body/eventTypes/1/name", "body/eventTypes/2/name"]
    dry = (
        await http.post("/event-type/import/svix", json={"eventTypes": [], "replaceAll": True, "dryRun": True})
    ).json()
    assert [(each["name"], each["archived"]) for each in dry["data"]["to_modify"]] == [("invoice.paid", True)]


async def test_an_unreadable_type_is_listed_and_replaced(http: httpx.AsyncClient, stores: Stores) -> None:
    """It counts as a type for endpoints, and a PUT repairs it."""
    await http.put("/app/one", json={"name": "One"})
    await http.post("/event-type", json=PAID)
    await stores.redis.hset(keys.config("event_types"), "invoice.paid", b"{")  # type: ignore[misc]
    page = (await http.get("/event-type", params={"limit": "250"})).json()
    assert [each["id"] for each in page["unreadable"]] == ["invoice.paid"]
    made = await http.post("/app/one/endpoint", json=ENDPOINT | {"eventTypes": ["invoice.paid"]})
    assert made.status_code == 201
    assert (await http.put("/event-type/invoice.paid", json={"description": "d"})).status_code == 200
