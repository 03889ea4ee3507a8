"""Every fault of a request is in one answer: of its parameters, of its body's form, and of what the body is for."""

from typing import Any

import httpx
import pytest

URL = "https://hooks.example.com/in"
SOURCE = {"baseUrl": "https://u.test", "igrp": 1, "auth": {"type": "apiKey", "key": "k"}, "routes": ["all"]}
SECRET = "whsec_" + "a" * 32


@pytest.fixture
async def called(http: httpx.AsyncClient) -> httpx.AsyncClient:
    """A client; there are a source, an application, and an endpoint that has hidden credentials."""
    await http.put("/source/s", json=SOURCE)
    await http.put("/app/one", json={"name": "One"})
    hidden = {"auth": {"type": "bearer", "token": "t"}, "headers": {"X-Api-Key": "k"}}
    await http.put("/app/one/endpoint/crm", json={"url": URL, **hidden})
    return http


@pytest.mark.parametrize(
    ("method", "path", "body", "faults"),
    [
        ("POST", "/app", {"name": "", "sources": ["s", "t", 5]}, ["name", "sources.1", "sources.2"]),
        ("PATCH", "/app/one", {"nam": "x", "sources": ["t"]}, ["nam", "sources.0"]),
        ("PUT", "/app/two", {"sources": ["t"]}, ["name", "sources.0"]),
        (
            "POST",
            "/app/one/endpoint",
            {"url": "x", "order": "keyed", "signatures": ["v1a"], "secret": SECRET, "auth": {"type": "bearer"}},
            ["url", "orderKey", "secret", "auth.token"],
        ),
        (
            "PATCH",
            "/app/one/endpoint/crm",
            {"url": "https://other.example.com/", "order": "keyed", "throttleRate": 0},
            ["throttleRate", "orderKey", "headers", "auth"],
        ),
        (
            "PUT",
            "/app/one/endpoint/crm",
            {"url": "https://other.example.com/", "headers": {"X-A": "a\n"}, "auth": {"type": "bearer"}},
            ["headers.X-A", "auth.token"],
        ),
        (
            "PUT",
            "/app/one/endpoint/new",
            {"order": "keyed", "auth": {"type": "basic", "username": "a:b"}, "clientCertificate": {"certificate": ""}},
            ["url", "orderKey", "auth.username", "auth.password", "clientCertificate.certificate",
             "clientCertificate.privateKey"],
        ),
        ("PUT", "/source/new", {"igrp": 0}, ["baseUrl", "igrp", "routes", "auth"]),
        (
            "PUT",
            "/source/s",
            SOURCE | {"baseUrl": "https://v.test", "auth": {"type": "apiKey"}, "routes": []},
            ["routes", "auth.key"],
        ),
        (
            "PUT",
            "/source/s",
            SOURCE | {"auth": {"type": "basic"}, "version": "v3"},
            ["version", "auth.username", "auth.password"],
        ),
        (
            "POST",
            "/app/one/endpoint/crm/secret/rotate",
            {"key": "whsk_" + "a" * 43 + "=", "gracePeriodSeconds": -1},
            ["key", "gracePeriodSeconds"],
        ),
        ("PUT", "/app/one/endpoint/crm/headers", {"headers": {"Host": "x"}, "sensitive": ["X-B"]},
         ["headers.Host", "sensitive.0"]),
        ("POST", "/app?get_if_exist=true", {"nam": "x"}, ["get_if_exist", "name", "nam"]),
        ("POST", "/app?get_if_exist=true", None, ["get_if_exist", ""]),
        ("POST", "/app/one/endpoint/crm/secret/rotate?x=1", None, ["x"]),
        ("PUT", "/app/msg_1", {"name": 5}, ["app_id", "name"]),
        ("PUT", "/app/one/endpoint/app_1", {"url": 5}, ["endpoint_id", "url"]),
        ("PUT", "/app/app_1.x%20y?x=1", {"name": 5}, ["app_id", "x", "name"]),
    ],
)  # fmt: skip
async def test_one_answer_has_all_faults(
    called: httpx.AsyncClient, method: str, path: str, body: Any, faults: list[str]
) -> None:
    """And nothing is changed or made."""
    before = [(await called.get(each)).text for each in ("/app", "/source", "/app/one/endpoint")]
    answer = await called.request(method, path, json=body) if body else await called.request(method, path)
    assert answer.status_code == 422, answer.text
    assert sorted(".".join(fault["loc"][1:]) for fault in answer.json()["detail"]) == sorted(faults)
    assert before == [(await called.get(each)).text for each in ("/app", "/source", "/app/one/endpoint")]


async def test_a_message_says_what_is_allowed(called: httpx.AsyncClient) -> None:
    """With the name of the field, what it depends on, and what to do."""
    body = {"url": URL, "order": "keyed", "signatures": ["v1a"], "secret": SECRET}
    answer = (await called.post("/app/one/endpoint", json=body)).json()
    told = {".".join(fault["loc"][1:]): fault["msg"] for fault in answer["detail"]}
    assert told == {
        "orderKey": "`orderKey`: is required when `order` is `keyed`: name a field of the row, such as `vid`",
        "secret": "`secret`: is a key for `v1` signatures, and `signatures` is `v1a`",
    }
    (fault,) = (await called.patch("/app/one", json={"sources": ["t"]})).json()["detail"]
    assert fault["msg"] == "`sources.0`: there is no source `t`; create it first, or see GET /api/v1/source"
