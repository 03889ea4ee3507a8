"""Backfills and single routes through the API."""

import asyncio
from typing import Any

import httpx
import pytest

from relay.domain.model import SourceUid
from relay.domain.reading.place import Place
from relay.wiring import Stores

SOURCE: dict[str, Any] = {
    "baseUrl": "https://api.example.com",
    "igrp": 7,
    "auth": {"type": "apiKey", "key": "k"},
    "routes": ["calls", "goals"],
}
S = SourceUid("s")
RIGHT: dict[str, Any] = {"route": "calls", "afterRowId": 5, "endpoints": "none"}


@pytest.fixture
async def source(http: httpx.AsyncClient, stores: Stores) -> httpx.AsyncClient:
    """A source whose route `calls` is at rowId 100, and an endpoint that receives its events."""
    await http.put("/source/s", json=SOURCE)
    token = await stores.routes.take(S)
    assert token is not None
    await stores.routes.start(S, "calls", 100, token=token, now_ms=0)
    await http.put("/app/crm", json={"name": "CRM"})
    await http.put("/app/other", json={"name": "Other", "sources": []})
    return http


async def test_a_backfill_is_created_shown_and_cancelled(source: httpx.AsyncClient, stores: Stores) -> None:
    """It shows how far it is while it runs, and how far it came once it was cancelled."""
    endpoint = (await source.post("/app/crm/endpoint", json={"url": "https://crm.example/"})).json()["id"]
    made = await source.post("/source/s/backfill", json=RIGHT | {"endpoints": [endpoint, endpoint]})
    assert made.status_code == 201
    backfill = made.json()
    assert backfill["id"].startswith("bf_")
    expected = {
        "route": "calls", "afterRowId": 5, "since": None, "untilRowId": 100, "endpoints": [endpoint], "dryRun": False,
        "state": "running", "rowId": None, "rows": 0, "events": 0, "failures": 0, "waitingFor": [],
        "error": None, "endedAt": None,
    }  # fmt: skip
    assert {name: backfill[name] for name in expected} == expected
    assert (await stores.routes.take_due(now_ms=1)).sources == [S]
    token = await stores.routes.take(S) or await _token(stores)
    place = {f"backfill.{backfill['id']}": Place(60, until=100, rows=55, events=54, waits_for=(endpoint,))}
    await stores.readings.save(S, "calls", place, token=token)
    path = f"/source/s/backfill/{backfill['id']}"
    assert (await source.get(path)).json() == backfill | {
        "rowId": 60,
        "rows": 55,
        "events": 54,
        "waitingFor": [endpoint],
    }
    assert (await source.delete(path)).status_code == 204
    ended = (await source.get(path)).json()
    assert (ended["state"], ended["rowId"], ended["rows"], ended["events"]) == ("cancelled", None, 55, 54)
    assert (ended["waitingFor"], ended["endedAt"] is None) == ([], False)
    assert (await source.delete(path)).status_code == 204
    assert (await source.get(path)).json() == ended
    assert (await source.get("/source/s/backfill")).json()["data"] == [ended]
    assert (await stores.readings.load(S)).of == {}


async def _token(stores: Stores) -> Any:
    await stores.redis.delete("relay:s:{s}:lease")
    return await stores.routes.take(S)


@pytest.mark.parametrize(
    ("body", "loc"),
    [
        ({"afterRowId": None}, ["body", "afterRowId"]),
        ({"since": "2026-01-31"}, ["body", "afterRowId"]),
        ({"afterRowId": None, "since": "yesterday"}, ["body", "since"]),
        ({"afterRowId": None, "since": "2026-02-30"}, ["body", "since"]),
        ({"route": "users"}, ["body", "route"]),
        ({"route": "nothing"}, ["body", "route"]),
        ({"endpoints": ["ep_nobody"]}, ["body", "endpoints", "0"]),
        ({"endpoints": []}, ["body", "endpoints"]),
        ({"endpoints": "some"}, ["body", "endpoints"]),
        ({"afterRowId": -1}, ["body", "afterRowId"]),
        ({"untilRowId": "7"}, ["body", "untilRowId"]),
        ({"untilRowId": 7, "until": "2026-01-31"}, ["body", "until"]),
        ({"afterRowId": None, "since": "2026-01-31", "until": "2026-01-30"}, ["body", "until"]),
        ({"until": "tomorrow"}, ["body", "until"]),
    ],
)
async def test_what_is_wrong_with_a_backfill(source: httpx.AsyncClient, body: dict[str, Any], loc: list[str]) -> None:
    """Each fault is named, and nothing begins."""
    answer = await source.post("/source/s/backfill", json=RIGHT | body)
    assert answer.status_code == 422
    assert loc in [fault["loc"] for fault in answer.json()["detail"]]
    assert (await source.get("/source/s/backfill")).json()["data"] == []


async def test_an_endpoint_of_another_tenant_gets_no_backfill(source: httpx.AsyncClient) -> None:
    """Its application does not receive the source."""
    await source.put("/app/other", json={"name": "Other", "sources": ["s"]})
    endpoint = (await source.post("/app/other/endpoint", json={"url": "https://crm.example/"})).json()["id"]
    body = RIGHT | {"endpoints": [endpoint]}
    assert (await source.post("/source/s/backfill", json=body)).status_code == 201
    await source.put("/source/t", json=SOURCE)
    await source.put("/app/other", json={"name": "Other", "sources": ["t"]})
    assert (await source.post("/source/s/backfill", json=body)).status_code == 422


async def test_a_date_and_an_end(source: httpx.AsyncClient) -> None:
    """A day instead of a rowId; the end is never ahead of the cursor."""
    body = {"route": "calls", "since": "2026-01-31", "untilRowId": 10**6, "endpoints": "all", "dryRun": True}
    made = (await source.post("/source/s/backfill", json=body)).json()
    assert (made["afterRowId"], made["since"], made["untilRowId"]) == (None, "2026-01-31", 100)
    assert (made["endpoints"], made["dryRun"]) == ("all", True)


async def test_the_last_day(source: httpx.AsyncClient) -> None:
    """Instead of a rowId, like the first one."""
    body = {"route": "calls", "since": "2026-01-31", "until": "2026-02-01", "endpoints": "all"}
    made = (await source.post("/source/s/backfill", json=body)).json()
    assert (made["since"], made["until"], made["untilRowId"]) == ("2026-01-31", "2026-02-01", 100)


async def test_ten_run_however_many_are_created_at_once(source: httpx.AsyncClient) -> None:
    """Requests that arrive at the same time do not pass the bound together."""
    answers = await asyncio.gather(*(source.post("/source/s/backfill", json=RIGHT) for _ in range(25)))
    assert sorted(answer.status_code for answer in answers) == [201] * 10 + [409] * 15


async def test_backfills_are_bounded(source: httpx.AsyncClient) -> None:
    """Ten can run at a time, and a route that has not begun has nothing to fill."""
    for _ in range(10):
        assert (await source.post("/source/s/backfill", json=RIGHT)).status_code == 201
    assert (await source.post("/source/s/backfill", json=RIGHT)).json()["code"] == "conflict"
    goals = await source.post("/source/s/backfill", json=RIGHT | {"route": "goals"})
    assert (goals.status_code, goals.json()["code"]) == (409, "conflict")
    assert (await source.get("/source/s/backfill/bf_none")).status_code == 404
    assert (await source.get("/source/x/backfill")).status_code == 404


async def test_a_route_is_paused_resumed_and_polled(source: httpx.AsyncClient, stores: Stores) -> None:
    """By itself, or with all routes of its source; one that was stopped is asked again."""
    token = await _token(stores)
    await stores.routes.save(S, "calls", {"state": "stopped", "failures": 3, "next_poll_at_ms": 2**40}, token=token)
    assert (await source.post("/source/s/route/calls/pause")).json()["paused"] is True
    states = (await source.get("/source/s")).json()["routeStates"]
    assert [states[route]["paused"] for route in ("calls", "goals")] == [True, False]
    resumed = (await source.post("/source/s/route/calls/resume")).json()
    assert (resumed["paused"], resumed["state"]) == (False, "stopped")
    assert await _next_ms(stores) == 0
    for path in ("/source/s/route/calls/poll", "/source/s/poll"):
        await stores.routes.steer(S, "calls", {"next_poll_at_ms": 2**40})
        await stores.routes.poll_at(S, 2**45)
        assert (await source.post(path)).status_code == 200
        assert await _next_ms(stores) == 0
        assert (await stores.routes.take_due(now_ms=1)).sources == [S]
    assert (await source.post("/source/s/route/users/poll")).status_code == 404
    assert (await source.post("/source/x/poll")).status_code == 404


async def _next_ms(stores: Stores) -> int:
    return (await stores.routes.states(S, ["calls"]))[0].next_poll_at_ms


async def test_readings_are_shown(source: httpx.AsyncClient, stores: Stores) -> None:
    """How far each is, and what it has found."""
    place = Place(60, until=100, due_ms=1_000, rows=55, events=1)
    await stores.readings.save(S, "calls", {"overlap": place, "gap.1200": Place(7)}, token=await _token(stores))
    gap, overlap = (await source.get("/source/s/route/calls/reading")).json()["data"]
    assert (gap["name"], gap["rowId"], gap["untilRowId"]) == ("gap.1200", 7, None)
    assert overlap == {
        "name": "overlap", "rowId": 60, "untilRowId": 100, "dueAt": "1970-01-01T00:00:01.000Z",
        "failures": 0, "rows": 55, "events": 1,
    }  # fmt: skip
    assert (await source.get("/source/s/route/goals/reading")).json() == {"data": []}
