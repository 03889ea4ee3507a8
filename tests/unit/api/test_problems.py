"""What a client is told when something is wrong."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from types import SimpleNamespace
from typing import Any

import pytest
from svix.api.errors.http_error import HttpError
from svix.api.errors.http_validation_error import HTTPValidationError

from relay.errors import Conflict, NotFound, StoreUnavailable

SOURCE = {"baseUrl": "https://u.example.com", "igrp": 1, "auth": {"type": "apiKey", "key": "k"}, "routes": ["all"]}


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "/nowhere", None, 404, "not_found"),
        ("GET", "/api/v1/nowhere", None, 404, "not_found"),
        ("GET", "/api/v1/event-type/none.such", None, 404, "not_found"),
        ("DELETE", "/api/v1/event-type", None, 405, "method_not_allowed"),
        ("POST", "/api/v1/app", b"{", 400, "malformed"),
        ("POST", "/api/v1/app", b'{"name":"\xff"}', 400, "malformed"),
        ("POST", "/api/v1/app", b'{"name":' + b"[" * 100_000, 400, "malformed"),
        ("POST", "/api/v1/app", b" " * (1 << 20) + b"{}", 413, "too_large"),
        ("POST", "/api/v1/app", b"[]", 422, "invalid"),
        ("POST", "/api/v1/app", None, 422, "invalid"),
        ("GET", "/api/v1/event-type?limit=251", None, 422, "invalid"),
    ],
)
async def test_every_error_is_a_problem_document_that_svix_clients_read(
    client: Any, method: str, path: str, body: bytes | None, status: int, code: str
) -> None:
    """RFC 9457's members, the media type, and `detail` in the form that a Svix client can raise."""
    answer = await client.request(method, path, content=body)
    problem = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["type"]
    assert problem["title"]
    if status == 422:
        faults = HTTPValidationError.init_exception(problem, status).detail
        assert all(fault.loc and fault.msg and fault.type for fault in faults)
        assert faults
    else:
        assert HttpError.init_exception(problem, status).detail
    if status == 405:
        assert "GET" in answer.headers["allow"]


@pytest.mark.parametrize(
    ("path", "body", "loc", "kind"),
    [
        ("app", {}, ["body", "name"], "missing"),
        ("app", {"name": "n", "colour": 1}, ["body", "colour"], "extra"),
        ("app", {"name": "n", "throttleRate": "x"}, ["body", "throttleRate"], "type_error"),
        ("app", {"name": "n", "uid": "a b"}, ["body", "uid"], "value_error"),
        ("source/s", SOURCE | {"routes": ["all", "none"]}, ["body", "routes", "1"], "value_error"),
        ("source/s", SOURCE | {"auth": {"type": "apiKey", "key": "k", "kee": "k"}}, ["body", "auth", "kee"], "extra"),
        ("source/s", SOURCE | {"auth": {"type": "magic"}}, ["body", "auth", "type"], "value_error"),
        ("source/s", SOURCE | {"baseUrl": "https://u.example.com/reports/v2"}, ["body", "baseUrl"], "value_error"),
        ("source/s%7D", SOURCE, ["path", "uid"], "value_error"),
    ],
)
async def test_a_fault_is_named_with_the_path_to_it(
    client_over: Callable[[Any], AbstractAsyncContextManager[Any]],
    path: str,
    body: dict[str, Any],
    loc: list[str | int],
    kind: str,
) -> None:
    """`loc` leads from the body (or the query, or the path) to the very value, also in nested objects and lists."""

    class Sources:
        async def get(self, uid: str) -> None:
            raise NotFound(f"there is no source {uid}")

        async def put(self, _: str, make: Callable[[None], Any], **__: Any) -> None:
            make(None)

    async with client_over(SimpleNamespace(sources=Sources())) as client:
        answer = await client.request("POST" if path == "app" else "PUT", f"/api/v1/{path}", json=body)
    (fault,) = answer.json()["detail"]
    assert (answer.status_code, fault["loc"], fault["type"]) == (422, loc, kind)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (StoreUnavailable("away"), 503, "unavailable"),
        (Conflict("the uid x is taken"), 409, "conflict"),
        (RuntimeError("canary: in the log only"), 500, "internal_error"),
    ],
)
async def test_what_fails_inside_is_told_without_its_insides(
    client_over: Callable[[Any], AbstractAsyncContextManager[Any]],
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    status: int,
    code: str,
) -> None:
    """503 says to come back, 409 says why, 500 says nothing but that the log knows more."""

    class Applications:
        async def get(self, _: str) -> None:
            raise error

    async with client_over(SimpleNamespace(applications=Applications())) as client:
        answer = await client.get("/api/v1/app/x")
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers.get("retry-after") == ("1" if status == 503 else None)
    assert "canary" not in answer.text
    assert ("request_failed" in "".join(capsys.readouterr())) == (status == 500)
