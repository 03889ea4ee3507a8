"""The pages of applications and endpoints: what they show, and what their forms do through the API."""

import re
from typing import Any

import httpx
import pytest

from relay.domain.breaking import Condition
from relay.store import keys
from relay.wiring import Stores
from relay.wiring_replays import replays_of
from tests.integration.api.losing import Losses
from tests.integration.api.storing import NOW, A, B, Store
from tests.integration.api.test_messages import attempt
from tests.integration.console.walking import Walker

HOSTILE = "<script>alert(1)</script>"


class Made:
    """An application with an endpoint."""

    def __init__(self, endpoint: dict[str, Any]) -> None:
        self.id = endpoint["id"]
        self.at = f"/console/applications/one/endpoints/{self.id}"


@pytest.fixture
async def made(http: httpx.AsyncClient) -> Made:
    """One."""
    await http.post("/app", json={"uid": "one", "name": f"One {HOSTILE}"})
    body = {"uid": "crm", "url": "https://hooks.example.com/in", "description": HOSTILE}
    return Made((await http.post("/app/one/endpoint", json=body)).json())


async def test_an_endpoint_is_found_from_the_list(operator: Walker, made: Made) -> None:
    """Applications lead to their endpoints, whose names are text."""
    page = await operator.get("/console/applications")
    (link,) = [link for link in page.links if link.startswith("/console/applications/")]
    page = await operator.get(link)
    assert f"One {HOSTILE}" in page.text
    (link,) = [link for link in page.links if "/endpoints/" in link]
    page = await operator.get(link)
    assert "No attempts yet" in page.text
    assert [given for tag, given in page.tags if tag == "script" and "src" not in given] == []


async def test_attempts_show_hostile_answers_as_text(
    operator: Walker, made: Made, stores: Stores, store: Store
) -> None:
    """What receivers answer is shown, and is no markup."""
    message = await store(A, 1, dgrpName=HOSTILE)
    await attempt(stores, A, message, made.id, at_ms=NOW, status=500, verdict="retry")
    page = await operator.get(made.at)
    assert (page.status, "500" in page.text, message in page.text) == (200, True, True)
    assert [given for tag, given in page.tags if tag == "script" and "src" not in given] == []


async def test_a_pause_that_the_receiver_asked_for_is_explained(operator: Walker, made: Made, stores: Stores) -> None:
    """The page says whose pause it is, and when it ends."""
    rests = Condition(asked_ms=NOW + 20_000).text()
    await stores.redis.hset(keys.CONDITIONS, made.id, rests)  # type: ignore[misc]
    page = await operator.get(made.at)
    assert "Backing off" in page.text
    assert "The receiver asked for a pause." in page.text
    assert "in 20 s" in page.text


async def test_an_endpoint_is_paused_resumed_and_enabled(operator: Walker, http: httpx.AsyncClient, made: Made) -> None:
    """Each step says what becomes of the events."""
    await operator.get(made.at)
    assert "The relay keeps its events." in (await operator.send("/pause")).text
    assert (await http.get(f"/app/one/endpoint/{made.id}")).json()["paused"] is True
    assert "is resumed" in (await operator.send("/resume")).text
    await http.patch(f"/app/one/endpoint/{made.id}", json={"disabled": True})
    await operator.get(made.at)
    assert "is enabled" in (await operator.send("/enable")).text
    assert (await http.get(f"/app/one/endpoint/{made.id}")).json()["disabled"] is False


async def test_a_test_event_is_sent(operator: Walker, http: httpx.AsyncClient, made: Made) -> None:
    """To this endpoint. An event type that nobody knows is refused in the API's words."""
    await operator.get(made.at)
    assert "is on its way" in (await operator.send("/test", eventType="call.created")).text
    assert len((await http.get("/app/one/msg")).json()["data"]) == 1
    assert "call.creatd" in (await operator.send("/test", eventType="call.creatd")).text


async def test_rules_are_tried_before_they_are_saved(operator: Walker, http: httpx.AsyncClient, made: Made) -> None:
    """A dry run shows the request and changes nothing."""
    rules = {"filter": '{"callDuration": {"$gte": 60}}', "transformation": '{"kind": "a <b>call</b>"}'}
    await operator.get(f"{made.at}/rules")
    page = await operator.send("/rules", **rules, do="try")
    assert '"kind": "a <b>call</b>"' in page.text
    assert (await http.get(f"/app/one/endpoint/{made.id}")).json()["transformation"] is None
    assert "The event passes the filter." in page.text
    page = await operator.send("/rules", **rules | {"filter": '{"callDuration": {"$gte": 6000}}'}, do="try")
    assert "The filter does not let this message through." in page.text
    page = await operator.send("/rules", **rules, do="save")
    assert "The rules are saved." in page.text
    found = (await http.get(f"/app/one/endpoint/{made.id}")).json()
    assert (found["filter"], found["transformation"]) == ({"callDuration": {"$gte": 60}}, rules["transformation"])


@pytest.mark.parametrize(
    ("field", "text", "said"),
    [
        ("filter", "{", "is not valid JSON"),
        ("filter", '{"$nope": 1}', "$nope"),
        ("transformation", "{{{", "transformation"),
    ],
)
async def test_faults_of_rules_stand_at_their_fields(
    operator: Walker, made: Made, field: str, text: str, said: str
) -> None:
    """With what was entered."""
    await operator.get(f"{made.at}/rules")
    page = await operator.send("/rules", **{field: text}, do="save")
    assert page.status == 422
    assert page.form("/rules").fields[field].strip() == text
    (area,) = [given for tag, given in page.tags if tag == "textarea" and given["name"] == field]
    assert area["aria-invalid"] == "true"
    assert said in page.text


async def test_secrets_are_shown_only_when_asked(operator: Walker, http: httpx.AsyncClient, made: Made) -> None:
    """In the answer of a form, which no browser and no proxy keeps. A rotation shows the new key once."""
    key = (await http.get(f"/app/one/endpoint/{made.id}/secret")).json()["key"]
    page = await operator.get(f"{made.at}/secrets")
    assert key not in page.html
    form = page.form("/secrets")
    page = await operator.send("/secrets", do="show")
    assert (key in page.html, page.answer.headers["cache-control"]) == (True, "no-store")
    page = await operator.post(form.action, form.fields | {"do": "rotate", "gracePeriodSeconds": "60"})
    new = (await http.get(f"/app/one/endpoint/{made.id}/secret")).json()["key"]
    assert (new in page.html, new == key, key in page.html) == (True, False, False)
    again = await operator.post(form.action, form.fields | {"do": "rotate", "gracePeriodSeconds": "60"})
    assert new in again.html, "a reload does not rotate once more"
    assert new not in (await operator.get(f"{made.at}/secrets")).html


async def test_without_its_scope_no_secret_is_shown(stranger: Walker, http: httpx.AsyncClient, made: Made) -> None:
    """The page says which scope is missing."""
    key = (await http.post("/key", json={"name": "Writer", "scopes": ["write"]})).json()
    await stranger.sign_in(key["token"])
    page = await stranger.get(f"{made.at}/secrets")
    assert "endpoint_secret:read" in page.text
    page = await stranger.post(f"{made.at}/secrets", page.form("/headers").fields | {"do": "show"})
    assert (page.status, "whsec_" in page.html.replace("whsec_•", "")) == (403, False)


async def test_headers_are_set_and_removed(operator: Walker, http: httpx.AsyncClient, made: Made) -> None:
    """A value that is a secret is hidden as soon as it is stored."""
    await operator.get(f"{made.at}/secrets")
    page = await operator.send("/headers", name="x-api-key", value="very-secret")
    assert "The header x-api-key is set." in page.text
    assert "very-secret" not in page.html
    await operator.send("/headers", do="remove")
    found = (await http.get(f"/app/one/endpoint/{made.id}/headers")).json()
    assert (found["headers"], found["sensitive"]) == ({}, [])
    page = await operator.send("/headers", name="webhook-id", value="very-secret")
    assert (page.status, "very-secret" in page.html) == (422, False)


async def test_dead_messages_are_recovered_after_they_were_counted(operator: Walker, losses: Losses) -> None:
    """Everything dead since a time. Nothing is sent before the number was shown."""
    for row, reason in enumerate(("schedule_used_up", "poison"), 1):
        await losses.give_up(A, row, "crm", at_ms=NOW, tail=f"10 {reason}")
    at = "/console/applications/one/endpoints/crm"
    assert f"{at}/recover" in [link.replace(losses.ids["one"], "one").replace(losses.ids["crm"], "crm")
                               for link in (await operator.get(at)).links]  # fmt: skip
    page = await operator.get(f"{at}/recover")
    assert page.form("/recover").fields["since"].endswith("Z")
    page = await operator.send("/recover", do="count", since="2026-09-01T00:00:00Z")
    assert "Recover 2" not in page.text
    for stream in (A, B):
        while await replays_of(losses.stores).turn(stream):
            pass
    assert len(await losses.listed()) == 2
    page = await operator.get(f"{page.answer.url.raw_path.decode()}")
    assert "Recover 2 messages" in page.text
    await operator.send("/recover", do="send")
    for stream in (A, B):
        while await replays_of(losses.stores).turn(stream):
            pass
    assert await losses.listed() == []
    tasks = (await losses.http.get("/background-task")).json()["data"]
    assert {(each["task"], each["data"]["dryRun"]) for each in tasks} == {
        ("endpoint.recover", True), ("endpoint.recover", False),
    }  # fmt: skip
    await operator.get(f"{at}/recover")
    page = await operator.send("/recover", do="count", since="soon")
    assert (page.status, "aria-invalid" in page.html) == (422, True)


async def test_a_replay_is_previewed(operator: Walker, http: httpx.AsyncClient, store: Store, made: Made) -> None:
    """First a task that only counts, then one that sends, both with the same choice."""
    await operator.get(f"{made.at}/replay")
    page = await operator.send("/replay", do="count", since="2026-09-01T00:00:00Z")
    assert "What would be sent" in page.text
    assert page.form("/replay").fields["since"] == "2026-09-01T00:00:00Z"
    page = await operator.send("/replay", do="send")
    assert "In the queue so far" in page.text
    tasks = (await http.get("/background-task")).json()["data"]
    assert sorted(task["data"]["dryRun"] for task in tasks) == [False, True]


async def test_a_key_of_one_application_sees_only_that(stranger: Walker, http: httpx.AsyncClient, made: Made) -> None:
    """Another application does not exist, in lists and by address."""
    await http.post("/app", json={"uid": "canary", "name": "Canary"})
    key = (await http.post("/key", json={"name": "Tenant", "scopes": ["read", "write"], "appId": "one"})).json()
    page = await stranger.sign_in(key["token"])
    assert (page.status, "/console/sources" in page.links) == (200, False)
    assert "Canary" not in (await stranger.get("/console/applications")).text
    assert (await stranger.get("/console/applications/canary")).status == 404
    assert (await stranger.get(made.at)).status == 200


async def test_no_text_turns_a_line_around(operator: Walker, http: httpx.AsyncClient) -> None:
    """Characters that reverse what follows could disguise a URL. Pages show them as escapes; forms keep them."""
    url, at = "https://crm.example/\u202egpj.exe", "/console/applications/turned"
    await http.put("/app/turned", json={"name": "Acme \u202emoc.evil"})
    body = {"url": url, "description": "one \u2066two", "variables": {"said": "\u202d"}}
    await http.put("/app/turned/endpoint/crm", json=body)
    for path in (at, f"{at}/endpoints/crm", f"{at}/endpoints/crm/rules", "/console/applications"):
        page = await operator.get(path)
        assert (page.status, re.search("[\u202a-\u202e\u2066-\u2069]", page.html)) == (200, None), path
        assert "\\u202e" in page.text
    page = await operator.get(f"{at}/endpoints/crm/settings")
    fields = page.form("/settings").fields
    assert (fields["url"], fields["description"]) == (url, "one \u2066two")
    await operator.send("/settings", throttleRate="7")
    changed = (await http.get("/app/turned/endpoint/crm")).json()
    assert (changed["url"], changed["description"], changed["throttleRate"]) == (url, "one \u2066two", 7)
