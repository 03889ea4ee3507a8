"""Why a message has its classes, its row by groups, and what became of it at each endpoint."""

from typing import Any

import httpx

from relay.domain.event_types import CALL, GOAL, TOUCH_POINT, TRIGGER
from relay.wiring import Stores
from tests.integration.api.storing import NOW, A, Store
from tests.integration.api.test_messages import attempt
from tests.integration.api.test_statistics import endpoint

CLASSES = CALL | GOAL | TOUCH_POINT | TRIGGER


def plain(columns: list[dict[str, Any]]) -> dict[str, Any]:
    """Columns as a mapping."""
    return {each["name"]: each["value"] for each in columns}


async def test_a_row_is_explained(http: httpx.AsyncClient, stores: Stores, store: Store) -> None:
    """Each class with its rules and the columns that these look at; the row by groups; each endpoint's delivery."""
    waits, tried = await endpoint(http, "waits"), await endpoint(http, "tried")
    message = await store(A, 7, classes=CLASSES, to=[waits], act="call", goal="12", c_plan="gold", strange="x")
    await attempt(stores, A, message, tried, at_ms=NOW, status=500, verdict="dead")
    found = (await http.get(f"/app/one/msg/{message}/explanation")).json()
    assert (found["msgId"], found["source"], found["rowId"], found["revision"]) == (message, "a", "7", 1)
    by_class = {each["name"]: each for each in found["classes"]}
    assert list(by_class) == ["goal", "call", "touch_point", "trigger"]
    assert by_class["goal"] == {
        "name": "goal",
        "eventType": "goal.created",
        "reasons": [{"rule": "goal is not empty and not 0", "columns": [{"name": "goal", "value": "12"}]}],
    }
    assert [each["rule"] for each in by_class["touch_point"]["reasons"]] == [
        "act is call",
        "goal is not empty and not 0",
    ]
    groups = {each["name"]: plain(each["columns"]) for each in found["groups"]}
    assert groups == {
        "The row": {"rowId": 7, "act": "call"}, "Goals": {"goal": "12"}, "Tags of your own": {"c_plan": "gold"},
        "Other columns": {"strange": "x"},
    }  # fmt: skip
    states = {each["endpointUid"]: (each["state"], each["attempts"]) for each in found["deliveries"]}
    assert states == {"waits": ("waiting", 0), "tried": ("none", 1)}


async def test_privacy_rules_hold(http: httpx.AsyncClient, store: Store) -> None:
    """The classes are explained from the true row, and hidden values stay hidden."""
    rules = [{"field": "goal", "action": "drop"}, {"field": "srcPhoneNumber", "action": "mask"}]
    await http.put("/app/one", json={"name": "One", "privacy": rules})
    message = await store(A, 7, classes=CLASSES, act="call", goal="12", srcPhoneNumber="+447946000958")
    answer = await http.get(f"/app/one/msg/{message}/explanation")
    reasons = next(each for each in answer.json()["classes"] if each["name"] == "goal")["reasons"]
    assert reasons == [{"rule": "goal is not empty and not 0", "columns": []}]
    assert "7946000958" not in answer.text


async def test_posts_and_expunged_messages(http: httpx.AsyncClient, store: Store) -> None:
    """A post has no classes; the row of an expunged message is gone, and its classes stay."""
    await http.put("/app/one", json={"name": "One"})
    posted = (await http.post("/app/one/msg", json={"eventType": "a.b", "payload": {"goal": 1}})).json()["id"]
    found = (await http.get(f"/app/one/msg/{posted}/explanation")).json()
    assert (found["classes"], found["groups"], found["rowId"], found["source"]) == ([], [], None, None)
    message = await store(A, 7, classes=CLASSES, act="call", goal="12")
    assert (await http.delete(f"/app/one/msg/{message}/content")).status_code == 204
    found = (await http.get(f"/app/one/msg/{message}/explanation")).json()
    assert [each["reasons"] for each in found["classes"]] == [[], [], [], []]
    assert found["groups"] == []
    assert (await http.get("/app/one/msg/msg_none/explanation")).status_code == 404
