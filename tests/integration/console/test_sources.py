"""The pages of sources: what they show, and what their forms do through the API."""

import httpx
import pytest

from relay.domain.model import SourceUid
from relay.wiring import Stores
from tests.integration.api.storing import NOW, A, B, Store
from tests.integration.console.walking import Walker

AT = "/console/sources/a"


@pytest.fixture
async def begun(store: Store, stores: Stores) -> SourceUid:
    """A source whose route has begun."""
    token = await store._token(A)
    await stores.routes.start(A, "all", 1000, token=token, now_ms=NOW)
    return A


async def test_a_source_is_paused_and_resumed(operator: Walker, http: httpx.AsyncClient, begun: SourceUid) -> None:
    """The page says what happened, once, and the audit log who did it."""
    await operator.get(AT)
    page = await operator.send(f"{AT}/pause")
    assert "Polling is paused." in page.text
    assert (await http.get("/source/a")).json()["paused"] is True
    assert "Polling is paused." not in (await operator.get(AT)).text
    await operator.send(f"{AT}/resume")
    assert (await http.get("/source/a")).json()["paused"] is False
    assert "polled at once" in (await operator.send(f"{AT}/poll")).text
    audit = (await http.get("/audit", params={"object": "source/a"})).json()["data"]
    assert {entry["principal"] for entry in audit} == {"admin"}


async def test_routes_that_are_stopped_are_told_together(
    operator: Walker, http: httpx.AsyncClient, store: Store, stores: Stores
) -> None:
    """By what stopped them, as a sentence."""
    body = {"routes": ["calls", "goals", "visits"], "baseUrl": "https://127.0.0.1", "igrp": 1}
    await http.put("/source/b", json=body | {"auth": {"type": "apiKey", "key": "k"}})
    token = await store._token(B)
    refused = "the upstream refuses the credentials (403)"
    for route, error in {"calls": refused, "goals": refused, "visits": None}.items():
        await stores.routes.save(B, route, {"state": "stopped", "last_error": error}, token=token)
    page = await operator.get("/console/sources/b")
    assert "Routes calls, goals are stopped. The upstream refuses the credentials (403). Correct" in page.text
    assert "Route visits is stopped. Infinity refused the credentials. Correct" in page.text


async def test_a_step_that_nobody_knows(operator: Walker, begun: SourceUid) -> None:
    """Is not found, and calls nothing."""
    fields = (await operator.get(AT)).form("/pause").fields
    assert (await operator.post(f"{AT}/forget", fields)).status == 404


async def test_a_route_is_paused_from_its_page(operator: Walker, http: httpx.AsyncClient, begun: SourceUid) -> None:
    """And the answer is that page."""
    await operator.get(f"{AT}/routes/all")
    page = await operator.send("/routes/all/pause")
    assert page.answer.url.path == f"{AT}/routes/all"
    assert (await http.get("/source/a/route/all")).json()["paused"] is True


async def test_rewinding_is_counted_first(operator: Walker, http: httpx.AsyncClient, begun: SourceUid) -> None:
    """The count is a backfill that stores nothing. Moving is a second step."""
    await operator.get(f"{AT}/routes/all")
    page = await operator.send("/cursor", rowId="500", do="count")
    assert "Counting from row 500" in page.text
    (made,) = (await http.get("/source/a/backfill")).json()["data"]
    assert (made["dryRun"], made["afterRowId"], made["endpoints"]) == (True, 500, "none")
    assert (await http.get("/source/a/route/all")).json()["cursor"] == 1000
    page = await operator.send("/cursor", do="move")
    assert "continues after row 500" in page.text
    assert (await http.get("/source/a/route/all")).json()["cursor"] == 500


async def test_a_wrong_row_stands_at_its_field(operator: Walker, begun: SourceUid) -> None:
    """In the words of the API, with what was entered, marked for screen readers."""
    await operator.get(f"{AT}/routes/all")
    page = await operator.send("/cursor", rowId="soon", do="move")
    assert (page.status, "must be" in page.text) == (422, True)
    (field,) = [given for tag, given in page.tags if tag == "input" and given.get("name") == "rowId"]
    assert (field["value"], field["aria-invalid"], field["aria-describedby"].split()[-1]) == ("soon", "true", "e-rowId")


async def test_a_backfill_runs_and_is_cancelled(operator: Walker, http: httpx.AsyncClient, begun: SourceUid) -> None:
    """Sending its form twice begins one."""
    await operator.get(f"{AT}/backfills")
    form = operator.page.form("/backfills")
    for _ in range(2):
        page = await operator.post(form.action, form.fields | {"afterRowId": "10", "endpoints": "none", "do": "begin"})
    assert "The backfill began." in page.text
    assert [each["state"] for each in (await http.get("/source/a/backfill")).json()["data"]] == ["running"]
    await operator.send("/cancel")
    assert (await http.get("/source/a/backfill")).json()["data"][0]["state"] == "cancelled"


async def test_faults_of_a_backfill_keep_the_form(operator: Walker, begun: SourceUid) -> None:
    """What was entered stays, and the message stands at the field or above the form."""
    await operator.get(f"{AT}/backfills")
    page = await operator.send("/backfills", since="2026-13-41", do="begin")
    assert page.status == 422
    assert page.form("/backfills").fields["since"] == "2026-13-41"
    assert "must be a day such as 2026-01-31" in page.text


async def test_a_reconciliation_begins(operator: Walker, http: httpx.AsyncClient, begun: SourceUid) -> None:
    """And its page shows how far it is."""
    await operator.get(f"{AT}/reconciliations")
    page = await operator.send("/reconciliations")
    assert (page.status, "Reconciliation" in page.text) == (200, True)
    (made,) = (await http.get("/source/a/reconciliation")).json()["data"]
    assert page.answer.url.path == f"{AT}/reconciliations/{made['id']}"
    assert f"{AT}/reconciliations/{made['id']}" in (await operator.get(f"{AT}/reconciliations")).links


async def test_a_reader_is_offered_nothing_and_can_do_nothing(
    stranger: Walker, http: httpx.AsyncClient, begun: SourceUid
) -> None:
    """Without the scope there is no form, and a request that is sent anyway is refused by the API."""
    made = (await http.post("/key", json={"name": "Reader", "scopes": ["read"]})).json()
    await stranger.sign_in(made["token"])
    page = await stranger.get(f"{AT}/routes/all")
    assert {form.action for form in page.forms} == {"/console/sign-out"}
    page = await stranger.post(f"{AT}/pause", {"csrf": page.form("sign-out").fields["csrf"]})
    assert "no scope that includes `source:write`" in page.text
    assert (await http.get("/source/a")).json()["paused"] is False
