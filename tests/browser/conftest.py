"""The console in a real Chromium, over a real relay process's application: `make test-browser`."""

import asyncio
import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.browser.serving import Served, serve

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
ARGS = ["--no-sandbox", "--disable-dev-shm-usage"]


@pytest.fixture(scope="session")
def browser(relay: Served) -> Iterator[Browser]:
    """The browser. It occupies the loop of this thread, so the relay starts before it, and ends after it."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def relay(redis_url: str) -> Iterator[Served]:
    """A relay with a world to look at, in a thread with a loop of its own."""
    started: dict[str, Any] = {}
    ready, stop = threading.Event(), asyncio.Event()

    async def run() -> None:
        started["loop"] = asyncio.get_running_loop()
        async with serve(redis_url) as served:
            started["served"] = served
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    assert ready.wait(60)
    yield started["served"]
    started["loop"].call_soon_threadsafe(stop.set)
    thread.join(60)


@pytest.fixture(params=["light", "dark"])
def scheme(request: pytest.FixtureRequest) -> str:
    """The colours that a user prefers."""
    return str(request.param)


@pytest.fixture(params=[1280, 390])
def width(request: pytest.FixtureRequest) -> int:
    """The width of the window in pixels."""
    return int(request.param)


@pytest.fixture
def visitor(browser: Browser, relay: Served, scheme: str, width: int) -> Iterator[Page]:
    """A page that is signed in. An error in its console, or a violation of its policy, fails the test."""
    yield from signed_in(browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900}), relay)  # type: ignore[arg-type]


@pytest.fixture
def scripted(browser: Browser, relay: Served) -> Iterator[Page]:
    """The same on a wide screen, with JavaScript."""
    yield from signed_in(browser.new_context(), relay)


@pytest.fixture
def mistaken(browser: Browser, relay: Served) -> Iterator[Page]:
    """The same, for addresses that the relay refuses: that the browser reports their statuses is no trouble."""
    yield from signed_in(browser.new_context(), relay, may_be_refused=True)


@pytest.fixture(params=[True, False], ids=["script", "no-script"])
def user(browser: Browser, relay: Served, request: pytest.FixtureRequest) -> Iterator[Page]:
    """The same on a wide screen, with and without JavaScript."""
    yield from signed_in(browser.new_context(java_script_enabled=request.param), relay)


REFUSED = "Failed to load resource: the server responded with a status of 4", "Response Status Error Code 4"


def signed_in(context: BrowserContext, relay: Served, *, may_be_refused: bool = False) -> Iterator[Page]:
    """A page of this context, for as long as it is used. Trouble in it fails the test then."""
    page, troubles = context.new_page(), list[str]()
    page.on("console", lambda said: troubles.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("dialog", lambda dialog: (troubles.append(f"dialog {dialog.message}"), dialog.dismiss()))
    page.on("request", lambda asked: None if asked.url.startswith(relay.url) else troubles.append(asked.url))
    page.goto(f"{relay.url}/console/sign-in")
    page.fill("#key", relay.key)
    page.click("button")
    page.wait_for_url(f"{relay.url}/console")
    yield page
    context.close()
    assert [each for each in troubles if not (may_be_refused and each.startswith(REFUSED))] == []
