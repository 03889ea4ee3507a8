"""Undelivered messages, operational events, the audit log, background tasks and API keys."""

import httpx
import pytest

from relay.console.pages import undelivered
from relay.domain.model import MessageId
from relay.domain.principals import SCOPES
from relay.store import keys
from relay.wiring import Stores
from relay.wiring_replays import replays_of
from tests.integration.api.losing import Losses
from tests.integration.api.storing import NOW, A, B, Store
from tests.integration.console.walking import Page, Walker


@pytest.fixture
async def endpoint(http: httpx.AsyncClient) -> str:
    """The id of an application's only endpoint, which is disabled."""
    await http.post("/app", json={"uid": "one", "name": "One"})
    body = {"uid": "crm", "url": "https://hooks.example.com/in", "disabled": True}
    return str((await http.post("/app/one/endpoint", json=body)).json()["id"])


async def test_undelivered_messages_are_grouped(operator: Walker, store: Store, endpoint: str) -> None:
    """By endpoint and reason, with a link to each message. A filter that nothing matches says so."""
    messages = [await store(A, row, at_ms=NOW - 60_000, to=[endpoint]) for row in (1, 2)]
    page = await operator.get("/console/undelivered")
    assert "endpoint disabled" in page.text
    assert [link for link in page.links if link.endswith(tuple(messages))]
    assert "2 undelivered of " in page.text
    assert "No message matches" in (await operator.get("/console/undelivered?state=dead&app=one")).text
    page = await operator.get("/console/undelivered?state=strange")
    assert (page.status, "aria-invalid" in page.html) == (422, True)


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/operational-events", ""),
        ("/audit", "after"),
        ("/tasks", "status"),
        ("/undelivered", "state"),
        ("/applications/one/messages", "after"),
    ],
)
async def test_a_list_that_the_api_refuses_says_why(operator: Walker, endpoint: str, path: str, field: str) -> None:
    """At the field, or above the list where no field is at fault. It claims nothing about what there is."""
    for query, fields in [("iterator=zz", []), (f"{field}=zz", [field])][: 2 if field else 1]:
        page = await operator.get(f"/console{path}?{query}")
        assert page.status == 422, page.text
        assert [given["name"] for _, given in page.tags if given.get("aria-invalid")] == fields
        assert ('role="alert"' in page.html) == (not fields), page.text
        assert fields or "iterator" in page.text
        assert "Nothing is shown" in page.text


async def test_dead_messages_are_counted_and_sent_again(operator: Walker, store: Store, endpoint: str) -> None:
    """The replay of the endpoint counts before it sends, and its task is in the list."""
    await store(A, 1, to=[endpoint])
    at = f"/console/applications/one/endpoints/{endpoint}/replay"
    await operator.get(f"{at}?states=dead")
    page = await operator.send("/replay", do="count", states="dead")
    assert "Nothing was sent" in page.text
    page = await operator.get("/console/tasks?task=endpoint.bulk-replay")
    assert "endpoint.bulk-replay" in page.text
    assert "counted" in page.text
    assert "is cancelled" in (await operator.send("/cancel")).text


@pytest.fixture
async def lost(losses: Losses) -> Losses:
    """Dead messages: two of `crm` for two reasons, of `erp` one that is kept and one that is not."""
    await losses.give_up(A, 1, "crm", at_ms=NOW - 60_000)
    await losses.give_up(B, 2, "crm", at_ms=NOW - 60_000, tail="1:5 poison")
    await losses.give_up(A, 3, "erp", at_ms=NOW - 60_000)
    message = await losses.give_up(A, 4, "erp", at_ms=NOW - 60_000, tail="1 event_not_kept")
    number, _ = await losses.stores.events.find(A, MessageId(message)) or (0, None)
    await losses.stores.redis.hdel(keys.events(A, 0), str(number))  # type: ignore[misc]
    return losses


def boxes(page: Page) -> dict[str, str]:
    """The checkboxes of a page: what they select, and their names."""
    return {given["value"]: given["name"] for tag, given in page.tags if given.get("type") == "checkbox"}


async def test_selected_groups_are_resent_by_reason(operator: Walker, lost: Losses) -> None:
    """One task for each endpoint, with the reasons selected. What the relay no longer has cannot be selected."""
    page = await operator.get("/console/undelivered")
    one, crm, erp = (lost.ids[name] for name in ("one", "crm", "erp"))
    found = boxes(page)
    assert set(found) == {f"{one} {crm} schedule_used_up", f"{one} {crm} poison", f"{one} {erp} schedule_used_up"}
    assert "no longer has this message" in page.text
    assert ">crm</a>" in page.html
    page = await operator.send("/resend", **{name: value for value, name in found.items()})
    assert "2 tasks started. See Background tasks" in page.text
    assert "/console/tasks" in page.links
    for stream in (A, B):
        while await replays_of(lost.stores).turn(stream):
            pass
    tasks = (await lost.http.get("/background-task")).json()["data"]
    assert {(each["data"]["endpointId"], each["data"]["queued"]) for each in tasks} == {(crm, 2), (erp, 1)}
    assert [each["reason"] for each in await lost.listed()] == ["event_not_kept"]


async def test_all_groups_of_a_page_are_selected(operator: Walker, lost: Losses) -> None:
    """By a link, which works without JavaScript. The page after the tasks have begun has no selection."""
    page = await operator.get("/console/undelivered?source=a")
    assert not [given for tag, given in page.tags if "checked" in given]
    (everything,) = [link for link in page.links if "select=all" in link]
    page = await operator.get(everything)
    assert "/console/undelivered?source=a" in page.links
    assert len([given for tag, given in page.tags if "checked" in given]) == len(boxes(page)) == 2
    page = await operator.send("/resend")
    assert ("2 tasks started" in page.text, page.answer.url.query) == (True, b"source=a")


async def test_a_group_leads_to_its_messages(operator: Walker, lost: Losses) -> None:
    """So does the page of the endpoint. The list of messages is folded if it is long and of several endpoints."""
    one, crm = lost.ids["one"], lost.ids["crm"]
    of_crm = undelivered.of_endpoint(one, crm)
    assert of_crm in (await operator.get("/console/undelivered")).links
    page = await operator.get(f"/console/applications/{one}/endpoints/{crm}")
    assert of_crm in page.links
    page = await operator.get(of_crm)
    assert ("2 messages" in page.text, ">erp</a>" in page.html) == (True, False)


async def test_a_long_list_of_undelivered_messages_is_folded(
    operator: Walker, lost: Losses, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless the page is of one endpoint."""
    monkeypatch.setattr(undelivered, "OPEN_MOST", 1)

    async def folds(path: str) -> list[bool]:
        page = await operator.get(path)
        return ["open" in given for tag, given in page.tags if tag == "details" and "body" in given.get("class", "")]

    assert await folds("/console/undelivered") == [False]
    assert await folds(undelivered.of_endpoint(lost.ids["one"], lost.ids["crm"])) == [True]


async def test_a_filter_by_source_bounds_what_is_resent(operator: Walker, lost: Losses) -> None:
    """The page then shows nothing of other sources, so nothing of them is sent. The page stays the same."""
    page = await operator.get("/console/undelivered?source=a")
    assert not [value for value in boxes(page) if value.endswith("poison")]
    group = f"{lost.ids['one']} {lost.ids['crm']} schedule_used_up"
    page = await operator.send("/resend", **{"group-1": group})
    assert ("1 task started" in page.text, page.answer.url.query) == (True, b"source=a")
    assert await lost.stores.replays.running(A) != []
    assert await lost.stores.replays.running(B) == []


async def test_a_task_that_cannot_start_is_told(operator: Walker, lost: Losses) -> None:
    """With the endpoint and the reason; the others start. Selecting nothing is told too."""
    page = await operator.get("/console/undelivered")
    values = {name: value for value, name in boxes(page).items()}
    await lost.http.delete("/app/one/endpoint/erp")
    page = await operator.send("/resend", **values)
    assert "1 task started. Not started for " + lost.ids["erp"] in page.text
    assert 'class="notice error" role="alert"' in page.html
    assert "select at least one group" in (await operator.send("/resend")).text


async def test_groups_of_one_page_are_told_as_such(
    operator: Walker, lost: Losses, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their numbers are lower bounds while there are more pages, before or behind."""
    assert "All undelivered messages" in (await operator.get("/console/undelivered")).text
    monkeypatch.setattr(undelivered, "LISTED", 2)
    page = await operator.get("/console/undelivered")
    for _ in range(2):
        assert "Only the messages of this page are counted" in page.text
        assert "1+ undelivered of " in page.text
        (onward,) = [link for link in page.links if "iterator=" in link and "select=" not in link]
        page = await operator.get(onward)
        if 'rel="next"' not in page.html:
            break


async def test_the_audit_log_is_filtered(operator: Walker, endpoint: str) -> None:
    """By action; a time that is none is said at its field."""
    page = await operator.get("/console/audit?action=endpoint.create&principal=admin")
    assert f"endpoint/{endpoint}" in page.text
    assert "application.create" not in page.text
    page = await operator.get("/console/audit?after=yesterday")
    assert (page.status, "aria-invalid" in page.html) == (422, True)


async def test_operational_events_are_listed(operator: Walker, stores: Stores) -> None:
    """With all that they say, as text. Without any, the page says what they are."""
    assert "no reason to act" in (await operator.get("/console/operational-events")).text
    data = {"uid": "main", "reason": "<script>alert(1)</script>"}
    await stores.operations.note("quarantine.growing", data, now_ms=NOW)
    page = await operator.get("/console/operational-events")
    assert "quarantine.growing" in page.text
    assert "<script>alert(1)</script>" in page.text
    assert [given for tag, given in page.tags if tag == "script" and "src" not in given] == []


async def test_an_operational_event_is_found(operator: Walker, stores: Stores) -> None:
    """By its type, or by what it says. The field appears when the list is long, and stays when nothing is found."""
    for number in range(10):
        await stores.operations.note("source.stalled", {"source": f"north-{number}"}, now_ms=NOW)
    await stores.operations.note("endpoint.disabled", {"endpointId": "ep_one"}, now_ms=NOW)
    at = "/console/operational-events"
    assert (await operator.get(at)).form("/operational-events").fields == {"find": ""}
    page = await operator.get(f"{at}?find=EP_ONE")
    assert ("endpoint.disabled" in page.text, "source.stalled" in page.text) == (True, False)
    page = await operator.get(f"{at}?find=north-7")
    assert ("north-7" in page.text, "north-6" in page.text) == (True, False)
    page = await operator.get(f"{at}?find=nowhere")
    assert ("Nothing was found" in page.text, page.form("/operational-events").fields["find"]) == (True, "nowhere")


async def test_a_key_is_created_shown_once_and_revoked(operator: Walker, http: httpx.AsyncClient) -> None:
    """Its token is on the page that answers the form, and on no other."""
    await operator.get("/console/keys")
    assert [name for name in operator.page.form("/keys").fields if name.startswith("scope-")] == ["scope-read"]
    chosen = {"name": "CRM", "scope-endpoint:write": "on", "expiresAt": "2099-01-31T00:00:00Z"}
    page = await operator.send("/keys", **chosen)
    (key,) = (await http.get("/key")).json()["data"]
    assert (key["name"], key["scopes"], key["expiresAt"][:4]) == ("CRM", ["read", "endpoint:write"], "2099")
    token = page.html.split('class="secret" tabindex="0">')[1].split("<")[0]
    assert (await http.get("/principal", headers={"authorization": f"Bearer {token}"})).json()["name"] == "CRM"
    assert token not in (await operator.get("/console/keys")).html
    assert "is revoked" in (await operator.send(f"/{key['id']}/delete")).text
    assert (await http.get("/key")).json()["data"] == []


async def test_objects_lead_to_their_changes(
    operator: Walker, http: httpx.AsyncClient, store: Store, endpoint: str
) -> None:
    """The audit log tells who changed an application, an endpoint or a source, and what a key changed."""
    key = (await http.post("/key", json={"name": "CRM", "scopes": ["read"]})).json()
    app = (await http.get("/app/one")).json()["id"]
    at = {
        "/console/applications/one": f"object=application/{app}",
        f"/console/applications/one/endpoints/{endpoint}": f"object=endpoint/{endpoint}",
        "/console/sources/a": "object=source/a",
        "/console/keys": f"principal={key['id']}",
    }
    for path, query in at.items():
        assert f"/console/audit?{query}" in (await operator.get(path)).links
    page = await operator.get(f"/console/audit?object=endpoint/{endpoint}")
    assert ("endpoint.create" in page.text, "application.create" in page.text) == (True, False)


async def test_what_is_wrong_with_a_key_is_said(operator: Walker, http: httpx.AsyncClient) -> None:
    """At its field, and what was entered stays."""
    await operator.get("/console/keys")
    page = await operator.send("/keys", **{"name": "CRM", "scope-audit:read": "on", "expiresAt": "soon"})
    assert (page.status, page.html.count("aria-invalid"), 'value="soon"' in page.html) == (422, 1, True)
    chosen = [name for name in page.form("/keys").fields if name.startswith("scope-")]
    assert chosen == ["scope-read", "scope-audit:read"]
    form = page.form("/keys")
    fields = {name: value for name, value in form.fields.items() if not name.startswith("scope-")}
    page = await operator.post(form.action, fields | {"expiresAt": "", "name": "CRM"})
    assert (page.status, 'id="e-scopes"' in page.html) == (422, True)
    assert (await http.get("/key")).json()["data"] == []


async def test_a_key_offers_every_scope_that_its_own_key_has(stranger: Walker, http: httpx.AsyncClient) -> None:
    """The others are there and cannot be chosen."""
    made = (await http.post("/key", json={"name": "Keys", "scopes": ["key:write", "source:read"]})).json()
    await stranger.sign_in(made["token"])
    page = await stranger.get("/console/keys")
    offered = {given["name"][6:]: "disabled" not in given for _, given in page.tags if given.get("type") == "checkbox"}
    assert set(offered) == set(SCOPES)
    assert {name for name, can_be in offered.items() if can_be} == {"key:read", "key:write", "source:read"}
    assert [name for name in page.form("/keys").fields if name.startswith("scope-")] == []


async def test_a_key_without_these_scopes(stranger: Walker, http: httpx.AsyncClient) -> None:
    """Has no such sections, and their addresses say what is missing."""
    made = (await http.post("/key", json={"name": "Sources", "scopes": ["source:read"]})).json()
    page = await stranger.sign_in(made["token"])
    for path in ("undelivered", "tasks", "operational-events", "audit", "keys", "tail"):
        assert f"/console/{path}" not in page.links
        if path != "tail":
            assert (await stranger.get(f"/console/{path}")).status == 403


@pytest.mark.parametrize(
    ("at", "said", "name"),
    [
        ("/console/undelivered?app=nope&state=dead", "There is no application nope.", "app"),
        ("/console/undelivered?source=nope", "There is no source nope.", "source"),
        ("/console/audit?app=nope", "There is no application nope.", "app"),
        ("/console/tail?app=nope", "There is no application nope.", "app"),
    ],
)
async def test_a_filter_that_names_nothing_stays_on_the_page(operator: Walker, at: str, said: str, name: str) -> None:
    """With what was entered, so that a letter can be corrected."""
    page = await operator.get(at)
    assert (page.status, said in page.text) == (404, True)
    (field,) = [given for tag, given in page.tags if tag == "input" and given.get("name") == name]
    assert field["value"] == "nope"
