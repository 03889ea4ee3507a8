"""The page of one delivery: the request as it would be sent now, and each attempt with its answer."""

import httpx
import pytest

from relay.wiring import Stores
from tests.integration.api.storing import NOW, A, Store
from tests.integration.api.test_messages import attempt
from tests.integration.console.walking import Page, Walker

HOSTILE = "<script>alert(1)</script>"
ENDPOINT = "/app/one/endpoint/crm"


@pytest.fixture
async def endpoint(http: httpx.AsyncClient) -> str:
    """The id of an application's only endpoint."""
    await http.post("/app", json={"uid": "one", "name": "One"})
    made = await http.post("/app/one/endpoint", json={"uid": "crm", "url": "https://hooks.example.com/in"})
    return str(made.json()["id"])


async def opened(walker: Walker, message: str) -> Page:
    """The page of the delivery, by the link of the message's page."""
    page = await walker.get(f"/console/applications/one/messages/{message}")
    (link,) = {link for link in page.links if f"/messages/{message}/endpoints/ep_" in link}
    return await walker.get(link)


async def test_a_delivery_shows_its_request_and_its_answers(
    operator: Walker, store: Store, stores: Stores, http: httpx.AsyncClient, endpoint: str
) -> None:
    """With headers on both sides, secrets hidden, timings, the next attempt, and nothing of it is markup."""
    await http.patch(f"{ENDPOINT}/headers", json={"headers": {"X-Api-Key": "s3cr3t-s3cr3t", "X-Plain": HOSTILE}})
    message = await store(A, 7, to=[endpoint], act="call", dgrpName=HOSTILE)
    headers = (("Content-Type", "text/plain"), ("X-Why", HOSTILE), ("Set-Cookie", "session=s3cr3t"))
    await attempt(
        stores, A, message, endpoint, at_ms=NOW, status=503, verdict="retry", headers=headers, body=HOSTILE.encode()
    )
    page = await opened(operator, message)
    assert page.status == 200
    for said in (
        "POST", "https://hooks.example.com/in", "webhook-id", message, f'"dgrpName": "{HOSTILE}"', "x-plain",
        "present settings of the endpoint", "503", "12 ms", "3 ms", "4 ms", "5 ms", "2026-09-21 14:13:25 UTC",
        f"x-why{HOSTILE}", "content-typetext/plain", "set-cookie••••", "x-api-key••••", "Waiting",
    ):  # fmt: skip
        assert said in page.text, said
    assert "s3cr3t" not in page.html
    assert [given for tag, given in page.tags if tag == "script" and "src" not in given] == []


async def test_a_delivery_is_resent_from_its_page(operator: Walker, store: Store, endpoint: str) -> None:
    """The page comes back, and says so."""
    message = await store(A, 7, act="call")
    assert "No delivery" in (await opened(operator, message)).text
    page = await operator.send("/resend")
    assert str(page.answer.url).endswith(f"/messages/{message}/endpoints/{endpoint}")
    assert ("is on its way" in page.text, "Waiting" in page.text) == (True, True)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"transformation": "{'n': $number('x')}"}, "There is no request, because transformation failed at character"),
        ({"transformation": "null"}, "The relay would skip this message."),
        ({"filter": {"act": "chat"}}, "The filter does not let this message through."),
        ({"eventTypes": ["goal.created"]}, "The event types of the endpoint do not include this message."),
        ({"disabled": True}, "This endpoint is disabled."),
    ],
)
async def test_why_there_is_no_request(
    operator: Walker, store: Store, http: httpx.AsyncClient, endpoint: str, change: dict[str, object], said: str
) -> None:
    """Each reason in a sentence."""
    message = await store(A, 7, act="call")
    assert (await http.patch(ENDPOINT, json=change)).status_code == 200
    page = await opened(operator, message)
    assert (page.status, said in page.text) == (200, True)


async def test_a_message_without_content_and_a_poller(
    operator: Walker, store: Store, http: httpx.AsyncClient, endpoint: str
) -> None:
    """The relay sends nothing, and the page says why."""
    message = await store(A, 7, act="call")
    await http.put("/app/one/endpoint/feed", json={"type": "poller"})
    page = await operator.get(f"/console/applications/one/messages/{message}/endpoints/feed")
    assert "This endpoint is a poller." in page.text
    assert [form.action for form in page.forms if form.action.endswith("/resend")] == []
    assert (await http.delete(f"/app/one/msg/{message}/content")).status_code == 204
    page = await operator.get(f"/console/applications/one/messages/{message}/endpoints/crm")
    assert (page.status, "was expunged, so the relay cannot send it" in page.text) == (200, True)


async def test_a_key_that_only_reads(stranger: Walker, store: Store, http: httpx.AsyncClient, endpoint: str) -> None:
    """It sees everything but the request, for which the scope is named."""
    message = await store(A, 7, act="call")
    key = (await http.post("/key", json={"name": "Reader", "scopes": ["read"]})).json()["token"]
    await stranger.sign_in(key)
    page = await opened(stranger, message)
    assert (page.status, "no scope that includes `endpoint:write`" in page.text) == (200, True)
    assert [form.action for form in page.forms if form.action.endswith("/resend")] == []


async def test_a_delivery_that_is_not_there(operator: Walker, store: Store, endpoint: str) -> None:
    """Neither of another message nor to another endpoint."""
    message = await store(A, 7, act="call")
    at = "/console/applications/one/messages"
    assert (await operator.get(f"{at}/{message}/endpoints/absent")).status == 404
    assert (await operator.get(f"{at}/msg_absent/endpoints/crm")).status == 404
