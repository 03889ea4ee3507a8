"""Erasing a person through the API: a background task, which says nothing of the person."""

import hashlib
from typing import Any

import httpx
import pytest

from relay.api.erasures import MOST_RUNNING
from relay.config import Settings
from relay.domain.erasing_task import Found
from relay.pipeline.erasing import ErasingTurns
from relay.store.erasures import Erasures
from relay.wiring import Stores
from relay.wiring_erasing import erasing_of
from tests.integration.api.conftest import TestClock
from tests.integration.api.storing import A, B, Store
from tests.integration.pipeline.test_erasing import DIGITS, places_in

ANNA = "+442079460958"
PATH = "/erasure"


def turns_of(stores: Stores) -> ErasingTurns:
    """What continues tasks, almost without the wait between the rounds."""
    turns = erasing_of(Settings(attempt_timeout_seconds=1.0), stores)
    turns._settle_ms = 1
    return turns


async def turn(stores: Stores) -> None:
    """Continue all tasks up to the end."""
    turns = turns_of(stores)
    while await turns.turn():
        pass


async def turn_once(http: httpx.AsyncClient, stores: Stores) -> Any:
    """Continue all tasks by a turn, and list the erasures."""
    await turns_of(stores).turn()
    return (await http.get(PATH)).json()


async def test_a_person_is_erased_and_the_task_says_what_it_did(
    http: httpx.AsyncClient, stores: Stores, store: Store
) -> None:
    """Its answers, the audit log and the idempotency key do not have the number, in any form that can be guessed."""
    message = await store(A, 1, num=ANNA, triggerDatetime="2026-09-21T00:00:00.000Z")
    other = await store(B, 2, num="+442079460111")
    await http.put("/app/one", json={"name": "One"})
    body = {"phone": ANNA}
    begun = await http.post(PATH, json=body, headers={"idempotency-key": "k"})
    again = await http.post(PATH, json=body, headers={"idempotency-key": "k"})
    assert (begun.status_code, begun.json()["task"], again.content) == (202, "message.erase", begun.content)
    assert begun.json()["data"]["state"] == "running"
    await turn(stores)
    task = begun.json()["id"]
    told = (await http.get(f"/background-task/{task}")).json()
    data = told["data"]
    assert (told["status"], data["messages"], data["streamsDone"], data["round"]) == ("finished", 1, 2, 2)
    assert (await http.get("/background-task", params={"task": "message.erase"})).json()["data"] == [told]
    assert (await http.get(f"/app/one/msg/{message}")).json()["payload"]["data"]["expunged"] is True
    assert "+442079460111" in (await http.get(f"/app/one/msg/{other}")).text
    audit = (await http.get("/audit", params={"action": "erasure.create"})).json()["data"]
    assert [each["changes"][0]["object"] for each in audit] == [f"background-task/{task}"]
    assert await places_in(stores.redis) == []
    guess = hashlib.sha256(b"\n" + begun.request.content).hexdigest().encode()
    names = [name async for name in stores.redis.scan_iter(b"relay:{config}:idempotency:*")]
    assert [guess in b"".join((await stores.redis.hgetall(name)).values()) for name in names] == [False]  # type: ignore[misc]
    assert DIGITS.decode() not in str(audit) + str(told)


async def test_one_application_keeps_what_it_does_not_have(
    http: httpx.AsyncClient, stores: Stores, store: Store
) -> None:
    """Its sources and its posts lose the person, and those of others do not."""
    await http.put("/app/one", json={"name": "One", "sources": ["a"]})
    await http.put("/app/two", json={"name": "Two"})
    of_a, of_b = await store(A, 1, num=ANNA), await store(B, 1, num=ANNA)
    posts = {}
    for app in ("one", "two"):
        body = {"eventType": "a.b", "payload": {"from": ANNA}, "eventId": f"{app}-1"}
        posts[app] = (await http.post(f"/app/{app}/msg", json=body)).json()["id"]
    assert (await http.post(PATH, json={"phone": ANNA, "appId": "one"})).status_code == 202
    await turn(stores)
    assert [each.sources for each in await stores.erasures.all()] == [("a",)]
    for app, message, is_there in (
        ("two", of_a, False), ("two", of_b, True), ("one", posts["one"], False), ("two", posts["two"], True),
    ):  # fmt: skip
        assert (ANNA in (await http.get(f"/app/{app}/msg/{message}")).text) is is_there


async def test_later_posts_are_new_data(http: httpx.AsyncClient, stores: Stores, clock: TestClock) -> None:
    """Whoever they are about."""
    await http.put("/app/one", json={"name": "One"})
    assert (await http.post(PATH, json={"phone": ANNA})).status_code == 202
    clock.at_ms += 1000
    posted = await http.post("/app/one/msg", json={"eventType": "a.b", "payload": {"from": ANNA}})
    await turn(stores)
    assert ANNA in (await http.get(f"/app/one/msg/{posted.json()['id']}")).text


async def test_a_preview_counts(http: httpx.AsyncClient, stores: Stores, store: Store) -> None:
    """It erases nobody."""
    await http.put("/app/one", json={"name": "One"})
    message = await store(A, 1, vid="5e0a1b2c3d4f")
    task = (await http.post(PATH, json={"visitor": "5e0a1b2c3d4f", "dryRun": True})).json()["id"]
    await turn(stores)
    data = (await http.get(f"/background-task/{task}")).json()["data"]
    assert (data["state"], data["messages"], data["dryRun"]) == ("finished", 1, True)
    assert "5e0a1b2c3d4f" in (await http.get(f"/app/one/msg/{message}")).text
    assert await stores.erasures.all() == []


async def test_a_task_is_cancelled(http: httpx.AsyncClient, stores: Stores) -> None:
    """It forgets whom it was about, and rows about the person are told again."""
    task = (await http.post(PATH, json={"phone": ANNA})).json()["id"]
    turns = erasing_of(Settings(attempt_timeout_seconds=1.0), stores)
    assert await turns.turn()
    assert len(await stores.erasures.all()) == 1
    assert (await http.delete(f"/background-task/{task}")).status_code == 204
    (kept,) = await stores.erasing_tasks.all()
    assert (kept.phase, kept.sealed, await stores.erasures.all()) == ("cancelled", "", [])
    assert (await http.delete(f"/background-task/{task}")).status_code == 204
    assert not await turns.turn()


async def test_erasures_are_listed_with_their_counts_and_who_asked(
    http: httpx.AsyncClient, stores: Stores, store: Store
) -> None:
    """Without the person, and also when the relay has forgotten the task. One person has one hash."""
    await store(A, 1, num=ANNA, triggerDatetime="2026-09-21T00:00:00.000Z")
    body = {"name": "k", "scopes": ["read", "write"]}
    key = (await http.post("/key", json=body)).json()
    own = {"authorization": f"Bearer {key['token']}"}
    ids = [(await http.post(PATH, json={"phone": ANNA}, headers=own)).json()["id"]]
    (running,) = (await turn_once(http, stores))["data"]
    assert (running["id"], running["removed"]) == (ids[0], None)
    await turn(stores)
    for who in ({"phone": "0044 20 7946 0958".replace("0044", "+44")}, {"phone": "+442079460111"}):
        ids.append((await http.post(PATH, json=who)).json()["id"])
        await turn(stores)
    await stores.erasing_tasks.trim(now_ms=2**50)
    answer = await http.get(PATH, params={"order": "ascending"})
    by_id = {each["id"]: each for each in answer.json()["data"]}
    first, again, other = (by_id[each] for each in ids)
    assert (first["kind"], first["createdBy"], first["sources"], again["createdBy"]) == (
        "phone", key["id"], None, "admin",
    )  # fmt: skip
    assert (first["removed"]["messages"], again["removed"]["messages"]) == (1, 0)
    assert first["hash"] == again["hash"] != other["hash"]
    assert DIGITS.decode() not in answer.text


async def test_an_erasure_is_lifted(http: httpx.AsyncClient, stores: Stores) -> None:
    """Once its task has ended. The audit log says who lifted it, and nothing of the person."""
    task = (await http.post(PATH, json={"phone": ANNA})).json()["id"]
    refused = await http.delete(f"{PATH}/{task}")
    assert (refused.status_code, f"/background-task/{task}" in refused.json()["detail"]) == (409, True)
    await turn(stores)
    before = await stores.configuration.version()
    assert (await http.delete(f"{PATH}/{task}")).status_code == 204
    assert (await stores.erasures.all(), await stores.configuration.version() > before) == ([], True)
    assert await stores.erasures.note_found(task, Found(events=1)) == 0
    assert await stores.erasures.all() == []
    assert (await http.delete(f"{PATH}/{task}")).status_code == 404
    assert (await http.delete(f"{PATH}/nothing")).status_code == 404
    (entry,) = (await http.get("/audit", params={"object": f"erasure/{task}"})).json()["data"]
    assert (entry["principal"], entry["action"], DIGITS.decode() in str(entry)) == ("admin", "erasure.delete", False)


async def test_a_key_of_an_application_erases_nobody(http: httpx.AsyncClient) -> None:
    """It does not see the tasks, either."""
    await http.put("/app/one", json={"name": "One"})
    task = (await http.post(PATH, json={"phone": ANNA})).json()["id"]
    key = (await http.post("/key", json={"name": "k", "scopes": ["read", "write"], "appId": "one"})).json()["token"]
    own = {"authorization": f"Bearer {key}"}
    assert (await http.post(PATH, json={"phone": ANNA}, headers=own)).status_code == 403
    assert (await http.get(PATH, headers=own)).status_code == 403
    assert (await http.delete(f"{PATH}/{task}", headers=own)).status_code == 403
    assert (await http.get("/background-task", headers=own)).json()["data"] == []
    for method in ("GET", "DELETE"):
        assert (await http.request(method, f"/background-task/{task}", headers=own)).status_code == 404


async def test_only_so_many_run_and_are_kept(
    http: httpx.AsyncClient, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer says what to do."""
    for _ in range(MOST_RUNNING):
        assert (await http.post(PATH, json={"phone": ANNA})).status_code == 202
    refused = await http.post(PATH, json={"phone": ANNA})
    assert (refused.status_code, "cancel one" in refused.json()["detail"]) == (409, True)
    await turn(stores)
    monkeypatch.setattr(stores.erasures, "_most", MOST_RUNNING)
    refused = await http.post(PATH, json={"phone": ANNA})
    assert (refused.status_code, "RELAY_ERASURES" in refused.json()["detail"]) == (409, True)
    assert (await http.post(PATH, json={"phone": ANNA, "dryRun": True})).status_code == 202
    assert isinstance(stores.erasures, Erasures)


@pytest.mark.parametrize(
    ("body", "loc"),
    [
        ({}, ["body"]),
        ({"phone": ANNA, "visitor": "5e0a1b2c3d4f"}, ["body"]),
        ({"phone": "02079460958"}, ["body", "phone"]),
        ({"phone": "+442079460958" * 9}, ["body", "phone"]),
        ({"visitor": "short"}, ["body", "visitor"]),
        ({"visitor": "-5e0a1b2c3d4f"}, ["body", "visitor"]),
        ({"phone": ANNA, "appId": "absent"}, ["body", "appId"]),
        ({"phone": ANNA, "email": "a@example.com"}, ["body", "email"]),
    ],
)
async def test_mistakes_are_told_without_the_number(
    http: httpx.AsyncClient, body: dict[str, Any], loc: list[str]
) -> None:
    """With the field."""
    refused = await http.post(PATH, json=body)
    assert (refused.status_code, refused.json()["detail"][0]["loc"]) == (422, loc)
    assert DIGITS.decode() not in refused.text
