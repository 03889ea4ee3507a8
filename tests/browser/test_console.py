"""Every page, in two widths and two colour schemes: it stays in its width, and axe finds nothing."""

from collections.abc import Iterator

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from relay.domain.event_types import POSTED
from relay.domain.streams import posts_of
from relay.store import keys
from relay.wiring import Stores
from tests.browser.serving import Served, stored

PAGES = {
    "/console": "Overview",
    "/console/failing-endpoints": "Failing endpoints",
    "/console/sources": "Sources",
    "/console/sources/evil": "<script>alert(1)</script>",
    "/console/sources/uk": "United Kingdom",
    "/console/sources/uk/routes/calls": "calls",
    "/console/sources/uk/backfills": "United Kingdom",
    "/console/sources/uk/reconciliations": "United Kingdom",
    "/console/sources/uk/quarantine": "United Kingdom",
    "/console/sources/uk/settings": "United Kingdom",
    "/console/new-source": "New source",
    "/console/new-application": "New application",
    "/console/applications": "Applications",
    "/console/applications/acme/settings": "Settings of Acme Motors",
    "/console/applications/evil": "<img src=x onerror=alert(1)>",
    "/console/applications/acme": "Acme Motors",
    "/console/applications/acme/endpoints/crm": "crm",
    "/console/applications/acme/endpoints/crm/rules": "crm",
    "/console/applications/acme/endpoints/crm/secrets": "crm",
    "/console/applications/acme/endpoints/crm/recover": "crm",
    "/console/applications/acme/endpoints/crm/replay": "crm",
    "/console/applications/acme/endpoints/crm/settings": "crm",
    "/console/applications/acme/new-endpoint": "New endpoint of Acme Motors",
    "/console/applications/acme/messages": "Messages of Acme Motors",
    "/console/applications/acme/messages/first": "invoice.paid",
    "/console/applications/acme/messages/first/endpoints/crm": "Delivery to crm",
    "/console/tail": "Live tail",
    "/console/undelivered": "Undelivered",
    "/console/tasks": "Background tasks",
    "/console/operational-events": "Operational events",
    "/console/audit": "Audit log",
    "/console/keys": "API keys",
}


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_accessible_and_fits(visitor: Page, relay: Served, path: str) -> None:
    """WCAG AA by axe, and no page scrolls sideways."""
    visitor.goto(relay.url + path)
    expect(visitor.locator("h1")).to_have_text(PAGES[path])
    found = Axe().run(visitor, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]})
    assert found.violations_count == 0, found.generate_report()
    assert visitor.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_signing_out_by_keyboard(user: Page, relay: Served) -> None:
    """The first key press reaches the link to the content, and a button works with Enter."""
    user.keyboard.press("Tab")
    expect(user.locator("a.skip")).to_be_focused()
    user.get_by_role("button", name="Sign out").focus()
    user.keyboard.press("Enter")
    expect(user.locator("h1")).to_have_text("Sign in")
    user.goto(f"{relay.url}/console")
    expect(user.locator("h1")).to_have_text("Sign in")


def test_an_endpoint_is_paused_with_and_without_script(user: Page, relay: Served) -> None:
    """The action explains itself before it is done."""
    user.goto(f"{relay.url}/console/applications/acme/endpoints/crm")
    user.get_by_text("Pause", exact=True).click()
    user.get_by_role("button", name="Pause the endpoint").click()
    expect(user.get_by_role("status")).to_contain_text("is paused")
    user.get_by_role("button", name="Resume").click()
    expect(user.get_by_role("status")).to_contain_text("is resumed")


def test_a_source_and_an_application_are_created(user: Page, relay: Served) -> None:
    """From the lists, with and without JavaScript, and deleted again."""
    user.goto(f"{relay.url}/console/sources")
    user.get_by_role("link", name="New source").click()
    user.fill("#f-uid", "fr")
    user.fill("#f-baseUrl", "http://127.0.0.1:1")
    user.fill("#f-igrp", "7")
    user.fill("#f-key", "a-key")
    user.get_by_role("button", name="Create the source").click()
    expect(user.get_by_role("status")).to_contain_text("The source is created")
    user.goto(f"{relay.url}/console/applications")
    user.get_by_role("link", name="New application").click()
    user.fill("#f-name", "France")
    user.fill("#f-sources", "fr")
    user.fill("#f-filter", '{"dgrp": "7"}')
    user.get_by_role("button", name="Create the application").click()
    expect(user.get_by_role("status")).to_contain_text("The application is created")
    user.get_by_role("link", name="Settings").click()
    user.get_by_text("Delete the application").click()
    user.get_by_role("button", name="Delete it for good").click()
    expect(user.get_by_role("status")).to_contain_text("The application is deleted")
    user.goto(f"{relay.url}/console/sources/fr/settings")
    user.get_by_text("Delete the source").click()
    user.get_by_role("button", name="Delete it for good").click()
    expect(user.get_by_role("status")).to_contain_text("The source is deleted")


@pytest.fixture
def dead(relay: Served, redis_url: str) -> Iterator[None]:
    """A dead message of Acme's endpoint, as a dispatcher leaves it."""
    headers = {"authorization": f"Bearer {relay.key}"}
    with httpx.Client(base_url=f"{relay.url}/api/v1", headers=headers) as api:
        app, endpoint = api.get("/app/acme").json(), api.get("/app/acme/endpoint/crm").json()
    stream = posts_of(app["id"])

    async def give_up(stores: Stores) -> None:
        (event,) = (await stores.events.read(stream, [1])).values()
        member = f"{endpoint['id']} a1:{POSTED}:{event.id[4:9]}:10 schedule_used_up"
        await stores.redis.zadd(keys.dead(stream), {member: 1_790_000_000_000})

    async def clear(stores: Stores) -> None:
        await stores.redis.delete(keys.dead(stream))

    stored(redis_url, give_up)
    yield
    stored(redis_url, clear)


def test_a_selected_group_is_resent_with_and_without_script(user: Page, relay: Served, dead: None) -> None:
    """A label selects the group, the button says how many tasks started, and a link leads to them."""
    user.goto(f"{relay.url}/console/undelivered?state=dead")
    user.get_by_label("schedule used up for crm").check()
    user.get_by_role("button", name="Resend selected").click()
    expect(user.get_by_role("status")).to_contain_text("1 task started")
    user.get_by_role("status").get_by_role("link", name="Background tasks").click()
    expect(user.locator("h1")).to_have_text("Background tasks")
    user.get_by_role("button", name="Cancel").first.click()
    expect(user.get_by_role("status")).to_contain_text("is cancelled")


def test_all_groups_are_selected_with_and_without_script(user: Page, relay: Served, dead: None) -> None:
    """By a link beside the button."""
    user.goto(f"{relay.url}/console/undelivered?state=dead")
    user.get_by_role("link", name="Select all groups of this page").click()
    expect(user.get_by_label("schedule used up for crm")).to_be_checked()
    user.get_by_role("link", name="1 undelivered of crm").click()
    expect(user.get_by_text("1 message", exact=True)).to_be_visible()


def test_groups_to_select_are_accessible_and_fit(visitor: Page, relay: Served, dead: None) -> None:
    """WCAG AA by axe, with checkboxes on the page."""
    visitor.goto(f"{relay.url}/console/undelivered")
    expect(visitor.get_by_role("button", name="Resend selected")).to_be_visible()
    found = Axe().run(visitor, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]})
    assert found.violations_count == 0, found.generate_report()
    assert visitor.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_a_key_is_created_with_scopes_with_and_without_script(user: Page, relay: Served) -> None:
    """`read` is chosen from the beginning."""
    user.goto(f"{relay.url}/console/keys")
    expect(user.get_by_label("read Read every resource")).to_be_checked()
    user.fill("#f-name", "By hand")
    user.get_by_label("endpoint:write", exact=True).check()
    user.get_by_role("button", name="Create the key").click()
    expect(user.locator("code.secret")).to_contain_text("rlk_")
    user.locator("summary", has_text="Revoke").first.click()
    user.get_by_role("button", name="Revoke the key").first.click()
    expect(user.get_by_role("status")).to_contain_text("is revoked")


def test_a_transformation_is_tried_with_and_without_script(user: Page, relay: Served) -> None:
    """The request appears next to the rules, and what was typed stays."""
    user.goto(f"{relay.url}/console/applications/acme/endpoints/crm/rules")
    user.fill("#f-transformation", '{"said": "<script>alert(1)</script>"}')
    user.get_by_role("button", name="Try the rules").click()
    expect(user.locator("#tried pre").first).to_contain_text('"said": "<script>alert(1)</script>"')
    expect(user.locator("#f-transformation")).to_have_value('{"said": "<script>alert(1)</script>"}')


def test_a_delivery_is_opened_and_resent_with_and_without_script(user: Page, relay: Served) -> None:
    """From the message to its delivery, which shows the request, and back to it after the resend."""
    user.goto(f"{relay.url}/console/applications/acme/messages/first")
    user.get_by_role("link", name="crm").first.click()
    expect(user.locator("h1")).to_have_text("Delivery to crm")
    expect(user.get_by_role("region", name="Headers of the request")).to_contain_text("webhook-id")
    expect(user.locator("pre").first).to_contain_text('"said": "<script>alert(1)</script>"')
    user.get_by_role("button", name="Resend").click()
    expect(user.locator("h1")).to_have_text("Delivery to crm")
    expect(user.get_by_role("status")).to_contain_text("is on its way")


def test_messages_are_looked_for_by_row_with_and_without_script(user: Page, relay: Served) -> None:
    """What is wrong with a value stands at its field."""
    user.goto(f"{relay.url}/console/applications/acme/messages")
    user.get_by_label("Source", exact=True).fill("uk")
    user.get_by_label("Row", exact=True).fill("7")
    user.get_by_role("button", name="Show").click()
    expect(user.get_by_text("The relay keeps none that match.")).to_be_visible()
    expect(user.get_by_label("Row", exact=True)).to_have_value("7")
    user.goto(f"{relay.url}/console/applications/acme/messages")
    expect(user.get_by_role("link", name="invoice.paid").first).to_be_visible()
