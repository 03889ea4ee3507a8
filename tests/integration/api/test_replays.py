"""Replays and background tasks through the API, as Svix's client calls them."""

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from svix.api import BulkReplayIn, RecoverIn, ReplayIn, SvixAsync

from relay.api.replays import MOST_RUNNING
from relay.domain.streams import posts_of
from relay.wiring import Stores
from relay.wiring_replays import replays_of
from tests.integration.api.losing import Losses
from tests.integration.api.storing import NOW, A, B, Store

SINCE = datetime(2026, 1, 1, tzinfo=UTC)
URL = "https://hooks.example.com/in"


@pytest.fixture
async def crm(http: httpx.AsyncClient, store: Store) -> str:
    """The id of an endpoint `crm` of the application `one`."""
    await http.put("/app/one", json={"name": "One"})
    made: dict[str, Any] = (await http.put("/app/one/endpoint/crm", json={"url": URL})).json()
    return str(made["id"])


async def test_svixs_client_begins_tasks_and_follows_them(
    svix: SvixAsync, stores: Stores, store: Store, crm: str
) -> None:
    """The three kinds have Svix's names, and end."""
    await store(A, 1, to=[crm])
    await store(A, 2)
    begun = [
        await svix.endpoint.recover("one", "crm", RecoverIn(since=SINCE)),
        await svix.endpoint.replay_missing("one", "crm", ReplayIn(since=SINCE)),
        await svix.endpoint.bulk_replay("one", "crm", BulkReplayIn(since=SINCE)),
    ]
    assert [each.task for each in begun] == ["endpoint.recover", "endpoint.replay", "endpoint.bulk-replay"]
    assert {each.status for each in begun} == {"running"}
    while await replays_of(stores).turn(A):
        pass
    await replays_of(stores).turn("b")  # type: ignore[arg-type]
    told = [await svix.background_task.get(each.id) for each in begun]
    assert [each.status for each in told] == ["finished"] * 3
    # The first event waits for the endpoint already, and the second one was never owed.
    assert [each.data["queued"] for each in told] == [0, 1, 0]
    assert told[1].data["waiting"] == 1
    assert {each.id for each in (await svix.background_task.list()).data} == {each.id for each in begun}


async def test_posted_messages_are_replayed(http: httpx.AsyncClient, stores: Stores, crm: str) -> None:
    """A new endpoint gets those that were posted before it was created."""
    for number, kind in enumerate(("invoice.paid", "invoice.voided")):
        body = {"eventType": kind, "eventId": f"invoice-{number}", "payload": {"number": number}}
        assert (await http.post("/app/one/msg", json=body)).status_code == 202
    await http.put("/app/one/endpoint/new", json={"url": URL})
    asked = {"states": ["never"]}
    task = (await http.post("/app/one/endpoint/new/bulk-replay", json=asked)).json()["id"]
    app = (await http.get("/app/one")).json()["id"]
    for stream in (A, B, posts_of(app)):
        while await replays_of(stores).turn(stream):
            pass
    told = (await http.get(f"/background-task/{task}")).json()
    assert (told["status"], told["data"]["queued"], told["data"]["waiting"]) == ("finished", 2, 2)


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        ("recover", {"since": "2026-01-01T00:00:00Z"}),
        ("bulk-replay", {}),
        ("bulk-replay", {"states": ["dead"]}),
        ("bulk-replay", {"status": 2}),
    ],
)
async def test_messages_are_resent_by_the_reason_that_the_list_shows(
    losses: Losses, http: httpx.AsyncClient, operation: str, body: dict[str, Any]
) -> None:
    """Each reason is listed for one message: only those of the request are counted, of this endpoint alone."""
    for row, reason in enumerate(("schedule_used_up", "poison", "verdict_rule"), 1):
        await losses.give_up(A, row, "crm", at_ms=NOW, tail=f"10 {reason}")
    await losses.give_up(A, 4, "erp", at_ms=NOW, tail="10 poison")
    asked = body | {"reasons": ["poison", "verdict_rule"], "dryRun": True}
    begun = await http.post(f"/app/one/endpoint/crm/{operation}", json=asked)
    assert begun.status_code == 202, begun.text
    while await replays_of(losses.stores).turn(A):
        pass
    await replays_of(losses.stores).turn(B)
    told = (await http.get(f"/background-task/{begun.json()['id']}")).json()
    assert (told["status"], told["data"]["chosen"]) == ("finished", 2)
    shown = {each["reason"] for each in await losses.listed(app="one") if each["endpointUid"] == "crm"}
    assert shown == {"schedule_used_up", "poison", "verdict_rule"}


async def test_a_task_is_cancelled(http: httpx.AsyncClient, stores: Stores, crm: str) -> None:
    """It stays in the list, and no worker continues it."""
    task = (await http.post("/app/one/endpoint/crm/bulk-replay", json={"dryRun": True})).json()["id"]
    assert (await http.delete(f"/background-task/{task}")).status_code == 204
    told = (await http.get(f"/background-task/{task}")).json()
    assert (told["status"], told["data"]["state"], told["data"]["dryRun"]) == ("failed", "cancelled", True)
    assert not await replays_of(stores).turn(A)
    assert (await http.delete(f"/background-task/{task}")).status_code == 204
    assert (await http.get("/background-task", params={"status": "running"})).json()["data"] == []


async def test_only_so_many_run(http: httpx.AsyncClient, crm: str) -> None:
    """Those of other applications do not count."""
    await http.put("/app/two", json={"name": "Two"})
    await http.put("/app/two/endpoint/crm", json={"url": URL})
    path = "/app/{}/endpoint/crm/recover"
    for _ in range(MOST_RUNNING):
        begun = await http.post(path.format("one"), json={"since": "2026-01-01T00:00:00Z"})
        assert begun.status_code == 202
    refused = await http.post(path.format("one"), json={"since": "2026-01-01T00:00:00Z"})
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert (await http.post(path.format("two"), json={"since": "2026-01-01T00:00:00Z"})).status_code == 202


async def test_a_key_of_an_application_sees_its_own_tasks(http: httpx.AsyncClient, crm: str) -> None:
    """It replays to its own endpoints, and neither sees nor cancels the tasks of others."""
    await http.put("/app/two", json={"name": "Two"})
    theirs = (await http.post("/app/one/endpoint/crm/bulk-replay", json={})).json()["id"]
    key = (await http.post("/key", json={"name": "k", "scopes": ["read", "write"], "appId": "two"})).json()["token"]
    own = {"authorization": f"Bearer {key}"}
    assert (await http.get("/background-task", headers=own)).json()["data"] == []
    for method in ("GET", "DELETE"):
        assert (await http.request(method, f"/background-task/{theirs}", headers=own)).status_code == 404
    assert (await http.post("/app/one/endpoint/crm/bulk-replay", json={}, headers=own)).status_code in (403, 404)


@pytest.mark.parametrize(
    ("body", "loc"),
    [
        ({"states": ["waiting"]}, ["body", "states", "0"]),
        ({"states": []}, ["body", "states"]),
        ({"sources": ["absent"]}, ["body", "sources", "0"]),
        ({"since": "yesterday"}, ["body", "since"]),
        ({"rate": 0}, ["body", "rate"]),
        ({"tag": "x"}, ["body", "tag"]),
        ({"reasons": ["event_not_kept"]}, ["body", "reasons", "0"]),
        ({"reasons": []}, ["body", "reasons"]),
        ({"reasons": ["poison"], "states": ["dead", "delivered"]}, ["body", "states"]),
        ({"reasons": ["poison"], "status": 0}, ["body", "status"]),
    ],
)
async def test_what_is_wrong_is_told(http: httpx.AsyncClient, crm: str, body: dict[str, Any], loc: list[str]) -> None:
    """With the field."""
    refused = await http.post("/app/one/endpoint/crm/bulk-replay", json=body)
    assert (refused.status_code, refused.json()["detail"][0]["loc"]) == (422, loc)
