"""Operational endpoints: Svix's client manages them, and nobody but the operator."""

import httpx
import pytest
from svix.api import (
    OperationalWebhookEndpointHeadersIn,
    OperationalWebhookEndpointIn,
    OperationalWebhookEndpointListOptions,
    OperationalWebhookEndpointSecretIn,
    OperationalWebhookEndpointUpsertIn,
    SvixAsync,
)
from svix.api.errors.http_error import HttpError
from svix.api.errors.http_validation_error import HTTPValidationError

from relay.domain.operational import ENDPOINTS_MOST, OPERATIONAL
from relay.domain.operational_types import TYPES
from relay.wiring import Stores

URL = "https://ops.example.com/in"
PATH = "/operational-webhook/endpoint"


async def test_svix_clients_manage_operational_endpoints(svix: SvixAsync) -> None:
    """Every method of the published client, by id and by uid."""
    api = svix.operational_webhook.endpoint
    assert (await api.list()).data == []
    made = await api.create(
        OperationalWebhookEndpointIn(
            url=URL, uid="ops", description="Alarms", throttle_rate=5, event_types=["endpoint.disabled"],
            metadata={"team": "a"}, headers={"x-team": "a"}, secret="whsec_" + "YWFh" * 8,
        )
    )  # fmt: skip
    assert (made.url, made.uid, made.description, made.throttle_rate) == (URL, "ops", "Alarms", 5)
    assert (made.event_types, made.metadata, made.disabled) == (["endpoint.disabled"], {"team": "a"}, False)
    assert await api.get("ops") == made == await api.get(made.id)
    assert (await api.get_secret("ops")).key == "whsec_" + "YWFh" * 8
    await api.rotate_secret("ops", OperationalWebhookEndpointSecretIn(key="whsec_" + "YmJi" * 8))
    assert (await api.get_secret(made.id)).key == "whsec_" + "YmJi" * 8
    assert (await api.get_headers("ops")).headers == {"x-team": "a"}
    await api.set_headers("ops", OperationalWebhookEndpointHeadersIn(headers={"x-region": "uk"}))
    assert (await api.get_headers("ops")).headers == {"x-region": "uk"}
    replaced = await api.upsert("ops", OperationalWebhookEndpointUpsertIn(url=f"{URL}/2"))
    assert (replaced.id, replaced.url, replaced.event_types, replaced.uid) == (made.id, f"{URL}/2", None, "ops")
    second = await api.upsert("second", OperationalWebhookEndpointUpsertIn(url=URL))
    assert {each.id for each in (await api.list()).data} == {second.id, made.id}
    page = await api.list(OperationalWebhookEndpointListOptions(limit=1))
    assert (page.done, len(page.data)) == (False, 1)
    await api.delete("second")
    with pytest.raises(HttpError) as caught:
        await api.get(second.id)
    assert caught.value.status_code == 404


async def test_they_select_operational_types_and_no_others(svix: SvixAsync, http: httpx.AsyncClient) -> None:
    """And endpoints of customers select none of these."""
    with pytest.raises(HTTPValidationError):
        await svix.operational_webhook.endpoint.create(
            OperationalWebhookEndpointIn(url=URL, event_types=["call.created"])
        )
    await http.put("/app/one", json={"name": "One"})
    customers = await http.post("/app/one/endpoint", json={"url": URL, "eventTypes": ["endpoint.disabled"]})
    assert customers.status_code == 422
    assert PATH in customers.json()["detail"][0]["msg"]
    wrong = await http.post(PATH, json={"url": URL, "eventTypes": ["endpoint.disable"]})
    assert "did you mean `endpoint.disabled`" in wrong.json()["detail"][0]["msg"]


async def test_their_types_are_in_the_catalogue_of_the_operator(http: httpx.AsyncClient) -> None:
    """With their schemas, and only if they are asked for. A key of one application sees none."""
    asked = {"limit": 250, "include_operational": "true", "with_content": "true"}
    found = {each["name"]: each for each in (await http.get("/event-type", params=asked)).json()["data"]}
    assert set(TYPES) < set(found)
    assert found["endpoint.disabled"]["schemas"]["1"]["properties"]["data"]["required"][0] == "appId"
    plain = (await http.get("/event-type", params={"limit": 250})).json()["data"]
    assert not set(TYPES) & {each["name"] for each in plain}
    await http.put("/app/one", json={"name": "One"})
    key = (await http.post("/key", json={"name": "k", "scopes": ["read"], "appId": "one"})).json()["token"]
    headers = {"authorization": f"Bearer {key}"}
    theirs = (await http.get("/event-type", params=asked, headers=headers)).json()["data"]
    assert not set(TYPES) & {each["name"] for each in theirs}
    assert (await http.get("/event-type/endpoint.disabled", headers=headers)).status_code == 404
    assert (await http.put("/event-type/endpoint.disabled", json={"description": "d"})).status_code == 409


async def test_the_operators_application_cannot_be_changed(http: httpx.AsyncClient) -> None:
    """It is not listed among those of customers. Its messages can be read, and sent again, but not posted."""
    await http.put("/app/one", json={"name": "One"})
    made = (await http.post(PATH, json={"url": URL})).json()
    listed = (await http.get("/app")).json()
    assert [each["uid"] for each in listed["data"]] == ["one"]
    assert (await http.get(f"/app/{OPERATIONAL}")).json()["name"] == "Operational webhooks"
    endpoint = f"/app/{OPERATIONAL}/endpoint"
    for method, path, body in (
        ("PUT", f"/app/{OPERATIONAL}", {"name": "Mine"}),
        ("PATCH", f"/app/{OPERATIONAL}", {"name": "Mine"}),
        ("DELETE", f"/app/{OPERATIONAL}", None),
        ("POST", endpoint, {"url": URL}),
        ("PATCH", f"{endpoint}/{made['id']}", {"disabled": True}),
        ("DELETE", f"{endpoint}/{made['id']}", None),
        ("POST", f"{endpoint}/{made['id']}/secret/rotate", {}),
        ("POST", f"/app/{OPERATIONAL}/msg", {"eventType": "a.b", "payload": {}}),
    ):
        refused = await http.request(method, path, json=body)
        assert (refused.status_code, refused.json()["code"]) == (409, "conflict"), path
    key = {"name": "k", "scopes": ["read"], "appId": OPERATIONAL}
    assert (await http.post("/key", json=key)).status_code == 422
    example = await http.post(f"{endpoint}/{made['id']}/send-example", json={"eventType": "source.stalled"})
    assert example.status_code == 202
    assert [each["eventType"] for each in (await http.get(f"/app/{OPERATIONAL}/msg")).json()["data"]] == [
        "source.stalled"
    ]
    assert (await http.get(endpoint)).json()["data"][0]["id"] == made["id"]


async def test_lists_of_applications_are_whole_without_it(http: httpx.AsyncClient) -> None:
    """Wherever it stands among them, pages are as long as they can be, in both orders."""
    await http.post(PATH, json={"url": URL})
    for name in "abcde":
        await http.put(f"/app/{name}", json={"name": name})
    for order in ("ascending", "descending"):
        found, query = list[str](), {"limit": "2", "order": order}
        while True:
            page = (await http.get("/app", params=query)).json()
            found += [each["uid"] for each in page["data"]]
            if page["done"]:
                break
            assert len(page["data"]) == 2
            query["iterator"] = page["iterator"]
        assert sorted(found) == list("abcde")


async def test_there_is_a_most(http: httpx.AsyncClient) -> None:
    """With one more, POST and PUT are 409; the others can still be changed."""
    for number in range(ENDPOINTS_MOST):
        assert (await http.put(f"{PATH}/e{number}", json={"url": URL})).status_code == 201
    for answer in (await http.post(PATH, json={"url": URL}), await http.put(f"{PATH}/more", json={"url": URL})):
        assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert (await http.put(f"{PATH}/e1", json={"url": f"{URL}/2"})).status_code == 200


async def test_what_happened_before_is_passed_over(http: httpx.AsyncClient, stores: Stores) -> None:
    """The place in the log is its end, when the first endpoint is created."""
    await stores.operations.note("clock.off", {"node": "n", "skewSeconds": 45}, now_ms=1)
    (newest,) = await stores.operations.page(limit=1)
    assert await stores.operations.posted() is None
    await http.post(PATH, json={"url": URL})
    assert await stores.operations.posted() == newest.position
    await stores.operations.note("clock.right", {"node": "n", "skewSeconds": 0}, now_ms=2)
    await http.post(PATH, json={"url": URL})
    assert await stores.operations.posted() == newest.position
