"""Layout at its limits: names as long as the API allows, without a space in them, and paper."""

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.serving import Served
from tests.patience import PATIENCE_S

UID = "long-" + "w" * 55
NAME = "W" * 100
PAPER = 718
"""Pixels: A4 without its margins."""
FITS = "page => page.scrollWidth <= page.clientWidth"


@pytest.fixture
def named(relay: Served) -> Iterator[None]:
    """A source, an application and an endpoint with such names, as long as the test takes."""
    headers = {"authorization": f"Bearer {relay.key}"}
    with httpx.Client(base_url=f"{relay.url}/api/v1", headers=headers, timeout=PATIENCE_S) as api:
        url = "http://127.0.0.1:1/" + "p" * 100
        source = {"name": NAME, "baseUrl": url, "igrp": 1, "routes": ["calls"], "auth": {"type": "apiKey", "key": "k"}}
        api.put(f"/source/{UID}", json=source).raise_for_status()
        api.post("/app", json={"uid": UID, "name": NAME}).raise_for_status()
        api.post(f"/app/{UID}/endpoint", json={"uid": UID, "url": url, "description": NAME}).raise_for_status()
        yield
        api.delete(f"/app/{UID}").raise_for_status()
        api.delete(f"/source/{UID}").raise_for_status()


@pytest.mark.usefixtures("named")
@pytest.mark.parametrize("pixels", [1280, 390])
def test_long_names_fit(scripted: Page, relay: Served, pixels: int) -> None:
    """In headings, in the words below them, in crumbs and in tables."""
    scripted.set_viewport_size({"width": pixels, "height": 900})
    source, application = f"/sources/{UID}", f"/applications/{UID}"
    at = (
        "",
        "/sources",
        "/applications",
        source,
        f"{source}/routes/calls",
        application,
        f"{application}/endpoints/{UID}",
    )
    for page in at:
        scripted.goto(f"{relay.url}/console{page}")
        expect(scripted.locator("h1")).to_be_visible()
        assert scripted.locator("html").evaluate(FITS), page
    scripted.goto(f"{relay.url}/console")
    assert pixels < 1280 or scripted.get_by_role("region", name="Routes of sources").evaluate(FITS)


def test_a_page_is_printed_without_its_controls(scripted: Page, relay: Served) -> None:
    """The navigation and the buttons are of no use on paper."""
    scripted.goto(f"{relay.url}/console/applications/acme/endpoints/crm")
    expect(scripted.locator(".side")).to_be_visible()
    scripted.emulate_media(media="print")
    expect(scripted.locator(".side")).to_be_hidden()
    expect(scripted.get_by_role("button", name="Pause the endpoint")).to_be_hidden()
    expect(scripted.locator("h1")).to_have_text("crm")


@pytest.mark.parametrize("pixels", [768, 390, 320])
def test_the_navigation_is_a_menu_on_narrow_screens(user: Page, relay: Served, pixels: int) -> None:
    """It opens and leads by keyboard, with and without JavaScript, and nothing in it has to be scrolled to."""
    user.set_viewport_size({"width": pixels, "height": 900})
    user.goto(f"{relay.url}/console/applications/acme/endpoints/crm")
    menu, sections = user.locator("summary", has_text="Menu"), user.get_by_role("navigation", name="Sections")
    expect(sections.get_by_role("link", name="API keys")).to_be_hidden()
    menu.focus()
    user.keyboard.press("Enter")
    for name in ("Overview", "API keys"):
        expect(sections.get_by_role("link", name=name)).to_be_in_viewport(ratio=1)
    expect(user.get_by_role("button", name="Sign out")).to_be_in_viewport(ratio=1)
    expect(sections.get_by_role("link", name="Applications")).to_have_attribute("aria-current", "page")
    user.keyboard.press("Tab")
    user.keyboard.press("Enter")
    expect(user.locator("h1")).to_have_text("Overview")


def test_tabs_wrap_on_narrow_screens(scripted: Page, relay: Served) -> None:
    """Every page of an endpoint can be seen at once."""
    scripted.set_viewport_size({"width": 390, "height": 900})
    scripted.goto(f"{relay.url}/console/applications/acme/endpoints/crm")
    for tab in scripted.get_by_role("navigation", name="Pages of this endpoint").get_by_role("link").all():
        expect(tab).to_be_in_viewport(ratio=1)


def test_a_table_fits_on_paper(scripted: Page, relay: Served) -> None:
    """It is not cut, has no controls, and says when something was: it is read later. Paper is white for everybody."""
    scripted.set_viewport_size({"width": PAPER, "height": 1100})
    scripted.goto(f"{relay.url}/console/applications/acme/messages/first")
    scripted.emulate_media(media="print", color_scheme="dark")
    expect(scripted.get_by_role("link", name="crm").first).to_be_visible()
    expect(scripted.get_by_role("button", name="Resend")).to_be_hidden()
    assert scripted.locator("html").evaluate(FITS)
    assert scripted.locator("body").evaluate("page => getComputedStyle(page).backgroundColor") == "rgb(246, 247, 249)"
    said = scripted.locator("time").first.evaluate("time => getComputedStyle(time, '::after').content")
    assert "UTC" in said
    scripted.goto(f"{relay.url}/console/applications/acme/messages")
    expect(scripted.get_by_label("Source", exact=True)).to_be_hidden()
