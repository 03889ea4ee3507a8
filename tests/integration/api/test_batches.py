"""Endpoints that take several events in one request, over the API: fields, faults, a dry run."""

from typing import Any

import httpx
import pytest

from relay.domain.batching import batch_id
from tests.integration.api.storing import Store

CRM = "https://crm.example/calls"
BATCH = {"size": 50, "seconds": 2.0, "body": "{'inputs': $}", "failed": "errors.index"}
PATH = "/app/acme/endpoint/crm"


@pytest.fixture(autouse=True)
async def application(http: httpx.AsyncClient) -> None:
    await http.put("/app/acme", json={"name": "Acme"})


async def test_what_is_written_comes_back(http: httpx.AsyncClient) -> None:
    """With the defaults; PATCH replaces it, PUT keeps it as the relay's own fields, and null removes it."""
    shown = (await http.put(PATH, json={"url": CRM, "batch": BATCH})).json()
    assert shown["batch"] == BATCH
    assert (await http.put(PATH, json={"url": CRM})).json()["batch"] == BATCH
    least = (await http.patch(PATH, json={"batch": {"size": 2}})).json()
    assert least["batch"] == {"size": 2, "seconds": 5.0, "body": None, "failed": None}
    assert (await http.patch(PATH, json={"batch": None})).json()["batch"] is None


@pytest.mark.parametrize(
    ("change", "place", "says"),
    [
        ({"order": "fifo"}, "batch", "requires `order` to be `unordered`, and it is `fifo`"),
        ({"order": "keyed", "orderKey": "vid"}, "batch", "and it is `keyed`"),
        ({"url": f"{CRM}/{{key}}"}, "batch", "requires a `url` without placeholders"),
        ({"batch": BATCH | {"size": 1}}, "batch.size", "2"),
        ({"batch": BATCH | {"size": 201}}, "batch.size", "200"),
        ({"batch": BATCH | {"seconds": 61}}, "batch.seconds", "60"),
        ({"batch": BATCH | {"body": "{"}}, "batch.body", "at character"),
        ({"batch": BATCH | {"failed": "$captured"}}, "batch.failed", "the variables here are: $events, $variables"),
        ({"batch": {"seconds": 1}}, "batch.size", "required"),
        (
            {"capture": {"value": "id"}, "order": "keyed", "orderKey": "rowId"},
            "batch",
            "must be null if the endpoint has a `capture`",
        ),
    ],
)
async def test_a_fault_names_its_field(http: httpx.AsyncClient, change: dict[str, Any], place: str, says: str) -> None:
    """Whether the batch or the other field is the one that changes."""
    assert (await http.put(PATH, json={"url": CRM, "batch": BATCH})).status_code == 201
    answer = await http.patch(PATH, json=change)
    assert answer.status_code == 422
    assert says in " ".join(
        each["msg"] for each in answer.json()["detail"] if each["loc"] == ["body", *place.split(".")]
    )
    created = await http.post("/app/acme/endpoint", json={"url": CRM, "batch": BATCH} | change)
    assert created.status_code == 422


async def test_a_poller_has_none(http: httpx.AsyncClient) -> None:
    """The relay sends it nothing."""
    answer = await http.post("/app/acme/endpoint", json={"type": "poller", "batch": BATCH})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", "batch"]


async def test_a_dry_run_shows_a_batch_of_one(http: httpx.AsyncClient, store: Store) -> None:
    """With the id that the request of this event alone would have."""
    await http.put(PATH, json={"url": CRM, "batch": BATCH, "transformation": "{'row': data.rowId}"})
    shown = (await http.post(f"{PATH}/transformation/test", json={"row": {"rowId": "7", "act": "call"}})).json()
    assert shown["body"] == {"inputs": [{"row": "7"}]}
    assert shown["headers"]["webhook-id"].startswith(batch_id([])[:6])
    plain = (await http.post(f"{PATH}/transformation/test", json={"transformation": None})).json()
    (member,) = plain["body"]["inputs"]
    assert (set(member), member["body"]["type"]) == ({"id", "body"}, "call.created")
    assert plain["headers"]["webhook-id"] == batch_id([member["id"]]) == plain["headers"]["idempotency-key"]


async def test_a_dry_run_shows_why_there_is_no_request(http: httpx.AsyncClient) -> None:
    """The expression over the batch can fail, too."""
    await http.put(PATH, json={"url": CRM, "batch": {"size": 2, "body": "$error('no')"}})
    shown = (await http.post(f"{PATH}/transformation/test", json={})).json()
    assert shown["error"]["expression"] == "batch.body"
