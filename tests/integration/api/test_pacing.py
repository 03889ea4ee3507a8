"""Rates, budgets, concurrency and delays through the API."""

from typing import Any

import httpx
import pytest

ENDPOINT = {"url": "https://crm.example.com/hook", "uid": "calls"}


@pytest.fixture
async def app(http: httpx.AsyncClient) -> str:
    body = {
        "name": "One",
        "uid": "one",
        "budgets": {"crm": {"rates": [{"limit": 100, "seconds": 10}], "concurrency": 5}},
    }
    made = await http.post("/app", json=body)
    assert made.json()["budgets"] == body["budgets"]
    return "/app/one"


async def test_what_was_asked_for_is_shown(http: httpx.AsyncClient, app: str) -> None:
    """A PATCH changes only what it names, and null removes it."""
    asked = {
        "rates": [{"limit": 5, "seconds": 1}, {"limit": 250000, "seconds": 86400}], "concurrency": 3, "budget": "crm",
        "delaySeconds": 300.0, "newestOnly": True,
    }  # fmt: skip
    shown = (await http.post(f"{app}/endpoint", json=ENDPOINT | asked)).json()
    assert {name: shown[name] for name in asked} == asked
    none = {"rates": None, "concurrency": None, "budget": None, "delaySeconds": 0, "newestOnly": False}
    shown = (await http.patch(f"{app}/endpoint/calls", json=none)).json()
    assert {name: shown[name] for name in none} == none | {"rates": []}
    assert (await http.patch(app, json={"budgets": None})).json()["budgets"] == {}


@pytest.mark.parametrize(
    ("asked", "field", "told"),
    [
        ({"budget": "none"}, ["budget"], "no budget `none`, it has `crm`"),
        ({"rates": [{"limit": 1, "seconds": 1}, {"limit": 2, "seconds": 1}]}, ["rates", "1", "seconds"], "is 1 twice"),
        ({"newestOnly": True}, ["newestOnly"], "requires `delaySeconds`"),
        ({"rates": [{"limit": 0, "seconds": 1}]}, ["rates", "0", "limit"], "from 1 to"),
        ({"delaySeconds": 700_000}, ["delaySeconds"], "from 0 to 86400"),
        ({"type": "poller", "url": None, "rates": [{"limit": 1, "seconds": 1}]}, ["rates"], "must be omitted"),
    ],
)
async def test_what_makes_no_sense_is_refused(
    http: httpx.AsyncClient, app: str, asked: dict[str, Any], field: list[str], told: str
) -> None:
    """The error names the field and what is allowed."""
    body = {name: value for name, value in (ENDPOINT | asked).items() if value is not None}
    answer = await http.post(f"{app}/endpoint", json=body)
    assert answer.status_code == 422
    assert [(each["loc"][1:], told in each["msg"]) for each in answer.json()["detail"]] == [(field, True)], answer.text


async def test_an_endpoint_whose_budget_was_removed_says_so(http: httpx.AsyncClient, app: str) -> None:
    """It sends nothing without its limits."""
    await http.post(f"{app}/endpoint", json=ENDPOINT | {"budget": "crm"})
    await http.patch(app, json={"budgets": {}})
    shown = (await http.get(f"{app}/endpoint/calls")).json()
    assert shown["unfitReason"] == "its application has no budget `crm`"


async def test_windows_of_a_budget_are_checked(http: httpx.AsyncClient, app: str) -> None:
    """As those of an endpoint are."""
    rates = [{"limit": 1, "seconds": 60}, {"limit": 2, "seconds": 60}]
    answer = await http.patch(app, json={"budgets": {"crm": {"rates": rates}}})
    assert [each["loc"] for each in answer.json()["detail"]] == [["body", "budgets", "crm", "rates", "1", "seconds"]]
