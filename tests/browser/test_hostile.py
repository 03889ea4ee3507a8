"""Sixty hostile texts in rows, URLs, names and answers: no page runs one, or asks another host for anything."""

from urllib.parse import quote

import httpx
import pytest
from playwright.sync_api import Page, expect

from relay.domain.tail import Batch
from relay.store.tail import Tail
from relay.wiring import Stores
from tests.browser.payloads import PAYLOADS
from tests.browser.serving import Served, stored
from tests.browser.test_console import PAGES
from tests.browser.test_tail import entry, follow
from tests.integration.api.storing import NOW, A
from tests.integration.api.storing import Store as Rows
from tests.integration.api.test_messages import attempt
from tests.patience import PATIENCE_S

AT = "/console/applications/hostile"
HOSTILE = [
    AT,
    f"{AT}/messages",
    f"{AT}/messages/posted",
    f"{AT}/messages/posted/endpoints/crm",
    f"{AT}/endpoints/crm",
    f"{AT}/endpoints/crm/rules",
    f"{AT}/endpoints/crm/secrets",
    f"{AT}/endpoints/crm/replay",
    f"{AT}/endpoints/crm/settings",
    "/console/sources/a",
    "/console/sources/a/routes/all",
    "/console/sources/a/backfills",
    "/console/sources/a/reconciliations",
    "/console/sources/a/quarantine",
    "/console/tail?app=hostile",
    "/console/undelivered?app=hostile",
    "/console/audit?app=hostile",
]
QUERIES = (
    "/console/audit?object={}",
    "/console/undelivered?source={}",
    "/console/tail?source={}",
    "/console/applications/acme/messages?source={0}&row_id={0}",
    "/console/sources/{}",
)


def through_the_api(relay: Served) -> str:
    """Names, URLs, headers, rules, posted messages and keys. Gives the id of an endpoint with every row."""
    headers = {"authorization": f"Bearer {relay.key}"}
    with httpx.Client(base_url=f"{relay.url}/api/v1", headers=headers, timeout=PATIENCE_S) as api:

        def put(method: str, path: str, body: object) -> httpx.Response:
            answer = api.request(method, path, json=body)
            assert answer.is_success, (path, body, answer.text)
            return answer

        put("POST", "/app", {"uid": "hostile", "name": PAYLOADS[0]})
        made = put("POST", "/app/hostile/endpoint", {"uid": "crm", "url": "http://127.0.0.1:1/", "disabled": True})
        for number, payload in enumerate(PAYLOADS):
            put("POST", "/app", {"uid": f"hostile-{number}", "name": payload})
            url = f"http://127.0.0.1:1/{quote(payload)}?{payload.replace('#', '')}".replace(" ", "+")
            put("POST", "/app/hostile/endpoint", {"url": url, "description": payload, "filter": {"c_x": payload}})
            put("POST", "/key", {"name": payload, "scopes": ["read"]})
        put("PUT", "/app/hostile/endpoint/crm/headers", {"headers": {f"x-{n}": p for n, p in enumerate(PAYLOADS[:32])}})
        said = {"eventType": "invoice.paid", "eventId": "posted", "payload": {payload: payload for payload in PAYLOADS}}
        put("POST", "/app/hostile/msg", said)
        return str(made.json()["id"])


def into_the_store(redis_url: str, endpoint: str) -> list[str]:
    """Rows, answers of receivers, and operational events, as a worker stores them. Gives the ids of the messages."""
    messages = list[str]()

    async def do(stores: Stores) -> None:
        rows = await Rows(stores).open()
        columns = {f"c_{number}{payload[:20]}": payload for number, payload in enumerate(PAYLOADS)}
        for number, payload in enumerate(PAYLOADS):
            given = columns if number == 0 else {"notes": payload, "goal": payload}
            message = await rows(A, number + 1, to=[endpoint], act="call", dgrpName=payload, **given)
            messages.append(message)
            for body in PAYLOADS if number == 0 else (payload,):
                said = {"headers": (("x-said", body), (body, "x")), "body": body.encode()}
                await attempt(stores, A, message, endpoint, at_ms=NOW + number, status=500, verdict="retry", **said)
            await stores.operations.note("quarantine.growing", {"reason": payload, payload[:30]: "x"}, now_ms=NOW)

    stored(redis_url, do)
    return messages


@pytest.mark.timeout(300)
def test_no_text_becomes_code(scripted: Page, relay: Served, redis_url: str) -> None:
    """The page's fixture fails the test for a dialog, a violation of the policy, an error, or a request elsewhere."""
    assert len(set(PAYLOADS)) == 60
    endpoint = through_the_api(relay)
    messages = into_the_store(redis_url, endpoint)
    found = ""
    of_messages = [f"{AT}/messages/{message}{rest}" for message in messages for rest in ("", "/endpoints/crm")]
    for path in [*PAGES, *HOSTILE, *of_messages]:
        found += seen(scripted, relay, path)
    for payload in PAYLOADS:
        assert payload in found, payload


def test_no_text_in_an_address_becomes_code(mistaken: Page, relay: Served) -> None:
    """Pages show what an address asked for, also when the API refuses it."""
    for number, payload in enumerate(PAYLOADS):
        answer = mistaken.goto(relay.url + QUERIES[number % len(QUERIES)].format(quote(payload, safe="")))
        assert answer is not None
        assert answer.status < 500


def seen(page: Page, relay: Served, path: str) -> str:
    """The text of a page and of the one that follows, with everything unfolded and every focus tried."""
    text, to = "", relay.url + path
    for _ in range(2):
        answer = page.goto(to)
        assert answer is not None
        assert answer.status < 500, path
        assert page.locator("h1").count() == 1
        page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        text += page.evaluate("document.body.textContent")
        following = page.locator("a[rel=next]")
        if following.count() == 0:
            break
        to = relay.url + str(following.first.get_attribute("href"))
    return text


def test_no_text_of_the_stream_becomes_code(scripted: Page, relay: Served, redis_url: str) -> None:
    """Rows of the tail are made by a script: every text in them is text."""
    follow(scripted, relay)

    async def do(stores: Stores) -> None:
        for number, text in enumerate(PAYLOADS):
            given = {"source": text, "endpoint_uid": text, "message": text, "event_type": text, "error": text}
            await Tail(stores.redis).publish(Batch([entry(number, **given, ending="dead", app=text, endpoint=text)]))

    stored(redis_url, do)
    expect(scripted.locator("#tail tbody tr")).to_have_count(len(PAYLOADS), timeout=PATIENCE_S * 1000)
    assert scripted.locator("#tail tbody :is(script, img, svg, iframe, form, input, style, base, details)").count() == 0
    assert all(
        link.startswith("/console/applications/")
        for link in scripted.locator("#tail tbody a").evaluate_all("all => all.map(a => a.getAttribute('href'))")
    )
