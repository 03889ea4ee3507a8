"""Pages that refresh themselves: what they ask for, and where their people are led when the session ends."""

import httpx
import pytest

from relay.console.cookies import SESSION
from tests.integration.api.conftest import KEY
from tests.integration.console.walking import Walker


def asked_by(page: str) -> dict[str, str]:
    """The headers that htmx sends from a page."""
    return {"hx-request": "true", "hx-current-url": f"http://relay.test{page}"}


@pytest.mark.parametrize(
    "at", ["/console/sources?iterator=b", "/console/tasks?status=finished", "/console/operational-events"]
)
async def test_a_page_refreshes_itself_as_it_was_asked_for(operator: Walker, at: str) -> None:
    """With its filter, and on the page of the list that it shows."""
    page = await operator.get(at)
    (live,) = [given for tag, given in page.tags if given.get("id") == "live"] or [{"hx-get": at}]
    assert live["hx-get"] == at


async def test_a_refresh_without_a_session_leads_back_to_its_page(operator: Walker) -> None:
    """After signing in."""
    operator.http.cookies.delete(SESSION)
    answer = await operator.http.get("/console/sources", headers=asked_by("/console/sources?iterator=b"))
    assert (answer.status_code, answer.headers["hx-redirect"]) == (
        204, "/console/sign-in?next=%2Fconsole%2Fsources%3Fiterator%3Db",
    )  # fmt: skip


async def test_a_form_without_a_session_says_that_nothing_was_changed(
    operator: Walker, http: httpx.AsyncClient
) -> None:
    """And leads back to the page of the form."""
    await http.put("/app/acme", json={"name": "Acme"})
    await operator.get("/console/applications/acme/settings")
    operator.http.cookies.delete(SESSION)
    form = operator.page.form("/settings")
    at = "http://relay.test/console/applications/acme/settings"
    page = await operator.post(form.action, form.fields | {"name": "Other"}, referer=at)
    assert "Your session had ended, so nothing was changed." in page.text
    page = await operator.send("/console/sign-in", key=KEY)
    assert str(page.answer.url) == at


async def test_the_attempt_of_a_test_event_appears_on_the_page(operator: Walker, http: httpx.AsyncClient) -> None:
    """Where the message says so: the attempts are in the part that refreshes itself, and so is a message's."""
    await http.put("/app/acme", json={"name": "Acme"})
    await http.put("/app/acme/endpoint/crm", json={"url": "https://crm.example/"})
    sent = {"eventType": "invoice.paid", "eventId": "first", "payload": {}}
    await http.post("/event-type", json={"name": "invoice.paid", "description": "An invoice was paid"})
    assert (await http.post("/app/acme/msg", json=sent)).status_code < 300
    message = "/console/applications/acme/messages/first"
    for at in ("/console/applications/acme/endpoints/crm", message, f"{message}/endpoints/crm"):
        html = (await operator.get(at)).html
        live, attempts = html.index('id="live"'), html.index("ttempts</h2>")
        between = html[live:attempts]
        assert between.count("<div") >= between.count("</div"), at


async def test_a_refresh_of_a_delivery_makes_no_dry_run(operator: Walker, http: httpx.AsyncClient) -> None:
    """The request is not in the part that refreshes itself."""
    await http.put("/app/acme", json={"name": "Acme"})
    await http.put("/app/acme/endpoint/crm", json={"url": "https://crm.example/"})
    await http.post("/event-type", json={"name": "invoice.paid", "description": "An invoice was paid"})
    await http.post("/app/acme/msg", json={"eventType": "invoice.paid", "eventId": "first", "payload": {}})
    at = "/console/applications/acme/messages/first/endpoints/crm"
    assert "webhook-id" in (await operator.get(at)).text
    assert "webhook-id" not in (await operator.get(at, **asked_by(at))).text
