"""What can be done in the console, done in a browser with and without JavaScript: one walk for each kind of object."""

import re
import secrets

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.serving import Served
from tests.patience import PATIENCE_S


def api_of(relay: Served) -> httpx.Client:
    """The REST API, as an operator uses it."""
    headers = {"authorization": f"Bearer {relay.key}"}
    return httpx.Client(base_url=f"{relay.url}/api/v1", headers=headers, timeout=PATIENCE_S)


def press(user: Page, name: str, said: str) -> None:
    """Press a button, and read the message of the page that follows."""
    user.get_by_role("button", name=name, exact=True).first.click()
    expect(user.get_by_role("status").first).to_contain_text(said)


def test_an_endpoint_from_its_creation_to_its_end(user: Page, relay: Served) -> None:
    """Created, changed, tested, given headers and a new key, replayed, recovered and deleted."""
    uid = f"walk-{secrets.token_hex(4)}"
    user.goto(f"{relay.url}/console/applications/acme")
    user.get_by_role("link", name="New endpoint").click()
    user.fill("#f-url", "http://127.0.0.1:1/in")
    user.fill("#f-uid", uid)
    press(user, "Create the endpoint", "The endpoint is created")
    user.get_by_text("Send test event", exact=True).click()
    press(user, "Send", "is on its way")
    user.get_by_role("link", name="Settings", exact=True).click()
    user.fill("#f-description", "The CRM of sales")
    press(user, "Save", "The settings are saved")
    user.get_by_role("link", name="Secrets and headers").click()
    user.get_by_role("button", name="Show the key").click()
    shown = user.locator("code.secret").first
    expect(shown).to_contain_text("whsec_")
    before = shown.inner_text()
    user.get_by_text("Rotate the keys").click()
    user.get_by_role("button", name="Rotate", exact=True).click()
    expect(shown).not_to_have_text(before)
    expect(shown).to_contain_text("whsec_")
    user.fill("#f-name", "X-Team")
    user.fill("#f-value", "sales")
    press(user, "Set the header", "X-Team")
    expect(user.get_by_text("sales", exact=True)).to_be_visible()
    press(user, "Remove", "X-Team")
    user.get_by_role("link", name="Replay", exact=True).click()
    user.get_by_role("button", name="Preview: only count").click()
    expect(user).to_have_url(re.compile(r"/replay\?task=qtask_"))
    user.get_by_role("link", name="Recover", exact=True).click()
    user.get_by_role("button", name="Count first").click()
    expect(user).to_have_url(re.compile(r"/recover\?task=qtask_"))
    user.get_by_role("link", name="Settings", exact=True).click()
    user.get_by_text("Delete the endpoint").click()
    press(user, "Delete it for good", "The endpoint is deleted")


@pytest.fixture
def walked(relay: Served) -> str:
    """The uid of a source that is paused, so that nobody polls it."""
    uid = f"walk-{secrets.token_hex(4)}"
    body = {"baseUrl": "http://127.0.0.1:1", "igrp": 1, "routes": ["calls"], "auth": {"type": "apiKey", "key": "k"}}
    with api_of(relay) as api:
        api.put(f"/source/{uid}", json=body).raise_for_status()
    return uid


def test_a_source_is_steered_read_again_and_compared(user: Page, relay: Served, walked: str) -> None:
    """Polled, paused and resumed as a whole and by route; a cursor is moved; a backfill and a reconciliation begin."""
    user.goto(f"{relay.url}/console/sources/{walked}")
    press(user, "Poll now", "polled at once")
    user.get_by_text("Pause", exact=True).click()
    press(user, "Pause the source", "Polling is paused")
    press(user, "Resume", "Polling continues")
    user.goto(f"{relay.url}/console/sources/{walked}/routes/calls")
    user.get_by_text("Pause", exact=True).click()
    press(user, "Pause the route", "Polling is paused")
    press(user, "Resume", "Polling continues")
    user.fill("#f-rowId", "1000")
    press(user, "Move the cursor", "continues after row 1000")
    user.get_by_role("link", name="Backfills").click()
    user.fill("#f-afterRowId", "0")
    user.get_by_role("button", name="Begin the backfill").click()
    expect(user.get_by_role("progressbar").first).to_be_visible()
    press(user, "Cancel the backfill of calls", "cancel")
    user.get_by_role("link", name="Reconciliation").click()
    user.get_by_role("button", name="Compare").click()
    expect(user.locator("h1")).to_contain_text("Reconciliation")


def test_a_message_is_sent_again(user: Page, relay: Served) -> None:
    """From its page, to one endpoint."""
    user.goto(f"{relay.url}/console/applications/acme/messages/first")
    press(user, "Resend to crm", "The message is on its way")
