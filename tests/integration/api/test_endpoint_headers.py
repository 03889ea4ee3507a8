"""The headers of an endpoint: their names are kept as given, and compared without regard to case."""

from typing import Any

import httpx
import pytest

URL = "https://hooks.example.com/in"
HEADERS = "/app/one/endpoint/crm/headers"


@pytest.fixture
async def called(http: httpx.AsyncClient) -> httpx.AsyncClient:
    """A client; the application `one` has an endpoint `crm`."""
    await http.put("/app/one", json={"name": "One"})
    await http.put("/app/one/endpoint/crm", json={"url": URL})
    return http


async def test_names_keep_their_case(called: httpx.AsyncClient) -> None:
    """However the headers are set; a later value of the same header replaces the name as well."""
    given = {"X-Team-ID": "a", "x-lower": "b", "X-API-Key": "secret"}
    shown = {"headers": {"X-Team-ID": "a", "x-lower": "b"}, "sensitive": ["X-API-Key"]}
    for method, path, body in (
        ("PUT", HEADERS, {"headers": given}),
        ("PUT", "/app/one/endpoint/crm", {"url": URL, "headers": given}),
        ("PATCH", "/app/one/endpoint/crm", {"headers": given}),
        ("PATCH", HEADERS, {"headers": given}),
    ):
        await called.put(HEADERS, json={"headers": {}})
        assert (await called.request(method, path, json=body)).status_code in (200, 204)
        assert (await called.get(HEADERS)).json() == shown
    await called.patch(HEADERS, json={"headers": {"x-team-id": "c", "X-LOWER": None}, "deleteHeaders": ["x-api-key"]})
    assert (await called.get(HEADERS)).json() == {"headers": {"x-team-id": "c"}, "sensitive": []}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", HEADERS, {"headers": {"X-A": "1", "x-a": "2"}}),
        ("PATCH", HEADERS, {"headers": {"X-A": "1", "x-a": "2"}}),
        ("PATCH", HEADERS, {"headers": {"X-A": None, "x-a": "2"}}),
        ("PATCH", "/app/one/endpoint/crm", {"headers": {"X-A": "1", "x-a": "2"}}),
        ("POST", "/app/one/endpoint", {"url": URL, "headers": {"X-A": "1", "x-a": "2"}}),
    ],
)
async def test_names_that_differ_in_case_only_are_refused(
    called: httpx.AsyncClient, method: str, path: str, body: dict[str, Any]
) -> None:
    """The second of them is the fault, and the message names the first."""
    answer = await called.request(method, path, json=body)
    assert answer.status_code == 422
    assert [fault["loc"] for fault in answer.json()["detail"]] == [["body", "headers", "x-a"]]
    assert "`X-A`" in answer.json()["detail"][0]["msg"]


async def test_a_header_that_is_set_and_deleted_is_refused(called: httpx.AsyncClient) -> None:
    """Nobody can tell which of the two was meant."""
    answer = await called.patch(HEADERS, json={"headers": {"X-A": "1"}, "deleteHeaders": ["x-a", "X-B"]})
    assert [fault["loc"] for fault in answer.json()["detail"]] == [["body", "deleteHeaders", "0"]]


async def test_too_many_headers_are_counted_with_those_that_stay(called: httpx.AsyncClient) -> None:
    """32 in all; one that replaces another is not counted twice."""
    await called.put(HEADERS, json={"headers": {f"X-{n}": "1" for n in range(32)}})
    assert (await called.patch(HEADERS, json={"headers": {"x-0": "2"}})).status_code == 204
    answer = await called.patch(HEADERS, json={"headers": {"x-32": "2"}})
    assert [fault["loc"] for fault in answer.json()["detail"]] == [["body", "headers"]]
    assert "at most 32" in answer.json()["detail"][0]["msg"]
