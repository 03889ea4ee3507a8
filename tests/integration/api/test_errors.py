"""Every answer is one of the API's own, whatever is asked: errors, unusual methods, odd paths and parameters."""

import asyncio
import base64
import json
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from relay.wiring import Stores
from tests.integration.api.documented import SECURITY, Documented
from tests.patience import PATIENCE_S

KEY = "test-key-0123456789"
AUTHORIZED = {"authorization": f"Bearer {KEY}"}


async def raw(base_url: str, head: bytes) -> tuple[int, dict[str, str], bytes]:
    """What is answered to a request's head as it is: a client would correct it, or refuse to send it."""
    host = urlsplit(base_url)
    reader, writer = await asyncio.open_connection(host.hostname, host.port)
    writer.write(head + b"\r\nhost: relay\r\nauthorization: Bearer " + KEY.encode() + b"\r\nconnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    top, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = top.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return int(status.split()[1]), headers, body


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v1/app", 200),
        ("DELETE", "/api/v1/app/one", 204),
        ("GET", "/docs", 200),
        ("GET", "/docs/openapi.json", 200),
        ("GET", "/health/live", 200),
        ("GET", "/health/ready", 200),
        ("GET", "/api/v1/health", 204),
        ("OPTIONS", "/api/v1/app", 204),
        ("GET", "/nothing", 404),
        ("GET", "/api/v1/app/none", 404),
        ("GET", "/docs/swagger", 404),
        ("GET", "/docs/openapi.yml", 404),
        ("GET", "/.well-known/webhook-keys/ep_none", 404),
        ("PATCH", "/api/v1/app", 405),
        ("HEAD", "/api/v1/app", 405),
        ("TRACE", "/api/v1/app", 405),
        ("POST", "/api/v1/app/one/msg/precheck/active", 501),
        ("POST", "/api/v1/app", 422),
        ("GET", "/api/v1/app?limit=x", 422),
    ],
)
async def test_every_answer_has_the_security_headers(
    http: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    """It is not sniffed, kept or framed, and nothing in it runs: pages, errors and answers to probes as well."""
    await http.put("/app/one", json={"name": "One"})
    answer = await http.request(method, f"http://relay{path}")
    assert answer.status_code == status
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert status < 400 or answer.headers["content-type"] == "application/problem+json"


async def test_a_fault_of_ours_and_a_store_that_is_away_have_them_too(
    http: httpx.AsyncClient, application: Documented, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """500, 503, 401, 400, 413 and 415."""

    async def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    answers = [
        await http.get("/app", headers={"authorization": "Bearer wrong"}),
        await http.post("/app", content="{"),
        await http.post("/app", content=b" " * ((1 << 20) + 1)),
        await http.post("/app", content="{}", headers={"content-type": "text/plain"}),
    ]
    monkeypatch.setattr(stores.applications, "page", broken)
    http._transport.raise_app_exceptions = False  # type: ignore[attr-defined]
    answers.append(await http.get("/app"))
    assert [answer.status_code for answer in answers] == [401, 400, 413, 415, 500]
    for answer in answers:
        assert answer.headers.keys() >= SECURITY
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json().keys() == {"type", "title", "status", "code", "detail"}


async def test_public_keys_may_be_kept_by_caches(http: httpx.AsyncClient) -> None:
    """What an operation says itself stays; the other headers are added."""
    await http.put("/app/one", json={"name": "One"})
    made = (await http.post("/app/one/endpoint", json={"url": "https://a.example/", "signatures": ["v1a"]})).json()
    answer = await http.get(f"http://relay/.well-known/webhook-keys/{made['id']}")
    assert answer.headers.get_list("cache-control") == ["public, max-age=300"]
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("OPTIONS", "/api/v1/app", "GET, OPTIONS, POST"),
        ("PUT", "/api/v1/app", "GET, OPTIONS, POST"),
        ("HEAD", "/api/v1/app/one", "DELETE, GET, OPTIONS, PATCH, PUT"),
        ("TRACE", "/api/v1/app/one/endpoint/e/headers", "GET, OPTIONS, PATCH, PUT"),
        ("PUT", "/api/v1/app/one/msg/m", "GET, OPTIONS"),
        ("DELETE", "/health/live", "GET, OPTIONS"),
        ("QUERY", "/api/v1/source/s", "DELETE, GET, OPTIONS, PUT"),
    ],
)
async def test_a_method_that_a_path_does_not_take(
    http: httpx.AsyncClient, method: str, path: str, allowed: str
) -> None:
    """The answer says which it takes, and OPTIONS says the same."""
    answer = await http.request(method, f"http://relay{path}")
    assert answer.status_code == (204 if method == "OPTIONS" else 405)
    assert answer.headers.get_list("allow") == [allowed]
    if method not in ("OPTIONS", "HEAD"):
        assert answer.json()["code"] == "method_not_allowed"


@pytest.mark.parametrize(
    ("path", "statuses"),
    [
        (b"/api/v1/app/a%00b", {422}),
        (b"/api/v1/app/a%0ab", {422}),
        (b"/api/v1/app/a%20", {422}),
        (b"/api/v1/app/%ff%fe", {422}),
        (b"/api/v1/app/%e9", {422}),
        (b"/api/v1/app/" + b"a" * 257, {422}),
        (b"/api/v1/app/" + b"a" * 60_000, {422, 400, 414}),
        (b"/api/v1/source/" + b"a" * 129, {422}),
        (b"/api/v1/app/%2e%2e", {422}),
        (b"/api/v1/app/one%2Fendpoint", {404}),
        (b"/api/v1/app/one%2fendpoint", {404}),
        (b"/api/v1/app/one%5Cendpoint", {422}),
        (b"/api/v1/app/one;a=b", {422}),
        (b"/api/v1/app/../app", {404, 422}),
        (b"/api/v1/event-type/call.gone%00", {422}),
        (b"/api/v1/app/one/msg/msg_%2F", {404}),
        (b"/.well-known/webhook-keys/ep_%0d%0aset-cookie:x", {422}),
        (b"/api/v1/app/", {200}),
        (b"/nothing/%00", {404}),
        (b"//api/v1/app", {200, 404}),
        (b"/" * 10_000, {404}),
    ],
)
async def test_a_path_that_no_client_should_send(base_url: str, path: bytes, statuses: set[int]) -> None:
    """Names in paths follow the rule of names in bodies; no other is looked up, and no answer is long."""
    async with httpx.AsyncClient(headers=AUTHORIZED, verify=False, timeout=PATIENCE_S) as client:
        await client.put(f"{base_url}/api/v1/app/one", json={"name": "One"})
    status, headers, body = await raw(base_url, b"GET " + path + b" HTTP/1.1")
    assert status in statuses, body
    assert len(body) < 2000
    if status >= 400 and headers["content-type"] != "text/plain; charset=utf-8":  # The server's own.
        assert headers["content-type"] == "application/problem+json"
        assert json.loads(body)["status"] == status


@pytest.mark.parametrize(
    ("query", "fault"),
    [
        ("limit=1.0", "must be an integer from 1 to 250"),
        ("limit=1e2", "must be an integer from 1 to 250"),
        ("limit=%205", "must be an integer from 1 to 250"),
        ("limit=+5", "must be an integer from 1 to 250"),
        ("limit=%2B5", "must be an integer from 1 to 250"),
        ("limit=05", "must be an integer from 1 to 250"),
        ("limit=%D9%A1", "must be an integer from 1 to 250"),
        ("limit=0", "must be an integer from 1 to 250"),
        ("limit=251", "must be an integer from 1 to 250"),
        ("limit=", "must be an integer from 1 to 250"),
        ("limit=null", "must be an integer from 1 to 250"),
        (f"limit={'9' * 5000}", "must be an integer from 1 to 250"),
        ("limit=5&limit=6", "is given more than once"),
        ("order=up", "must be one of `ascending`, `descending`"),
        ("limt=5", "did you mean `limit`?"),
        ("Limit=5", "did you mean `limit`?"),
        ("limit%00=5", "is not a parameter"),
        ("iterator=" + "x" * 4097, "must have at most 4096 characters"),
    ],
)
async def test_a_parameter_is_what_the_document_says(http: httpx.AsyncClient, query: str, fault: str) -> None:
    """Nothing is trimmed, converted or ignored; the answer says what is allowed."""
    answer = await http.get(f"/app?{query}")
    assert answer.status_code == 422
    (told,) = answer.json()["detail"]
    assert told["loc"][0] == "query"
    assert fault in told["msg"]


@pytest.mark.parametrize(
    ("query", "good"),
    [
        ("with_content=true", True),
        ("with_content=false", True),
        ("with_content=1", False),
        ("with_content=True", False),
        ("with_content=", False),
        ("before=2026-01-31T12:00:00Z", True),
        ("before=2026-01-31T12:00:00.123456%2B01:00", True),
        ("before=2026-01-31T12:00:00", True),
        ("before=2026-01-31", False),
        ("before=1769860800", False),
        ("before=null", False),
        ("before=2026-02-31T12:00:00Z", False),
        ("before=", False),
        ("event_types=call.created&event_types=goal.created", True),
        ("status=5", False),
        ("status=0", True),
        ("status=0.0", False),
        ("status_code_class=200", True),
        ("status_code_class=201", False),
        ("event_types[]=call.created", False),
    ],
)
async def test_flags_times_and_choices_are_what_they_must_be(http: httpx.AsyncClient, query: str, good: bool) -> None:
    """In one form each."""
    await http.put("/app/one", json={"name": "One"})
    await http.put("/app/one/endpoint/crm", json={"url": "https://a.example/"})
    answer = await http.get(f"/app/one/attempt/endpoint/crm?{query}")
    assert answer.status_code == (200 if good else 422), answer.text


@pytest.mark.parametrize("name", ["", "a%20b", "a%0A", "%2e%2e", "a/b", "%C3%A9", "x" * 257, "%00"])
async def test_a_name_in_a_query_follows_the_rule_of_names(http: httpx.AsyncClient, name: str) -> None:
    """As one in a path does."""
    await http.put("/app/one", json={"name": "One"})
    for path in (f"undelivered?app={name}", f"undelivered?source={name}", f"undelivered?endpoint={name}"):
        answer = await http.get(f"/{path}")
        assert answer.status_code == 422, answer.text
    assert (await http.get(f"/app/one/attempt/msg/msg_1?endpoint_id={name}")).status_code == 422


async def test_every_fault_of_a_request_is_told(http: httpx.AsyncClient) -> None:
    """Of its path and of its query, together."""
    answer = await http.get("/app/a%20b/msg?limit=0&order=x&befor=1&with_content=2")
    assert [fault["loc"] for fault in answer.json()["detail"]] == [
        ["path", "app_id"], ["query", "limit"], ["query", "order"], ["query", "befor"], ["query", "with_content"],
    ]  # fmt: skip


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 2**64, 10**40])
@pytest.mark.parametrize(
    "path", ["/app/one/msg", "/app/one/attempt/endpoint/crm", "/app/one/endpoint/crm/msg", "/undelivered"]
)
async def test_an_iterator_beyond_64_bits_is_refused(http: httpx.AsyncClient, path: str, number: int) -> None:
    """It is none that a list gave; the store would fail on it."""
    source = {"baseUrl": "https://u.test", "igrp": 1, "auth": {"type": "apiKey", "key": "k"}, "routes": ["all"]}
    await http.put("/source/s", json=source)
    await http.put("/app/one", json={"name": "One"})
    await http.put("/app/one/endpoint/crm", json={"url": "https://a.example/"})
    for place in ({"s": number}, ["dead", "s", number], ["s", None, number], [number], number):
        iterator = base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")
        answer = await http.get(path, params={"iterator": iterator})
        assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["query", "iterator"])


async def test_an_idempotency_key_has_a_bound(http: httpx.AsyncClient) -> None:
    """Its fault is told as any other is."""
    answer = await http.post("/app", json={"name": "n"}, headers={"idempotency-key": "k" * 257})
    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["header", "idempotency-key"])
