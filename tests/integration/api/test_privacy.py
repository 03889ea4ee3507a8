"""Privacy rules through the API: what is saved, what lists show, and what nobody can infer."""

from typing import Any

import httpx
import pytest

from relay.store import keys
from relay.wiring import Stores
from tests.integration.api.storing import NOW, A, Store
from tests.integration.api.test_messages import URL, attempt

NUMBER = "+442079460958"
MASK = [{"field": "srcPhoneNumber", "action": "mask"}]
HASH = [{"field": "srcPhoneNumber", "action": "hash"}]


@pytest.fixture
async def endpoint(http: httpx.AsyncClient) -> str:
    """An endpoint of an application that masks callers' numbers, and that hides the visitor itself."""
    await http.put("/app/one", json={"name": "One", "privacy": MASK})
    body = {"url": URL, "uid": "crm", "privacy": [{"field": "vid", "action": "drop"}]}
    return str((await http.post("/app/one/endpoint", json=body)).json()["id"])


def rows_of(listed: httpx.Response) -> list[dict[str, Any]]:
    return [each["payload"]["data"]["trigger"] for each in listed.json()["data"]]


async def test_lists_show_what_the_rules_leave(
    http: httpx.AsyncClient, stores: Stores, store: Store, endpoint: str
) -> None:
    message = await store(A, 1, srcPhoneNumber=NUMBER, vid="visitor-1")
    await attempt(stores, A, message, endpoint, at_ms=NOW, verdict="delivered", status=200)

    shown = {"rowId": 1, "srcPhoneNumber": "**********958"}
    assert rows_of(await http.get("/app/one/msg")) == [shown | {"vid": "visitor-1"}]
    assert rows_of(await http.get("/app/one/endpoint/crm/msg")) == [shown]
    for path in ("msg", f"msg/{message}", f"attempt/msg/{message}", "attempt/endpoint/crm?with_msg=true", "endpoint"):
        assert NUMBER not in (await http.get(f"/app/one/{path}")).text


async def test_rules_stay_when_a_client_does_not_know_them(http: httpx.AsyncClient, endpoint: str) -> None:
    await http.put("/app/one", json={"name": "Renamed"})
    await http.put(f"/app/one/endpoint/{endpoint}", json={"url": URL})
    assert (await http.get("/app/one")).json()["privacy"] == MASK
    assert (await http.get(f"/app/one/endpoint/{endpoint}")).json()["privacy"] == [{"field": "vid", "action": "drop"}]
    assert (await http.patch("/app/one", json={"privacy": None})).json()["privacy"] == []


@pytest.mark.usefixtures("endpoint")
@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"filter": {"srcPhoneNumber": NUMBER}}, "filter"),
        ({"filter": {"$or": [{"act": "call"}, {"previous.srcPhoneNumber": {"$exists": True}}]}}, "filter"),
        ({"order": "keyed", "orderKey": "srcPhoneNumber"}, "orderKey"),
    ],
)
async def test_an_endpoint_cannot_infer_what_its_application_must_not_know(
    http: httpx.AsyncClient, body: dict[str, Any], where: str
) -> None:
    for answer in (
        await http.patch("/app/one/endpoint/crm", json=body),
        await http.post("/app/one/endpoint", json={"url": URL, **body}),
    ):
        assert answer.status_code == 422
        (fault,) = answer.json()["detail"]
        assert fault["loc"] == ["body", where]
        assert "privacy rule of the application hides" in fault["msg"]


async def test_a_later_rule_stops_an_endpoint_that_filters_by_the_column(http: httpx.AsyncClient) -> None:
    """Its events wait until it has another filter, so it learns nothing from the moment of the rule on."""
    await http.put("/app/one", json={"name": "One"})
    await http.post("/app/one/endpoint", json={"url": URL, "uid": "crm", "filter": {"srcPhoneNumber": NUMBER}})
    await http.patch("/app/one", json={"privacy": HASH})
    reason = (await http.get("/app/one/endpoint/crm")).json()["unfitReason"]
    assert reason == "its filter names `srcPhoneNumber`, which a privacy rule of the application hides"
    cured = await http.patch("/app/one/endpoint/crm", json={"filter": {"act": "call"}})
    assert cured.json()["unfitReason"] is None


@pytest.mark.parametrize("field", ["rowId", "trigger.num", "previous", "classes"])
async def test_a_rule_names_a_column_of_the_row(http: httpx.AsyncClient, field: str) -> None:
    answer = await http.post("/app", json={"name": "One", "privacy": [{"field": field, "action": "drop"}]})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["msg"].endswith(
        "must be the name of a column of the row, such as `srcPhoneNumber`"
    )


async def test_tokens_differ_between_applications_and_their_key_is_sealed(
    http: httpx.AsyncClient, stores: Stores, store: Store
) -> None:
    await store(A, 1, srcPhoneNumber=NUMBER)
    await store(A, 2, srcPhoneNumber=NUMBER)
    tokens = []
    for name in ("one", "two"):
        await http.put(f"/app/{name}", json={"name": name, "privacy": HASH})
        first, second = rows_of(await http.get(f"/app/{name}/msg"))
        assert first["srcPhoneNumber"] == second["srcPhoneNumber"]
        tokens.append(first["srcPhoneNumber"])
        key = (await stores.applications.get(name)).token_key
        kept = b"".join(await stores.redis.hvals(keys.config("applications")))  # type: ignore[misc]
        assert key
        assert key.encode() not in kept
        assert key not in (await http.get("/audit")).text
    assert tokens[0] != tokens[1]
