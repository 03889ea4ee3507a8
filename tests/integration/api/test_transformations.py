"""Endpoints that shape their requests, over the API: fields, faults, Svix's operations, dry runs."""

from typing import Any

import httpx
import pytest
from svix.api import SvixAsync
from svix.models import EndpointTransformationPatch

from relay.store import replay_keys
from relay.wiring import Stores
from tests.integration.api.storing import Store

CRM = "https://crm.example/calls/{key}"
TASK = '{"Subject": "Call " & data.rowId, "Seconds": data.trigger.callDuration}'
LOOKUP = {
    "key": "$national(data.trigger.srcPhoneNumber, 'GB')",
    "method": "POST",
    "url": "https://crm.example/search?q={phone}",
    "urlParameters": {"phone": "data.trigger.srcPhoneNumber"},
    "body": "{'phone': $key}",
    "result": "results[0].id",
    "onMiss": "skip",
    "cacheSeconds": 60.0,
    "rateLimit": 5,
}
WHOLE = {
    "url": CRM,
    "method": "PATCH",
    "urlParameters": {"guid": "$uuid5(data.key)"},
    "transformation": TASK,
    "variables": {"region": "GB"},
    "lookup": LOOKUP,
    "capture": {"value": "id", "method": "PUT", "url": "https://crm.example/calls/{captured}/{guid}"},
    "verdicts": [
        {"status": "403", "pointer": "/0/errorCode", "equals": "REQUEST_LIMIT_EXCEEDED", "verdict": "later",
         "delaySeconds": 60.0, "pauses": True},
        {"status": "4xx", "text": "exists", "verdict": "exists"},
    ],
    "order": "keyed",
    "orderKey": "rowId",
}  # fmt: skip


@pytest.fixture
async def path(http: httpx.AsyncClient) -> str:
    """An endpoint of an application."""
    await http.put("/app/acme", json={"name": "Acme"})
    assert (await http.put("/app/acme/endpoint/crm", json={"url": CRM})).status_code == 201
    return "/app/acme/endpoint/crm"


async def test_what_is_written_comes_back(http: httpx.AsyncClient, path: str) -> None:
    """Every field, as it was sent and with the defaults; PATCH changes single ones, and null removes them."""
    shown = (await http.put(path, json=WHOLE)).json()
    assert {name: shown[name] for name in ("method", "urlParameters", "transformation", "variables", "lookup")} == {
        name: WHOLE[name] for name in ("method", "urlParameters", "transformation", "variables", "lookup")
    }
    assert shown["capture"] == WHOLE["capture"]
    assert shown["verdicts"][0]["pauses"] is True
    assert "equals" not in shown["verdicts"][1]
    again = await http.put(path, json={name: value for name, value in shown.items() if name != "id"})
    assert again.json()["verdicts"] == shown["verdicts"]
    kept = (await http.patch(path, json={"transformation": None, "capture": None})).json()
    assert (kept["transformation"], kept["capture"], kept["lookup"]) == (None, None, shown["lookup"])
    plain = (await http.put(path, json={"url": CRM, "lookup": None, "verdicts": None, "urlParameters": None})).json()
    assert (plain["lookup"], plain["verdicts"], plain["urlParameters"], plain["method"]) == (None, [], {}, "PATCH")


@pytest.mark.parametrize(
    ("change", "place", "says"),
    [
        ({"transformation": "{"}, "transformation", "at character"),
        ({"transformation": "$nothing(1)"}, "transformation", "There is no function $nothing (at character 0)"),
        ({"transformation": "$lookups"}, "transformation", "There is no variable $lookups"),
        ({"transformation": "$lookup({}, 'a')"}, "transformation", "use $pick"),
        ({"lookup": LOOKUP | {"key": "$captured"}}, "lookup.key", "There is no variable $captured"),
        ({"lookup": LOOKUP | {"url": "https://other.example/"}}, "lookup.url", "scheme, host and port"),
        ({"lookup": LOOKUP | {"url": "https://crm.example/{guid}"}}, "lookup.url", "`{guid}`"),
        ({"lookup": LOOKUP | {"url": "http://127.0.0.1/"}}, "lookup.url", "not allowed"),
        ({"url": "https://crm.example/{guid}"}, "url", "`{guid}`: give its expression in `urlParameters`"),
        ({"capture": {"value": "id"}}, "capture", "requires `order`"),
        ({"verdicts": [{"status": "1xx", "verdict": "dead"}]}, "verdicts.0.status", "200 to 599"),
        ({"verdicts": [{"status": "409", "verdict": "fine"}]}, "verdicts.0.verdict", "must be one of"),
        ({"verdicts": [{"status": "409", "verdict": "dead", "pointer": "a"}]}, "verdicts.0.pointer", "JSON Pointer"),
        ({"method": "GET"}, "method", "must be one of"),
        ({"urlParameters": {"a-b": "1"}}, "urlParameters.a-b", "letters, digits and underscores"),
    ],
)
async def test_faults_say_where_and_what(
    http: httpx.AsyncClient, path: str, change: dict[str, Any], place: str, says: str
) -> None:
    """With the place in the body, and of an expression the character."""
    answer = await http.patch(path, json=change)
    assert answer.status_code == 422
    faults = {".".join(map(str, fault["loc"][1:])): fault["msg"] for fault in answer.json()["detail"]}
    assert says in faults[place], faults


async def test_a_poller_shapes_nothing(http: httpx.AsyncClient, path: str) -> None:
    """It has no requests. What answers say of it can be sent back."""
    poller = await http.put("/app/acme/endpoint/feed", json={"type": "poller"})
    assert poller.status_code == 201
    assert (await http.put("/app/acme/endpoint/feed", json=poller.json())).status_code == 200
    refused = await http.patch("/app/acme/endpoint/feed", json={"transformation": "{}"})
    assert refused.json()["detail"][0]["loc"] == ["body", "transformation"]


async def test_svixs_client_reads_and_writes_it(svix: SvixAsync, http: httpx.AsyncClient, path: str) -> None:
    """`code` is the expression of the endpoint."""
    patch = EndpointTransformationPatch(code=TASK, variables={"region": "GB"})
    await svix.endpoint.transformation.patch("acme", "crm", patch)
    read = await svix.endpoint.transformation.get("acme", "crm")
    assert (read.code, read.enabled, read.variables) == (TASK, True, {"region": "GB"})
    assert (await http.get(path)).json()["transformation"] == TASK
    await svix.endpoint.transformation.patch("acme", "crm", EndpointTransformationPatch(enabled=False))
    assert not (await svix.endpoint.transformation.get("acme", "crm")).enabled
    off = (await http.get(path)).json()
    assert (off["transformation"], off["transformationEnabled"]) == (TASK, False)


async def test_a_dry_run_shows_the_request(http: httpx.AsyncClient, store: Store, path: str) -> None:
    """Of a row, a stored message and an example, with secrets hidden, and nothing is sent."""
    await http.patch(f"{path}/headers", json={"headers": {"X-Api-Key": "s3cr3t-s3cr3t", "X-Plain": "yes"}})
    row = {"rowId": "7", "igrp": "1234", "act": "call", "callDuration": "84", "triggerDatetime": "2026-11-20 14:05:09"}
    tried = (await http.post(f"{path}/transformation/test", json={"transformation": TASK, "row": row})).json()
    assert (tried["method"], tried["url"]) == ("POST", "https://crm.example/calls/1234-7")
    assert (tried["body"], tried["skipped"], tried["error"]) == ({"Subject": "Call 7", "Seconds": 84}, False, None)
    assert (tried["headers"]["x-api-key"], tried["headers"]["x-plain"]) == ("••••", "yes")
    assert tried["headers"]["webhook-signature"] == "••••"
    message = await store("a", 9, callDuration=5)
    tried = (await http.post(f"{path}/transformation/test", json={"transformation": TASK, "message": message})).json()
    assert tried["body"] == {"Subject": "Call 9", "Seconds": 5}
    tried = (await http.post(f"{path}/transformation/test")).json()
    assert tried["body"]["type"] == "call.created"
    found = {"transformation": "{'to': $lookup.id, 'was': $captured}", "lookup": {"id": 5}, "captured": "x"}
    assert (await http.post(f"{path}/transformation/test", json=found)).json()["body"] == {"to": 5, "was": "x"}
    assert (await http.get("/app/acme/attempt/endpoint/crm")).json()["data"] == []


async def test_a_dry_run_says_what_is_wrong(http: httpx.AsyncClient, path: str) -> None:
    """The expression, the reason and the character, or that the event is skipped."""
    answer = await http.post(f"{path}/transformation/test", json={"transformation": "{'n': $number('x')}"})
    error = answer.json()["error"]
    assert answer.status_code == 200
    assert (error["expression"], error["position"] is not None) == ("transformation", True)
    skipped = (await http.post(f"{path}/transformation/test", json={"transformation": "null"})).json()
    assert (skipped["skipped"], skipped["error"], skipped["url"]) == (True, None, None)
    both = await http.post(f"{path}/transformation/test", json={"message": "msg_1", "eventType": "call.created"})
    assert both.json()["detail"][0]["loc"] == ["body", "eventType"]
    unread = await http.post(f"{path}/transformation/test", json={"row": {"act": "call"}})
    assert "no rowId" in unread.json()["detail"][0]["msg"]
    await http.patch(path, json={"url": "https://crm.example/{n}", "urlParameters": {"n": "data.nothing"}})
    no_value = (await http.post(f"{path}/transformation/test")).json()["error"]
    assert no_value["message"] == "the placeholder `{n}` needs a text or an integer, and has null"


async def test_a_change_of_expressions_is_noted_with_it(
    http: httpx.AsyncClient, svix: SvixAsync, stores: Stores
) -> None:
    """So that what failed because of one is sent again, whatever dies in between. Another change is not noted."""
    await http.put("/app/one", json={"name": "One"})
    created = (await http.put("/app/one/endpoint/crm", json=WHOLE)).json()["id"]
    for change in ({"description": "a CRM"}, {"verdicts": []}, {"rateLimit": 5}):
        assert (await http.patch("/app/one/endpoint/crm", json=change)).status_code == 200
    assert await stores.redis.hkeys(replay_keys.CORRECTIONS) == []  # type: ignore[misc]
    await svix.endpoint.transformation.patch("one", "crm", EndpointTransformationPatch(code='{"a": 1}'))
    noted = await stores.redis.hkeys(replay_keys.CORRECTIONS)  # type: ignore[misc]
    assert noted == [f"{created} transformation".encode()]


async def test_a_dry_run_says_what_keeps_the_event_from_the_endpoint(
    http: httpx.AsyncClient, store: Store, path: str
) -> None:
    """Event types, channels, and the filter of the endpoint. The request is shown all the same, as of a resend."""
    message = await store("a", 9, act="call")
    await http.post("/app/acme/msg", json={"eventType": "invoice.paid", "eventId": "posted", "payload": {"act": "x"}})

    async def unwanted(name: str, **change: Any) -> Any:
        assert (await http.patch(path, json=change)).status_code == 200
        tried = (await http.post(f"{path}/transformation/test", json={"message": name})).json()
        assert tried["method"] == "POST"
        return tried["unwanted"]

    assert await unwanted(message) is None
    assert await unwanted(message, filter={"act": "chat"}) == "filter"
    assert await unwanted("posted") == "filter"
    assert await unwanted(message, eventTypes=["goal.created"]) == "eventTypes"
    assert await unwanted("posted", eventTypes=None, filter={"act": "x"}, channels=["billing"]) == "channels"
    assert await unwanted("posted", channels=None) is None


async def test_a_dry_run_tries_a_filter(http: httpx.AsyncClient, store: Store, path: str) -> None:
    """In place of the endpoint's own, which stays. null: none."""
    message = await store("a", 9, act="call")
    assert (await http.patch(path, json={"filter": {"act": "call"}})).status_code == 200

    async def unwanted(**body: Any) -> Any:
        return (await http.post(f"{path}/transformation/test", json={"message": message} | body)).json()["unwanted"]

    assert (await unwanted(), await unwanted(filter={"act": "chat"}), await unwanted(filter=None)) == (
        None, "filter", None,
    )  # fmt: skip
    assert (await http.get(path)).json()["filter"] == {"act": "call"}
    wrong = await http.post(f"{path}/transformation/test", json={"filter": {"$nope": 1}})
    assert (wrong.status_code, "$nope" in str(wrong.json()["detail"])) == (422, True)


async def test_a_dry_run_of_an_expunged_message(http: httpx.AsyncClient, store: Store, path: str) -> None:
    """The relay could not send it."""
    message = await store("a", 9, act="call")
    assert (await http.delete(f"/app/acme/msg/{message}/content")).status_code == 204
    answer = await http.post(f"{path}/transformation/test", json={"message": message})
    assert (answer.status_code, "was expunged" in answer.json()["detail"]) == (409, True)
