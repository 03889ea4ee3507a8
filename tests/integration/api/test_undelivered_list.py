"""What was not delivered, and what the relay did by itself, through the API."""

from typing import Any

import httpx
import pytest

from relay.api import undelivered_steps, undelivered_walk
from relay.domain.model import EndpointId
from relay.domain.outcomes import FINAL
from relay.store import keys
from relay.wiring import Stores
from tests.integration.api.losing import CODE, Losses
from tests.integration.api.storing import NOW, A, B


async def test_a_key_of_one_application_sees_only_what_passes_its_filter(losses: Losses) -> None:
    """Also after the filter was narrowed. The operator still sees everything."""
    http = losses.http
    for row, name in ((1, "Sales"), (2, "Board")):
        await losses.store(A, row, dgrpName=name, to=[losses.ids["crm"]])
    await http.patch("/app/one/endpoint/crm", json={"paused": True})
    await http.patch("/app/one", json={"filter": {"dgrpName": "Sales"}})
    made = (await http.post("/key", json={"name": "K", "scopes": ["read"], "appId": "one"})).json()
    own = await http.get("/undelivered", headers={"authorization": f"Bearer {made['token']}"})
    assert [each["rowId"] for each in own.json()["data"]] == ["1"]
    assert [each["rowId"] for each in await losses.listed(app="one")] == ["1", "2"]


async def test_what_was_given_up_is_listed_with_the_reason(losses: Losses) -> None:
    """By source, newest first: where it was to go, what it was, why it was given up, when, after how many tries."""
    late = await losses.give_up(A, 1, "crm", at_ms=NOW + 5000)
    poison = await losses.give_up(A, 2, "other", at_ms=NOW + 9000, tail="1:5 poison")
    await losses.give_up(B, 3, "erp", at_ms=NOW + 1)
    first, second, third = await losses.listed()
    assert (first["msgId"], first["reason"], first["attempts"]) == (poison, "poison", 0)
    assert second == {
        "appId": losses.ids["one"],
        "endpointId": losses.ids["crm"],
        "endpointUid": "crm",
        "endpointDescription": "",
        "source": "a",
        "msgId": late,
        "rowId": "1",
        "eventType": "call.created",
        "state": "dead",
        "reason": "schedule_used_up",
        "kept": True,
        "since": "2026-09-21T14:13:25.000Z",
        "attempts": 10,
    }
    assert third["source"] == "b"


@pytest.mark.parametrize("reason", ["schedule_used_up", "verdict_rule", *sorted(FINAL)])
async def test_the_attempt_that_ended_a_delivery_is_counted(losses: Losses, reason: str) -> None:
    """A delivery that its first answer ended had one attempt."""
    await losses.give_up(A, 1, "crm", at_ms=NOW, tail=f"1 {reason}")
    assert [(each["reason"], each["attempts"]) for each in await losses.listed()] == [(reason, 1)]


async def test_an_event_that_is_not_kept_is_listed_too(losses: Losses) -> None:
    """Its message can't be named any more; that something is missing can."""
    await losses.give_up(A, 1, "crm", at_ms=NOW, tail="3 event_not_kept")
    await losses.stores.redis.delete(keys.events(A, 0))
    (entry,) = await losses.listed()
    assert (entry["msgId"], entry["rowId"], entry["reason"], entry["attempts"]) == (None, None, "event_not_kept", 2)
    assert not entry["kept"]


async def test_what_was_dropped_is_listed_without_its_event(losses: Losses) -> None:
    """With all that is needed to find it again, and whether it can still be sent; it goes when that is asked for."""
    kept = await losses.drop(A, 1, "crm", at_ms=NOW + 1)
    gone = await losses.drop(A, 300, "crm", at_ms=NOW + 2, reason="backlog_too_old")
    number, _ = await losses.stores.events.find(A, gone) or (0, None)  # type: ignore[arg-type]
    await losses.stores.redis.hdel(keys.events(A, 0), str(number))  # type: ignore[misc]
    first, second = await losses.listed()
    assert (first["msgId"], first["rowId"], first["reason"], first["kept"]) == (gone, "300", "backlog_too_old", False)
    assert (second["msgId"], second["rowId"], second["reason"], second["kept"]) == (kept, "1", "backlog_full", True)
    assert (second["state"], second["attempts"], second["since"]) == ("dead", 2, "2026-09-21T14:13:20.001Z")
    assert (await losses.http.post(f"/app/one/msg/{kept}/endpoint/crm/resend")).status_code == 202
    answer = await losses.http.post(f"/app/one/msg/{gone}/endpoint/crm/resend")
    assert answer.status_code == 404
    assert "no longer keeps it" in answer.json()["detail"]
    assert [entry["msgId"] for entry in await losses.listed()] == [gone]


async def test_what_cant_be_read_is_in_nobodys_way(losses: Losses) -> None:
    """Damaged entries of every list are passed over."""
    crm = EndpointId(losses.ids["crm"])
    message = await losses.give_up(A, 1, "crm", at_ms=NOW)
    waiting = await losses.store(A, 2, to=[crm])
    redis = losses.stores.redis
    await redis.zadd(keys.dead(A), {b"\xff": NOW + 1, "": NOW + 2, f"{crm} z1": NOW + 3})
    await redis.zadd(keys.dropped(A, crm), {b"\xff": NOW + 1, "": NOW + 2, "a1:0:aaaaa": NOW + 3})
    await redis.hset(keys.dropped_counts(A), crm, 1)  # type: ignore[misc]
    await redis.lpush(keys.lane(A, crm), b"\xff", "z1:2")  # type: ignore[misc]
    await losses.http.patch("/app/one/endpoint/crm", json={"paused": True})
    assert [entry["msgId"] for entry in await losses.listed(limit=1)] == [message, None, waiting]


@pytest.mark.parametrize("change", [{"disabled": True}, {"paused": True}])
async def test_what_waits_for_an_endpoint_that_gets_nothing_is_listed(losses: Losses, change: dict[str, bool]) -> None:
    """Oldest first, as long as it is disabled or paused; what waits for one that is well is on its way."""
    crm, erp = losses.ids["crm"], losses.ids["erp"]
    messages = [await losses.store(A, row, to=[crm, erp], at_ms=NOW + row) for row in (1, 2)]
    assert await losses.listed() == []
    await losses.http.patch("/app/one/endpoint/crm", json=change)
    entries = await losses.listed()
    assert [(e["endpointId"], e["msgId"], e["state"], e["attempts"]) for e in entries] == [
        (crm, messages[0], "waiting", 0),
        (crm, messages[1], "waiting", 0),
    ]
    assert entries[0]["since"] == "2026-09-21T14:13:20.001Z"
    assert entries[0]["reason"] == ("endpoint_paused" if "paused" in change else "endpoint_disabled")


@pytest.mark.parametrize("steps", [3, 2000])
@pytest.mark.parametrize("limit", [1, 2, 50])
async def test_pages_hold_everything_once(
    losses: Losses, limit: int, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dead ones of both sources and waiting ones of all endpoints, whatever the size of a page and of a request."""
    monkeypatch.setattr(undelivered_walk, "STEPS_AT_MOST", steps)
    monkeypatch.setattr(undelivered_steps, "READ_AT_ONCE", 2)
    for row in range(4):
        await losses.give_up(A if row % 2 else B, row, "crm" if row < 2 else "other", at_ms=NOW)
    for row in range(20, 26):
        uid = ("crm", "other", "crm")[row % 3]
        await losses.drop(A if row % 2 else B, row, uid, at_ms=NOW + row // 4)
    for uid, app in (("crm", "one"), ("erp", "one"), ("other", "two")):
        await losses.http.patch(f"/app/{app}/endpoint/{uid}", json={"paused": uid != "erp"})
    for row in range(10, 14):
        await losses.store(A if row % 2 else B, row, to=[losses.ids[uid] for uid in ("crm", "erp", "other")])
    entries = await losses.listed(limit=limit)
    seen = [(e["state"], e["endpointId"], e["rowId"]) for e in entries]
    waiting = {("waiting", losses.ids[uid], str(row)) for uid in ("crm", "other") for row in range(10, 14)}
    dead = {("dead", losses.ids["crm" if row < 2 else "other"], str(row)) for row in range(4)}
    dead |= {("dead", losses.ids[("crm", "other", "crm")[row % 3]], str(row)) for row in range(20, 26)}
    assert len(seen) == len(set(seen))
    assert set(seen) == waiting | dead
    assert await losses.listed(limit=limit, order="ascending") == entries[::-1]
    assert await losses.listed_back(limit=limit) == entries[:-1][::-1]
    for query, expected in (
        ({"app": "one"}, {s for s in waiting | dead if s[1] != losses.ids["other"]}),
        ({"app": "one", "endpoint": "crm"}, {s for s in waiting | dead if s[1] == losses.ids["crm"]}),
        ({"endpoint": losses.ids["other"]}, {s for s in waiting | dead if s[1] == losses.ids["other"]}),
        ({"source": "a"}, {s for s in waiting | dead if int(s[2]) % 2}),
        ({"state": "dead"}, dead),
        ({"state": "waiting", "app": "two"}, {s for s in waiting if s[1] == losses.ids["other"]}),
    ):
        found = await losses.listed(limit=limit, **query)
        assert {(e["state"], e["endpointId"], e["rowId"]) for e in found} == expected, query


async def test_a_request_looks_at_a_bounded_number_of_things(losses: Losses, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page in which nothing was found yet says that it is not the last, and the list goes on from there."""
    monkeypatch.setattr(undelivered_walk, "STEPS_AT_MOST", 4)
    for row in range(9):
        await losses.give_up(A, row, "erp" if row else "crm", at_ms=NOW + row)
    page = (await losses.http.get("/undelivered", params={"app": "one", "endpoint": "crm"})).json()
    assert (page["data"], page["done"]) == ([], False)
    assert [entry["rowId"] for entry in await losses.listed(app="one", endpoint="crm")] == ["0"]


async def test_a_list_goes_on_when_where_it_was_is_gone(losses: Losses) -> None:
    """An endpoint that is deleted between two pages takes what waits for it along, and nothing else."""
    for app, uid in (("one", "crm"), ("one", "erp"), ("two", "other")):
        await losses.http.patch(f"/app/{app}/endpoint/{uid}", json={"paused": True})
    for row in (1, 2):
        await losses.store(A, row, to=[losses.ids[uid] for uid in ("crm", "erp", "other")])
    first = (await losses.http.get("/undelivered", params={"limit": 1})).json()
    gone = first["data"][0]["endpointId"]
    uid = next(uid for uid, endpoint in losses.ids.items() if endpoint == gone)
    await losses.http.delete(f"/app/{'two' if uid == 'other' else 'one'}/endpoint/{uid}")
    rest = await losses.listed(iterator=first["iterator"])
    expected = {losses.ids[uid] for uid in ("crm", "erp", "other")} - {gone}
    assert [(e["endpointId"], e["rowId"]) for e in rest] == [
        (e, r) for e in sorted(expected, key=_of(losses)) for r in "12"
    ]


def _of(losses: Losses) -> Any:
    apps = {losses.ids["crm"]: losses.ids["one"], losses.ids["erp"]: losses.ids["one"]}
    return lambda endpoint: (apps.get(endpoint, losses.ids["two"]), endpoint)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"app": "none"}, 404),
        ({"source": "none"}, 404),
        ({"endpoint": "ep_none"}, 404),
        ({"app": "one", "endpoint": "none"}, 404),
        ({"endpoint": "crm"}, 422),
        ({"state": "lost"}, 422),
        ({"iterator": "e30"}, 422),
    ],
)
async def test_what_is_not_there_is_not_an_empty_list(losses: Losses, query: dict[str, str], status: int) -> None:
    """A typing error must not look like a system in which all is well."""
    assert (await losses.http.get("/undelivered", params=query)).status_code == status


async def test_a_delivery_that_is_sent_again_is_not_given_up(losses: Losses) -> None:
    """It is in the lane again as a first try by hand, and no longer in the list."""
    message = await losses.give_up(A, 1, "crm", at_ms=NOW)
    await losses.give_up(A, 2, "crm", at_ms=NOW)
    assert (await losses.http.post(f"/app/one/msg/{message}/endpoint/crm/resend")).status_code == 202
    assert [entry["rowId"] for entry in await losses.listed()] == ["2"]
    lane = await losses.stores.redis.lrange(keys.lane(A, EndpointId(losses.ids["crm"])), 0, -1)  # type: ignore[misc]
    number, _ = await losses.stores.events.find(A, message) or (0, None)  # type: ignore[arg-type]
    assert lane == [f"a{number}:{CODE}:{message[4:9]}:1:0:1".encode()]


async def test_operational_events_come_newest_first(http: httpx.AsyncClient, stores: Stores) -> None:
    """Page by page, with what they are about."""
    for n in range(5):
        await stores.operations.note("endpoint.disabled", {"endpointId": f"ep_{n}"}, now_ms=NOW + n)
    first = (await http.get("/operational-event", params={"limit": 3})).json()
    rest = (await http.get("/operational-event", params={"limit": 3, "iterator": first["iterator"]})).json()
    assert [event["data"]["endpointId"] for event in first["data"] + rest["data"]] == [
        f"ep_{n}" for n in (4, 3, 2, 1, 0)
    ]
    assert (first["done"], rest["done"]) == (False, True)
    newest = first["data"][0]
    assert (newest["type"], newest["timestamp"]) == ("endpoint.disabled", "2026-09-21T14:13:20.004Z")
    assert (await http.get("/operational-event", params={"iterator": "x"})).status_code == 422
