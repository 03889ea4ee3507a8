"""Bodies are taken as their types say, by every operation, and what is wrong with one is told at once."""

import json
import re
import time
from collections.abc import Iterator
from itertools import takewhile
from typing import Any

import httpx
import pytest
from litestar.enums import RequestEncodingType

from relay.api.bodies import StrictRequest
from relay.domain.principals import ApiKey, KeyId
from relay.wiring import Stores
from tests.integration.api.documented import Documented

URL = "https://hooks.example.com/in"
SOURCE = {"baseUrl": "https://u.test", "igrp": 1, "auth": {"type": "apiKey", "key": "k"}, "routes": ["all"]}
Call = tuple[str, str]
"""A method and a path."""
RIGHT: dict[Call, dict[str, Any]] = {
    ("PUT", "/api/v1/source/{uid}"): SOURCE,
    ("PUT", "/api/v1/source/{uid}/route/{route}/cursor"): {"rowId": 1},
    ("POST", "/api/v1/source/{uid}/backfill"): {"route": "all", "afterRowId": 1, "endpoints": "none"},
    ("POST", "/api/v1/source/{uid}/reconciliation"): {},
    ("POST", "/api/v1/auth/app-portal-access/{app_id}"): {},
    ("POST", "/api/v1/auth/app/{app_id}/expire-all"): {},
    ("POST", "/portal/token"): {"code": "x"},
    ("POST", "/api/v1/app/{app_id}/poller/{sink_id}/consumer/{consumer_id}/seek"): {"after": "2026-01-31T12:00:00Z"},
    ("POST", "/api/v1/app/{app_id}/msg/{msg_id}/recording/link"): {"expiresInSeconds": 60},
    ("POST", "/api/v1/source/{uid}/reconciliation/{reconciliation_id}/repair"): {},
    ("POST", "/api/v1/app"): {"name": "n"},
    ("PUT", "/api/v1/app/{app_id}"): {"name": "n"},
    ("PATCH", "/api/v1/app/{app_id}"): {},
    ("POST", "/api/v1/app/{app_id}/msg"): {"eventType": "a.b", "payload": {}},
    ("POST", "/api/v1/app/{app_id}/endpoint"): {"url": URL},
    ("PUT", "/api/v1/app/{app_id}/endpoint/{endpoint_id}"): {"url": URL},
    ("PATCH", "/api/v1/app/{app_id}/endpoint/{endpoint_id}"): {},
    ("PUT", "/api/v1/app/{app_id}/endpoint/{endpoint_id}/headers"): {"headers": {}},
    ("PATCH", "/api/v1/app/{app_id}/endpoint/{endpoint_id}/headers"): {},
    ("POST", "/api/v1/app/{app_id}/endpoint/{endpoint_id}/secret/rotate"): {},
    ("POST", "/api/v1/app/{app_id}/endpoint/{endpoint_id}/recover"): {"since": "2026-01-31T00:00:00Z"},
    ("POST", "/api/v1/app/{app_id}/endpoint/{endpoint_id}/replay-missing"): {"since": "2026-01-31T00:00:00Z"},
    ("POST", "/api/v1/app/{app_id}/endpoint/{endpoint_id}/bulk-replay"): {},
    ("POST", "/api/v1/app/{app_id}/endpoint/{endpoint_id}/send-example"): {"eventType": "call.created"},
    ("PATCH", "/api/v1/app/{app_id}/endpoint/{endpoint_id}/transformation"): {},
    ("POST", "/api/v1/app/{app_id}/endpoint/{endpoint_id}/transformation/test"): {},
    ("POST", "/api/v1/stats/usage/app"): {"since": "2026-01-31T00:00:00Z", "until": "2026-02-01T00:00:00Z"},
    ("POST", "/api/v1/erasure"): {"phone": "+442079460958"},
    ("POST", "/api/v1/event-type"): {"name": "a.b", "description": "d"},
    ("PUT", "/api/v1/event-type/{name}"): {"description": "d"},
    ("PATCH", "/api/v1/event-type/{name}"): {},
    ("POST", "/api/v1/event-type/import/openapi"): {"spec": {"webhooks": {"a.b": {}}}},
    ("POST", "/api/v1/event-type/import/svix"): {"eventTypes": [{"name": "a.b", "description": "d"}]},
    ("POST", "/api/v1/operational-webhook/endpoint"): {"url": URL},
    ("PUT", "/api/v1/operational-webhook/endpoint/{endpoint_id}"): {"url": URL},
    ("PATCH", "/api/v1/operational-webhook/endpoint/{endpoint_id}"): {},
    ("PUT", "/api/v1/operational-webhook/endpoint/{endpoint_id}/headers"): {"headers": {}},
    ("POST", "/api/v1/operational-webhook/endpoint/{endpoint_id}/secret/rotate"): {},
    ("POST", "/api/v1/key"): {"name": "n", "scopes": ["read"]},
    ("PATCH", "/api/v1/key/{key_id}"): {},
    ("POST", "/api/v1/key/{key_id}/rotate"): {},
}
"""The least that each operation takes."""
KEY = KeyId("key_1")
ANYTHING = ("null", "true", "5", "", 0, 1, 1.0, 1.5, 2**63, True, False, None, [], ["x"], {}, {"a": "b"})
Place = tuple[str | int, ...]


@pytest.fixture
async def called(http: httpx.AsyncClient, stores: Stores) -> httpx.AsyncClient:
    """A client; the application `one` has an endpoint `crm`, and so has the operator."""
    await http.put("/app/one", json={"name": "One"})
    await http.put("/app/one/endpoint/crm", json={"url": URL})
    await http.put("/operational-webhook/endpoint/crm", json={"url": URL})
    await http.post("/event-type", json={"name": "a.b", "description": "d"})
    await stores.api_keys.create(ApiKey(id=KEY, name="k", scopes=("read",), secrets=()))
    return http


def path_of(template: str) -> str:
    """A path of something that is there."""
    return "http://relay" + template.format(
        uid="s",
        route="all",
        app_id="one",
        endpoint_id="crm",
        reconciliation_id="rec_1",
        key_id=KEY,
        sink_id="crm",
        consumer_id="one",
        msg_id="msg_1",
        name="a.b",
    )


async def document(http: httpx.AsyncClient) -> dict[str, Any]:
    """The API's description."""
    found: dict[str, Any] = (await http.get("http://relay/docs/openapi.json")).json()
    return found


def kind_of(value: Any) -> str:
    """What a value is in JSON, as strictly as it can be said: 1.0 is no integer."""
    kinds = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    return "null" if value is None else kinds[type(value)]


def options(schema: dict[str, Any], components: dict[str, Any]) -> list[dict[str, Any]]:
    """What a schema offers, without references."""
    if "$ref" in schema:
        return options(components[schema["$ref"].rpartition("/")[2]], components)
    if "anyOf" in schema:
        return [found for each in schema["anyOf"] for found in options(each, components)]
    return [schema]


def allowed(schema: dict[str, Any]) -> set[str]:
    """The kinds of JSON that one option takes."""
    if "enum" in schema:
        return {kind_of(value) for value in schema["enum"]}
    kind = schema.get("type")
    if kind is None:
        return {"null", "boolean", "integer", "number", "string", "array", "object"}
    return {kind, "integer"} if kind == "number" else {kind}


def parts(schema: Any) -> set[str]:
    """The components that a schema names itself."""
    return set(re.findall(r"'#/components/schemas/(\w+)'", str(schema)))


def tried_elsewhere(schemas: dict[Call, dict[str, Any]], call: Call, components: dict[str, Any]) -> set[str]:
    """The components that are a part of the body of an operation before this one, which tries what is inside them."""
    found: set[str] = set()
    for _, schema in takewhile(lambda each: each[0] != call, schemas.items()):
        left = {part for option in options(schema, components) for part in parts(option)}
        while left - found:
            found |= left
            left = {part for name in left for part in parts(components[name])}
    return found


def places(
    schema: dict[str, Any], components: dict[str, Any], closed: set[str]
) -> Iterator[tuple[Place, Any, set[str]]]:
    """Every place below a schema: the way to it, what stands around it, and the kinds that it takes.

    What is inside the components that are `closed` is left out.
    """
    for option in options(schema, components):
        around = {
            name: each["enum"][0]
            for name, each in option.get("properties", {}).items()
            if len(each.get("enum", ())) == 1
        }
        for name, inner in option.get("properties", {}).items():
            offered = options(inner, components)
            yield (name,), around, set().union(*map(allowed, offered))
            for way, inside, kinds in places(inner, components, closed) if not parts(inner) & closed else ():
                yield (name, *way), {**around, name: inside}, kinds
        for name, inner in (("0", option.get("items")), ("k", option.get("additionalProperties"))):
            if isinstance(inner, dict) and inner:
                yield (name,), [] if name == "0" else {}, set().union(*map(allowed, options(inner, components)))
                for way, inside, kinds in places(inner, components, closed) if not parts(inner) & closed else ():
                    yield (name, *way), [inside] if name == "0" else {name: inside}, kinds


def put(around: Any, way: Place, value: Any) -> Any:
    """A body with a value at a place."""
    first, *rest = way
    if isinstance(around, list):
        return [put(around[0], tuple(rest), value) if rest else value]
    inner = put(around.get(first, {}), tuple(rest), value) if rest else value
    return {**around, first: inner}


async def test_every_body_is_among_those_that_are_tried(called: httpx.AsyncClient) -> None:
    """An operation that is added is added here as well."""
    schema = await document(called)
    there = {
        (m.upper(), path) for path, item in schema["paths"].items() for m, op in item.items() if "requestBody" in op
    }
    assert there == set(RIGHT)


@pytest.mark.parametrize(("method", "template"), RIGHT)
async def test_no_body_is_coerced(called: httpx.AsyncClient, method: str, template: str) -> None:
    """In each field of each operation, each value of a kind that it does not take is refused, with the way to it.

    What several operations take as a part of their bodies is tried by the first one.
    """
    schema = await document(called)
    contents = {(m, t): schema["paths"][t][m.lower()]["requestBody"]["content"] for m, t in RIGHT}
    schemas = {call: content["application/json"]["schema"] for call, content in contents.items()}
    components, call, tried = schema["components"]["schemas"], (method, template), 0
    right, closed = RIGHT[call], tried_elsewhere(schemas, call, components)
    for way, around, kinds in places(schemas[call], components, closed):
        for value in (each for each in ANYTHING if kind_of(each) not in kinds):
            body = right | put(around, way, value)
            answer = await called.request(method, path_of(template), json=body)
            assert answer.status_code == 422, (body, answer.text)
            assert ["body", *way] in [fault["loc"] for fault in answer.json()["detail"]], (body, answer.text)
            tried += 1
    assert tried >= 10
    assert (await called.get("/app/one")).json()["sources"] is None


@pytest.mark.parametrize(("method", "template"), RIGHT)
@pytest.mark.parametrize("value", ["null", "5", '"x"', "[]", "[{}]", "true", "1.5"])
async def test_a_body_is_an_object(called: httpx.AsyncClient, method: str, template: str, value: str) -> None:
    """A scalar, an array or null is none. A body that may be left out may be null."""
    answer = await called.request(method, path_of(template), content=value)
    fine = value == "null" and template.endswith(("/rotate", "/test"))
    assert answer.status_code == (200 if fine else 422), answer.text
    assert fine or answer.json()["detail"][0]["loc"] == ["body"]


@pytest.mark.parametrize(("method", "template"), RIGHT)
async def test_a_body_that_is_left_out_is_asked_for(called: httpx.AsyncClient, method: str, template: str) -> None:
    """Where one is needed."""
    answer = await called.request(method, path_of(template))
    fine = template.endswith(("/rotate", "/test"))
    assert answer.status_code == (200 if fine else 422), answer.text
    assert fine or answer.json()["detail"] == [
        {"loc": ["body"], "msg": "the body: is required: send a JSON object", "type": "missing"}
    ]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b'{"name": "a"', "at line 1"),
        (b"{'name': 'a'}", "double quotes"),
        (b'{"name": "a",}', "at line 1"),
        (b'{"name": "a"} x', "extra data"),
        (b'{"name": "a\nb"}', "control character"),
        (b'\xef\xbb\xbf{"name": "a"}', "byte order mark"),
        ('{"name": "a"}'.encode("utf-16"), "not UTF-8"),
        (b'{"name": "\xe9"}', "not UTF-8"),
        (b'{"name": NaN}', "NaN"),
        (b'{"name": -Infinity}', "-Infinity"),
        (b"[" * 33 + b"]" * 33, "nested too deeply"),
        (b'{"filter":' * 400_000, "nested too deeply"),
        (b'{"a": "' + b'\\"' * 400_000, "at line 1"),
        (b"   ", "at line 1"),
    ],
)  # fmt: skip
async def test_what_is_not_json_is_malformed(called: httpx.AsyncClient, body: bytes, why: str) -> None:
    """400, and the reason: nothing is guessed."""
    answer = await called.post("/app", content=body)
    if len(body) > 1 << 20:
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
        return
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed")
    assert why.lower() in answer.json()["detail"].lower()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-type": "application/json"}, 201),
        ({"content-type": "Application/JSON; charset=UTF-8"}, 201),
        ({"content-type": "application/vnd.crm+json"}, 201),
        ({"content-type": 'application/json; charset="utf-8"'}, 201),
        ({}, 201),
        ({"content-type": "application/x-www-form-urlencoded"}, 415),
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "multipart/form-data; boundary=x"}, 415),
        ({"content-type": "application/msgpack"}, 415),
        ({"content-type": "application/json; charset=latin-1"}, 415),
        ({"content-type": "application/json; charset=utf-16"}, 415),
        ({"content-type": "application/json", "content-encoding": "gzip"}, 415),
    ],
)  # fmt: skip
async def test_a_body_is_json_in_utf8(called: httpx.AsyncClient, headers: dict[str, str], status: int) -> None:
    """Another type, charset or encoding is refused before anything is read into it."""
    answer = await called.post("/app", content=b'{"name": "n"}', headers=headers)
    assert answer.status_code == status
    if status == 415:
        assert answer.json()["code"] == "unsupported_media_type"
        assert "must be" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("body", "loc"),
    [
        ('{"name": "a", "name": "b"}', ["name"]),
        ('{"name": "a", "sources": ["s"], "sources": null}', ["sources"]),
        ('{"name": "a", "metadata": {"k": "1", "\\u006b": "2"}}', ["metadata", "k"]),
        ('{"name": "a", "filter": {"goal": "1", "goal": "2"}}', ["filter", "goal"]),
        ('{"name": "a", "filter": {"$or": [{"goal": "1", "goal": "2"}]}}', ["filter", "$or", "0", "goal"]),
    ],
)
async def test_a_key_that_is_given_twice_is_refused(called: httpx.AsyncClient, body: str, loc: list[str]) -> None:
    """Which of the two counts is not for a parser to say."""
    answer = await called.post("/app", content=body)
    (fault,) = answer.json()["detail"]
    assert (answer.status_code, fault["loc"]) == (422, ["body", *loc])
    assert "more than once" in fault["msg"]


@pytest.mark.parametrize(
    "value", ["9223372036854775808", "-9223372036854775809", "18446744073709551616", "9" * 5000, "1e400", "-1e999"]
)
async def test_a_number_beyond_64_bits_is_refused_wherever_it_stands(called: httpx.AsyncClient, value: str) -> None:
    """In fields of our own and in filters, whose values nothing else bounds."""
    for method, path, body, loc in (
        ("PATCH", "/app/one", '{"throttleRate": %s}', ["throttleRate"]),
        ("PATCH", "/app/one", '{"filter": {"igrp": %s}}', ["filter", "igrp"]),
        ("PATCH", "/app/one/endpoint/crm", '{"filter": {"igrp": {"$in": [1, %s]}}}', ["filter", "igrp", "$in", "1"]),
        ("PATCH", "/app/one/endpoint/crm", '{"version": %s}', ["version"]),
        ("PATCH", "/app/one/endpoint/crm", '{"retrySchedule": [%s]}', ["retrySchedule", "0"]),
    ):
        answer = await called.request(method, path, content=body % value)
        assert answer.status_code == 422, answer.text
        assert answer.json()["detail"][0]["loc"] == ["body", *loc]


async def test_half_a_character_is_refused(called: httpx.AsyncClient) -> None:
    """JSON can escape one half of a surrogate pair, and nothing could store it: also in keys, and in filters."""
    for body in (
        r'{"name": "\ud800"}',
        r'{"name": "n", "metadata": {"\udc00": "v"}}',
        r'{"name": "n", "metadata": {"k": "\udc00"}}',
        r'{"name": "n", "filter": {"c_a": "\ud83d"}}',
        r'{"name": "n", "filter": {"\ud83d": "x"}}',
        r'{"name": "n", "\ud83d": "x"}',
    ):
        assert (await called.post("/app", content=body)).status_code == 422
    made = await called.post("/app", content=r'{"name": "\ud83d\ude00"}')
    assert (made.status_code, made.json()["name"]) == (201, "\U0001f600")


async def test_every_fault_of_a_body_is_told(called: httpx.AsyncClient) -> None:
    """At once, whatever kind of fault it is, each with the key, what is allowed, and a place of texts alone."""
    body = {
        "url": "http://10.0.0.1/", "uid": "ep_x", "throttleRate": 0, "rateLimit": 5, "version": "1", "disabled": 0,
        "eventTypes": ["call.creatd", "goal.created"], "channels": [], "metadata": {"k": 5}, "maxInFlight": 1.0,
        "filter": {"callDuration": {"$gt": "x"}}, "order": "sorted", "orderKey": "notes", "retrySchedule": [5, -1],
        "paused": "true", "signatures": ["v2"], "auth": {"type": "bearer", "token": "a b"}, "secret": "short",
        "clientCertificate": {"certificate": 5}, "headers": {"host": "x", "x-a": 1}, "maxInflight": 5,
    }  # fmt: skip
    answer = await called.post("/app/one/endpoint", json=body)
    told = {tuple(fault["loc"][1:]): fault["msg"] for fault in answer.json()["detail"]}
    assert {way[0] for way in told} == set(body)
    assert "did you mean `maxInFlight`?" in told["maxInflight",]
    assert "`throttleRate`: must be from 1 to 65535" in told.values()
    assert "one of `fifo`, `keyed`, `unordered`" in told["order",]
    assert "`call.created`" in told["eventTypes", "0"]
    assert "is required" in told["clientCertificate", "privateKey"]
    assert "`auth.token`: must be letters" in told["auth", "token"]
    assert "`retrySchedule.1`: must be from 0.01 to 2592000" in told.values()
    assert all(isinstance(part, str) for way in told for part in way)
    assert "a b" not in json.dumps(told["auth", "token"])


def test_every_body_is_read_as_json(application: Documented) -> None:
    """Forms and MessagePack would be converted by the framework, and not by us."""
    handlers = {handler for route in application.app.routes for handler in getattr(route, "route_handlers", ())}
    fields = [handler.parsed_data_field for handler in handlers if handler.parsed_data_field]
    assert len(fields) == len(RIGHT)
    assert {field.kwarg_definition.media_type for field in fields} == {RequestEncodingType.JSON}
    assert all(handler.resolve_request_class() is StrictRequest for handler in handlers)


async def test_keys_that_somebody_made_up_cost_no_time(called: httpx.AsyncClient) -> None:
    """A megabyte of them is answered like a hundred."""
    body = {"name": "n", **{f"key{n}": n for n in range(60_000)}}
    started = time.process_time()
    assert (await called.post("/app", json=body)).status_code == 422
    assert time.process_time() - started < 2


async def test_the_faults_of_one_answer_have_a_bound(called: httpx.AsyncClient) -> None:
    """And so has each of them: what a client made up is cut."""
    answer = await called.post("/app", json={"name": "n", **{f"{n}{'k' * 500}": n for n in range(1500)}})
    assert answer.status_code == 422
    assert len(answer.json()["detail"]) == 100
    assert len(answer.content) < 100_000


async def test_both_names_of_a_field_may_be_given_when_they_agree(called: httpx.AsyncClient) -> None:
    """Older clients send back what they were given."""
    same = {"throttleRate": 3, "rateLimit": 3}
    assert (await called.patch("/app/one", json=same)).status_code == 200
    (fault,) = (await called.patch("/app/one", json=same | {"rateLimit": 4})).json()["detail"]
    assert fault["loc"] == ["body", "rateLimit"]
    assert "`throttleRate`" in fault["msg"]
