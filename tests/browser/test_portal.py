"""The subscriber portal in a real browser: on its own, and in a frame of another site."""

from collections.abc import Iterator

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import ARGS, CHROMIUM
from tests.browser.embedder import framing
from tests.browser.serving import Served

CRM = "/console/applications/acme/endpoints/crm"
PAGES = {
    "/console": "Overview",
    "/console/applications/acme": "Acme Motors",
    CRM: "crm",
    f"{CRM}/rules": "crm",
    f"{CRM}/secrets": "crm",
    f"{CRM}/replay": "crm",
    f"{CRM}/settings": "crm",
    "/console/applications/acme/new-endpoint": "New endpoint of Acme Motors",
    "/console/portal/used": "Open the portal",
}


def link(relay: Served) -> str:
    """A new link for the application acme."""
    headers = {"authorization": f"Bearer {relay.key}"}
    answer = httpx.post(f"{relay.url}/api/v1/auth/app-portal-access/acme", json={}, headers=headers)
    return relay.url + str(answer.raise_for_status().json()["url"])


@pytest.fixture
def subscriber(browser: Browser, relay: Served, scheme: str, width: int) -> Iterator[Page]:
    """A subscriber who came in by a link."""
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900})  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(link(relay))
    page.get_by_role("button", name="Open").click()
    expect(page.locator("h1")).to_have_text("Overview")
    yield page
    context.close()


@pytest.fixture(params=[(), ("--test-third-party-cookie-phaseout",)], ids=["as-it-is", "no-third-party-cookies"])
def parent(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page for somebody else's site. In the second browser, only partitioned cookies work in frames."""
    other = browser.browser_type.launch(executable_path=CHROMIUM, args=[*ARGS, *request.param])
    yield other.new_page(ignore_https_errors=True)
    other.close()


def test_pages_of_a_subscriber_are_accessible_and_fit(subscriber: Page, relay: Served) -> None:
    """WCAG AA by axe, and no page scrolls sideways."""
    for path, heading in [*PAGES.items(), ("/console/portal", "Overview")]:
        subscriber.goto(relay.url + path)
        expect(subscriber.locator("h1")).to_have_text(heading)
        checked(subscriber)
        assert subscriber.get_by_role("link", name="Sources").count() == 0
    subscriber.goto(f"{relay.url}/console")
    menu = subscriber.locator("summary", has_text="Menu")
    if menu.is_visible():
        menu.click()
        checked(subscriber)
    subscriber.get_by_role("button", name="Sign out").click()
    expect(subscriber.locator("h1")).to_have_text("Ask for a new link")
    checked(subscriber)


def checked(page: Page) -> None:
    """No violations, no sideways scrolling."""
    found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]})
    assert found.violations_count == 0, (page.url, found.generate_report())
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), page.url


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_portal_works_in_a_frame_of_the_named_site(parent: Page, relay: Served, scheme: str) -> None:
    """A subscriber comes in, acts, loads the page again, and leaves, in a frame of another site."""
    url, embedder = (relay.url, relay.embedder) if scheme == "http" else (relay.secure_url, relay.secure_embedder)
    parent.goto(framing(embedder, link(relay).replace(relay.url, url)))
    frame = parent.frame_locator("iframe")
    frame.get_by_role("button", name="Open").click()
    expect(frame.locator("h1")).to_have_text("Overview")
    (cookie,) = [each for each in parent.context.cookies(f"{url}/console") if each["name"] == "relay_portal"]
    assert (cookie["sameSite"], cookie["secure"], cookie["httpOnly"]) == ("None", True, True)
    parent.reload()
    expect(frame.locator("h1")).to_have_text("Overview")
    frame.get_by_role("link", name="Endpoints").click()
    frame.get_by_role("link", name="crm").click()
    frame.get_by_text("Pause", exact=True).click()
    frame.get_by_role("button", name="Pause the endpoint").click()
    expect(frame.get_by_role("status")).to_contain_text("is paused")
    frame.get_by_role("button", name="Resume").click()
    expect(frame.get_by_role("status")).to_contain_text("is resumed")
    frame.get_by_role("button", name="Sign out").click()
    expect(frame.locator("h1")).to_have_text("Ask for a new link")


@pytest.mark.parametrize("path", ["link", "/console/sign-in", "/console"])
def test_what_nobody_can_embed(browser: Browser, relay: Served, path: str) -> None:
    """The portal in a site that is not named, and the console of operators in any: the browser refuses the frame."""
    unnamed = relay.embedder.replace("localhost", "other.localhost")
    context = browser.new_context()
    page = context.new_page()
    address = link(relay) if path == "link" else relay.url + path
    for origin in [unnamed] if path == "link" else [unnamed, relay.embedder]:
        # Chromium says so instead of showing the page: "Refused to frame", or in newer versions "Framing … violates".
        with page.expect_console_message(
            lambda said: relay.url in said.text and "frame-ancestors" in said.text, timeout=15_000
        ):
            page.goto(framing(origin, address))
        expect(page.frame_locator("iframe").locator("h1", has_text="Sign in")).to_have_count(0)
    context.close()


def test_an_operator_signs_in_where_a_subscriber_was(browser: Browser, relay: Served) -> None:
    """The browser forgets the portal's cookie, which is partitioned."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(link(relay))
    page.get_by_role("button", name="Open").click()
    expect(page.locator("h1")).to_have_text("Overview")
    page.goto(f"{relay.url}/console/sign-in")
    page.get_by_label("API key").fill(relay.key)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("link", name="Sources")).to_be_visible()
    assert {each["name"] for each in context.cookies(f"{relay.url}/console")} == {"relay_session"}
    context.close()
