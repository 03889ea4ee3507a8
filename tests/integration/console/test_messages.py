"""The pages of messages: why they have their classes, their rows, what became of them, and sending them again."""

import httpx
import pytest

from relay.api import feeds
from relay.console.pages import messages
from relay.wiring import Stores
from tests.integration.api.storing import NOW, A, B, Store
from tests.integration.api.test_messages import attempt
from tests.integration.console.walking import Walker

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
async def endpoint(http: httpx.AsyncClient) -> str:
    """The id of an application's only endpoint."""
    await http.post("/app", json={"uid": "one", "name": "One"})
    made = await http.post("/app/one/endpoint", json={"uid": "crm", "url": "https://hooks.example.com/in"})
    return str(made.json()["id"])


async def test_a_message_is_found_and_explained(
    operator: Walker, store: Store, stores: Stores, http: httpx.AsyncClient, endpoint: str
) -> None:
    """From its application: its classes with their rules, its columns, its attempts, and nothing of it is markup."""
    message = await store(A, 7, to=[endpoint], act="call", dgrpName=HOSTILE)
    await attempt(stores, A, message, endpoint, at_ms=NOW, status=503, verdict="retry")
    page = await operator.get("/console/applications/one")
    (link,) = {link for link in page.links if link.endswith("/messages")}
    page = await operator.get(f"{link}?event_types=call.created")
    (link,) = [link for link in page.links if link.endswith(message)]
    page = await operator.get(link)
    assert page.status == 200
    assert "act is call" in page.text
    assert f'dgrpName"{HOSTILE}"' in page.text
    assert "503" in page.text
    assert "crm" in page.text
    assert [given for tag, given in page.tags if tag == "script" and "src" not in given] == []


async def test_deliveries_that_need_a_look_come_first(
    operator: Walker, http: httpx.AsyncClient, store: Store, endpoint: str
) -> None:
    """The settled ones of many are folded. An endpoint without a uid has its description as its name."""
    made = [
        (await http.post("/app/one/endpoint", json={"url": "https://hooks.example.com/in", "description": f"Team {n}"}))
        for n in range(messages.LISTED_MOST)
    ]
    message = await store(A, 7, to=[made[-1].json()["id"]], act="call")
    page = await operator.get(f"/console/applications/one/messages/{message}")
    assert f"{messages.LISTED_MOST} other endpoints: No delivery {messages.LISTED_MOST}" in page.text
    assert (
        page.text.index(f"Team {messages.LISTED_MOST - 1}")
        < page.text.index("other endpoints")
        < page.text.index("crm")
    )
    assert "Resend to Team 3" in page.text


async def test_a_message_is_sent_again(operator: Walker, store: Store, http: httpx.AsyncClient, endpoint: str) -> None:
    """To the endpoint whose button it was."""
    message = await store(A, 7, act="call")
    page = await operator.get(f"/console/applications/one/messages/{message}")
    assert "No delivery" in page.text
    assert "is on its way" in (await operator.send("/resend")).text
    explained = (await http.get(f"/app/one/msg/{message}/explanation")).json()
    assert [each["state"] for each in explained["deliveries"]] == ["waiting"]


async def test_a_posted_message_has_no_row(operator: Walker, http: httpx.AsyncClient, endpoint: str) -> None:
    """It is found by its event id too, and its payload is text."""
    await http.post("/event-type", json={"name": "invoice.paid", "description": "An invoice was paid"})
    body = {"eventType": "invoice.paid", "eventId": "first", "payload": {"said": HOSTILE}}
    assert (await http.post("/app/one/msg", json=body)).status_code == 202
    page = await operator.get("/console/applications/one/messages/first")
    assert (page.status, HOSTILE in page.text, "The row" in page.text) == (200, True, False)
    assert "first" in (await operator.get("/console/applications/one/messages")).text


async def test_an_application_without_messages(operator: Walker, endpoint: str) -> None:
    """The page says what to do next, and one that is not there is an error page."""
    assert "No messages" in (await operator.get("/console/applications/one/messages")).text
    assert (await operator.get("/console/applications/one/messages/msg_absent")).status == 404


async def test_event_types_break_after_dots(operator: Walker, store: Store, endpoint: str) -> None:
    """In narrow columns of lists, so that no word is cut."""
    await store(A, 7, act="call")
    page = await operator.get("/console/applications/one/messages")
    assert ("call.<wbr>created</a>" in page.html, "call.created" in page.text) == (True, True)


async def test_event_types_are_suggested(operator: Walker, http: httpx.AsyncClient, endpoint: str) -> None:
    """The browser looks through them while one types. What was entered stays, and several are separated by commas."""
    await http.post("/event-type", json={"name": "invoice.paid", "description": "An invoice was paid"})
    page = await operator.get("/console/applications/one/messages?event_types=goal.created,invoice.paid")
    assert '<option value="invoice.paid"></option>' in page.html
    assert page.form("/messages").fields["event_types"] == "goal.created,invoice.paid"
    assert page.status == 200


async def test_messages_are_found_by_time_and_by_id(operator: Walker, store: Store, endpoint: str) -> None:
    """A time that is none is said at its field. An id leads to the message, and nowhere else."""
    message = await store(A, 7, act="call")
    at = "/console/applications/one/messages"
    assert message in (await operator.get(f"{at}?after=2020-01-01T00:00:00Z")).html
    assert message not in (await operator.get(f"{at}?before=2020-01-01T00:00:00Z")).html
    page = await operator.get(f"{at}?after=yesterday")
    assert (page.status, "aria-invalid" in page.html, 'value="yesterday"' in page.html) == (422, True, True)
    assert message in (await operator.get(f"{at}?find={message}")).text
    assert (await operator.get(f"{at}?find=..%2F..%2F..%2Fevil")).status in (404, 422)


async def test_messages_are_found_by_source_and_row(operator: Walker, store: Store, endpoint: str) -> None:
    """A message leads to those of its row. What the API refuses is said at its field, and what was entered stays."""
    message, other, same = await store(A, 7, act="call"), await store(A, 8, act="call"), await store(B, 7, act="call")
    page = await operator.get(f"/console/applications/one/messages/{message}")
    (link,) = [link for link in page.links if "row_id=" in link]
    page = await operator.get(link)
    assert [each in page.html for each in (message, other, same)] == [True, False, False]
    assert 'value="7"' in page.html
    at = "/console/applications/one/messages"
    page = await operator.get(f"{at}?row_id=+7+")
    assert [each in page.html for each in (message, other, same)] == [True, False, True]
    assert "keeps none that match" in (await operator.get(f"{at}?row_id=9")).text
    for query, said in (("row_id=seven", "must be an integer from 1"), ("source=none", "it has no source `none`")):
        page = await operator.get(f"{at}?{query}")
        assert (page.status, said in page.text, "aria-invalid" in page.html) == (422, True, True)
        assert "No messages" not in page.text


async def test_a_filter_that_matches_little_leads_on(
    operator: Walker, store: Store, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page without messages is not the end of the list."""
    for row in range(3):
        await store(A, row, act="call")
    monkeypatch.setattr(feeds, "READ_AT_MOST", 2)
    page = await operator.get("/console/applications/one/messages?event_types=goal.created")
    assert ("No messages so far" in page.text, "Next →" in page.text) == (True, True)
