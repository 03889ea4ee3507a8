"""What holds for every page: its headers, its size, where its links lead, and that it stands without JavaScript."""

import gzip
import re

import httpx
import pytest
from msgspec import structs

from relay.api import oldest
from relay.console.files import ROOT
from relay.console.rendering import POLICY
from relay.domain.model import SourceUid
from relay.errors import StoreUnavailable
from relay.store import keys
from relay.wiring import Stores
from tests.integration.api.conftest import TestClock
from tests.integration.api.losing import CODE, Losses
from tests.integration.api.storing import NOW, A, B, Store
from tests.integration.console.walking import Page, Walker

BUDGET = 100_000
PAGES = [
    "/console",
    "/console/failing-endpoints",
    "/console/sources",
    "/console/sources/a",
    "/console/sources/a/routes/all",
    "/console/sources/a/backfills",
    "/console/sources/a/reconciliations",
    "/console/sources/a/quarantine",
    "/console/sources/a/settings",
    "/console/new-source",
    "/console/new-application",
    "/console/applications",
    "/console/applications/one/settings",
    "/console/applications/one",
    "/console/applications/one/endpoints/crm",
    "/console/applications/one/endpoints/crm/rules",
    "/console/applications/one/endpoints/crm/secrets",
    "/console/applications/one/endpoints/crm/recover",
    "/console/applications/one/endpoints/crm/replay",
    "/console/applications/one/endpoints/crm/settings",
    "/console/applications/one/new-endpoint",
    "/console/applications/one/messages",
    "/console/applications/one/messages/first/endpoints/crm",
    "/console/tail",
    "/console/undelivered",
    "/console/tasks",
    "/console/operational-events",
    "/console/audit",
    "/console/keys",
]
HANDLER = re.compile(r"^on|^style$|^srcdoc$|^hx-on")


async def weight(walker: Walker, page: Page) -> int:
    """The bytes of a page with all its files, compressed."""
    files = [given.get("src") or given.get("href", "") for tag, given in page.tags if tag in ("script", "link", "img")]
    total = len(gzip.compress(page.html.encode()))
    for file in set(files):
        async with walker.http.stream("GET", file, headers={"accept-encoding": "gzip"}) as answer:
            assert answer.status_code == 200
            assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
            total += len(b"".join([part async for part in answer.aiter_raw()]))
    return total


@pytest.mark.parametrize("path", PAGES)
async def test_every_page_keeps_the_rules(operator: Walker, store: Store, http: httpx.AsyncClient, path: str) -> None:
    """A strict policy, no code in the page, nothing from elsewhere, and a small size."""
    await http.post("/app", json={"uid": "one", "name": "One"})
    await http.post("/app/one/endpoint", json={"uid": "crm", "url": "https://hooks.example.com/in"})
    await http.post("/app/one/msg", json={"eventType": "invoice.paid", "eventId": "first", "payload": {}})
    page = await operator.get(path)
    assert page.status == 200
    assert page.answer.headers["content-security-policy"] == POLICY
    assert page.answer.headers["cache-control"] == "no-store"
    assert "unsafe" not in POLICY
    for tag, given in page.tags:
        assert [name for name in given if HANDLER.match(name)] == [], (tag, given)
        leads = [value for name, value in given.items() if name in ("href", "src", "action", "hx-get", "hx-post")]
        assert [to for to in leads if not to.startswith(("/console", "/docs", "#"))] == [], (tag, given)
    assert "<style" not in page.html
    assert re.findall(r"<script(?![^>]* src=)", page.html) == []
    assert await weight(operator, page) < BUDGET


async def test_every_page_has_a_title_of_its_own(operator: Walker, store: Store, http: httpx.AsyncClient) -> None:
    """It names the object, so that tabs and bookmarks of the browser differ. So does the heading."""
    await http.post("/app", json={"uid": "one", "name": "Acme"})
    await http.post("/app/one/endpoint", json={"uid": "crm", "url": "https://hooks.example.com/in"})
    await http.post("/app/one/msg", json={"eventType": "invoice.paid", "eventId": "first", "payload": {}})
    titles = {}
    for path in PAGES:
        page = await operator.get(path)
        title, heading = (re.findall(rf"<{tag}>(.*?)</{tag}>", page.html)[0] for tag in ("title", "h1"))
        titles[path] = title.removesuffix(" · Event relay")
        name = "crm" if "crm" in path else "Acme" if "/applications/" in path else ""
        assert (name in title, name in heading) == (True, True), path
    assert len(set(titles.values())) == len(PAGES), titles


@pytest.mark.parametrize("path", ["/console", "/console/sources/a", "/console/sources/a/routes/all"])
async def test_how_old_rows_are_is_called_lag(operator: Walker, store: Store, path: str) -> None:
    """As in the API, on the command line and in the metrics."""
    text = (await operator.get(path)).text
    assert "Lag" in text
    assert not re.search(r"\bBehind\b|routes? behind", text)


async def test_an_address_without_a_page(operator: Walker) -> None:
    """Is an error that leads on, and a wrong method is one too."""
    page = await operator.get("/console/nothing/here")
    assert (page.status, "Not found" in page.text, "/console" in page.links) == (404, True, True)
    assert (await operator.get("/console/static/console.css")).status == 404
    assert page.answer.headers["content-security-policy"] == POLICY


async def test_a_key_sees_what_its_scopes_include(stranger: Walker, http: httpx.AsyncClient) -> None:
    """A part that the key does not include says so, in the API's words, and the rest of the page is shown."""
    made = (await http.post("/key", json={"name": "Sources only", "scopes": ["source:read"]})).json()
    page = await stranger.sign_in(made["token"])
    assert page.status == 200
    assert "No sources yet" in page.text
    assert "no scope that includes `message:read`" in page.text
    assert "/console/sources" in page.links
    assert not {"/console/applications", "/console/new-source"} & set(page.links)


async def test_an_empty_overview_leads_to_the_first_source(operator: Walker) -> None:
    """By the page that creates it."""
    page = await operator.get("/console")
    assert "No sources yet" in page.text
    assert "/console/new-source" in page.links


async def test_an_unavailable_store_is_a_page(
    operator: Walker, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says what happens next."""

    async def away(*_: object, **__: object) -> None:
        raise StoreUnavailable("away")

    monkeypatch.setattr(type(stores.sessions), "find", away)
    page = await operator.get("/console")
    assert (page.status, "Redis does not answer" in page.text) == (503, True)


async def test_hostile_names_are_text(operator: Walker, http: httpx.AsyncClient) -> None:
    """Names of sources come from people: whatever they hold is shown, and is no markup."""
    name = "<img src=x onerror=alert(1)>\"'><script>alert(1)</script>"
    body = {
        "name": name,
        "baseUrl": "https://127.0.0.1",
        "igrp": 1,
        "auth": {"type": "apiKey", "key": "k"},
        "routes": ["all"],
    }
    assert (await http.put("/source/evil", json=body)).status_code == 201
    page = await operator.get("/console")
    assert ("img" in {tag for tag, given in page.tags if given.get("src") == "x"}) is False
    assert [tag for tag, given in page.tags if tag == "script" and not given.get("src", "").startswith(ROOT)] == []


async def test_the_oldest_undelivered_message_comes_first(
    operator: Walker, http: httpx.AsyncClient, store: Store, stores: Stores, clock: TestClock
) -> None:
    """Whatever its source is."""
    await http.post("/app", json={"uid": "one", "name": "One"})
    made = (await http.post("/app/one/endpoint", json={"url": "https://hooks.example.com/in", "disabled": True})).json()
    for source, row_id, at_ms in ((A, 1, NOW - 60_000), (B, 2, NOW - 3_600_000)):
        await store(source, row_id, at_ms=at_ms, to=[made["id"]])
    page = await operator.get("/console")
    assert page.text.index("row 2") < page.text.index("row 1")


async def test_the_oldest_undelivered_message_is_found_among_many(
    operator: Walker, losses: Losses, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It can be of any of many sources, behind many newer ones. The page says so if the relay did not look at all."""
    for n in range(12):
        uid, first = SourceUid(f"s{n:02}"), await stores.sources.get(A)
        await stores.sources.put(uid, lambda _, uid=uid, first=first: structs.replace(first, uid=uid))  # type: ignore[misc]
    await losses.give_up(SourceUid("s08"), 1, "crm", at_ms=NOW - 600_000)
    message = await losses.give_up(SourceUid("s11"), 2, "crm", at_ms=NOW - 300_000)
    copies = {f"{losses.ids['crm']} a1:{CODE}:{message[4:9]}:{n} poison": NOW - n for n in range(300)}
    await stores.redis.zadd(keys.dead(SourceUid("s11")), copies)
    page = await operator.get("/console")
    assert "schedule used up" in page.text
    assert page.text.index("row 1") < page.text.index("row 2")
    assert "The messages that have waited longest" in page.text
    monkeypatch.setattr(oldest, "LOOKED_AT", 0)
    page = await operator.get("/console")
    assert "there can be older ones" in page.text
    assert "row 1" not in page.text
