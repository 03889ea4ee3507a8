"""The live tail: what a browser is sent, and what ends it."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from relay.api import tail
from relay.console import streaming
from relay.wiring import Stores
from tests.integration.api.conftest import KEY
from tests.integration.api.storing import NOW, A, Store
from tests.integration.api.test_messages import attempt
from tests.integration.api.test_tail import PLAIN, Following, changed, publish
from tests.integration.console.walking import Page, Walker
from tests.patience import PATIENCE_S


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything comes soon."""
    for name in ("HEARTBEAT_S", "LOOK_S", "CHECK_S"):
        monkeypatch.setattr(tail, name, 0.05)
    monkeypatch.setattr(streaming, "CHECK_S", 0.05)


@asynccontextmanager
async def signed_in(base_url: str, key: str = KEY) -> AsyncIterator[httpx.AsyncClient]:
    """A browser with a session, over real sockets."""
    async with httpx.AsyncClient(base_url=base_url, timeout=PATIENCE_S) as browser:
        assert (await browser.post("/console/sign-in", data={"key": key})).status_code == 303
        yield browser


@asynccontextmanager
async def following(browser: httpx.AsyncClient, **query: str) -> AsyncIterator[Following]:
    """Follow the stream of the page."""
    async with browser.stream("GET", "/console/tail/stream", params=query) as answer:
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["content-type"].startswith("text/event-stream")
        found = Following(answer)
        await found.next("start")
        yield found


async def test_the_stream_is_the_apis(base_url: str, stores: Stores) -> None:
    """Attempts come while the stream is open, and its filters are those of the operation."""
    async with signed_in(base_url) as browser, following(browser, outcomes="dead") as followed:
        await publish(stores, PLAIN, changed(message="msg_2", ending="dead"))
        assert (await followed.next("attempt"))["msgId"] == "msg_2"


async def test_signing_out_ends_the_stream(base_url: str, stores: Stores) -> None:
    """The browser is told, and nothing follows, though the key still works."""
    async with signed_in(base_url) as browser, following(browser) as followed:
        page = Page(await browser.get("/console/tail"))
        await browser.post("/console/sign-out", data=page.form("/sign-out").fields)
        assert (await followed.next("end"))["reason"] == "session"
        with pytest.raises(AssertionError, match="the stream ended"):
            await followed.next("attempt")


async def test_a_deleted_key_ends_the_stream(base_url: str, http: httpx.AsyncClient) -> None:
    """As the API says."""
    made = (await http.post("/key", json={"name": "Short", "scopes": ["attempt:read"]})).json()
    async with signed_in(base_url, made["token"]) as browser, following(browser) as followed:
        await http.delete(f"/key/{made['id']}")
        assert (await followed.next("end"))["reason"] == "key"


async def test_a_stream_requires_a_session_and_right_words(base_url: str) -> None:
    """Without a session it leads to signing in; a word that means nothing is refused by the API."""
    async with httpx.AsyncClient(base_url=base_url) as nobody:
        assert (await nobody.get("/console/tail/stream")).status_code == 303
    async with signed_in(base_url) as browser:
        assert (await browser.get("/console/tail/stream", params={"classes": "nothing"})).status_code == 422


async def test_a_stream_is_no_use_of_the_session(base_url: str, stores: Stores) -> None:
    """A browser that connects again by itself must not keep a session alive that nobody uses."""
    async with signed_in(base_url) as browser:
        (name,) = [key async for key in stores.redis.scan_iter("*session*")]
        await stores.redis.pexpire(name, 50_000)
        for accepts, extends in (("text/event-stream", False), ("text/html", True)):
            await browser.get("/console/tail/stream", params={"classes": "no"}, headers={"accept": accepts})
            assert (await stores.redis.pttl(name) > 50_000) is extends


async def test_without_javascript_the_newest_attempts_are_listed(
    operator: Walker, http: httpx.AsyncClient, store: Store, stores: Stores
) -> None:
    """Of the application in the address. The page says what the tail requires, and keeps the filter."""
    await http.post("/app", json={"uid": "one", "name": "One"})
    made = (await http.post("/app/one/endpoint", json={"uid": "crm", "url": "https://hooks.example.com/in"})).json()
    message = await store(A, 7, to=[made["id"]])
    await attempt(stores, A, message, made["id"], at_ms=NOW, status=503, verdict="retry")
    assert "requires JavaScript" in (await operator.get("/console/tail")).text
    page = await operator.get("/console/tail?app=one&outcomes=retry&classes=strange")
    assert "503" in page.text
    assert f"/console/applications/one/messages/{message}" in page.links
    assert re.findall('data-stream="([^"]*)"', page.html) == ["/console/tail/stream?app=one&amp;outcomes=retry"]
    assert (await operator.get("/console/tail?app=absent")).status == 404
