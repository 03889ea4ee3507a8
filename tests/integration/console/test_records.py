"""Undelivered messages, operational events, the audit log, background tasks and API keys."""

import httpx
import pytest

from relay.wiring import Stores
from tests.integration.api.storing import NOW, A, Store
from tests.integration.console.walking import Walker


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
    assert '<td class="n">2</td>' in page.html
    assert "No message matches" in (await operator.get("/console/undelivered?state=dead&app=one")).text
    page = await operator.get("/console/undelivered?state=strange")
    assert (page.status, "aria-invalid" in page.html) == (422, True)


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


async def test_a_key_is_created_shown_once_and_revoked(operator: Walker, http: httpx.AsyncClient) -> None:
    """Its token is on the page that answers the form, and on no other."""
    await operator.get("/console/keys")
    page = await operator.send("/keys", name="CRM", scopes="read, endpoint:write", expiresAt="2099-01-31T00:00:00Z")
    (key,) = (await http.get("/key")).json()["data"]
    assert (key["name"], key["scopes"], key["expiresAt"][:4]) == ("CRM", ["read", "endpoint:write"], "2099")
    token = page.html.split('class="secret" tabindex="0">')[1].split("<")[0]
    assert (await http.get("/principal", headers={"authorization": f"Bearer {token}"})).json()["name"] == "CRM"
    assert token not in (await operator.get("/console/keys")).html
    assert "is revoked" in (await operator.send(f"/{key['id']}/delete")).text
    assert (await http.get("/key")).json()["data"] == []


async def test_what_is_wrong_with_a_key_is_said(operator: Walker, http: httpx.AsyncClient) -> None:
    """At its field, and what was entered stays."""
    await operator.get("/console/keys")
    page = await operator.send("/keys", name="CRM", scopes="everything", expiresAt="soon")
    assert (page.status, page.html.count("aria-invalid"), 'value="everything"' in page.html) == (422, 2, True)
    assert (await http.get("/key")).json()["data"] == []


async def test_a_key_without_these_scopes(stranger: Walker, http: httpx.AsyncClient) -> None:
    """Has no such sections, and their addresses say what is missing."""
    made = (await http.post("/key", json={"name": "Sources", "scopes": ["source:read"]})).json()
    page = await stranger.sign_in(made["token"])
    for path in ("undelivered", "tasks", "operational-events", "audit", "keys", "tail"):
        assert f"/console/{path}" not in page.links
        if path != "tail":
            assert (await stranger.get(f"/console/{path}")).status == 403
