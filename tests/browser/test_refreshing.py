"""Pages that refresh themselves under somebody's hands. The clock of the browser is moved, so no test waits."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.serving import Served

INTERVAL_MS = 10_000


@pytest.fixture
def refresh(scripted: Page) -> Callable[[], None]:
    """Let a page refresh itself once, and wait until it has."""
    scripted.clock.install()

    def once() -> None:
        scripted.evaluate("document.getElementById('live').setAttribute('data-before', '')")
        scripted.clock.run_for(INTERVAL_MS)
        expect(scripted.locator("#live:not([data-before])")).to_have_count(1)

    return once


def focused(page: Page) -> str:
    """The address of the link that has the focus."""
    return str(page.evaluate("document.activeElement.getAttribute('href')"))


@pytest.mark.parametrize("place", ["/console/sources/uk", "/console?span=hour"])
def test_the_focus_stays_at_its_link(scripted: Page, relay: Served, refresh: Callable[[], None], place: str) -> None:
    """A person with a keyboard is not sent back to the beginning of the page."""
    scripted.goto(f"{relay.url}/console")
    scripted.locator(f"#live a[href='{place}']").focus()
    refresh()
    assert focused(scripted) == place


def test_a_table_stays_scrolled(scripted: Page, relay: Served, refresh: Callable[[], None]) -> None:
    """On a narrow screen, tables are wider than the page."""
    scripted.set_viewport_size({"width": 390, "height": 900})
    scripted.goto(f"{relay.url}/console")
    table = scripted.get_by_role("region", name="Routes of sources")
    table.evaluate("table => table.scrollTo(60, 0)")
    refresh()
    assert table.evaluate("table => table.scrollLeft") == 60


def test_a_selected_text_stays_selected(scripted: Page, relay: Served) -> None:
    """Somebody copies an id. The page refreshes itself when the text is no longer selected."""
    scripted.clock.install()
    scripted.goto(f"{relay.url}/console")
    scripted.evaluate("document.getSelection().selectAllChildren(document.querySelector('#live td .sub'))")
    selected = scripted.evaluate("String(document.getSelection())")
    assert selected
    with scripted.expect_response(lambda answer: answer.request.headers.get("hx-request") == "true") as answered:
        scripted.clock.run_for(INTERVAL_MS)
    answered.value.finished()
    assert scripted.evaluate("String(document.getSelection())") == selected


def test_a_page_that_cannot_refresh_itself_says_so(mistaken: Page, relay: Served) -> None:
    """An old state must not pass for the present one. When it can again, the message is gone."""
    mistaken.clock.install()
    mistaken.goto(f"{relay.url}/console")
    said = mistaken.get_by_text("This page could not refresh itself")
    expect(said).to_be_hidden()

    def refuse(route: Route) -> None:
        route.fulfill(status=404, body="gone")

    mistaken.route("**/console?span=*", refuse)
    mistaken.clock.run_for(INTERVAL_MS)
    expect(said).to_be_visible()
    mistaken.unroute("**/console?span=*")
    mistaken.clock.run_for(INTERVAL_MS)
    expect(said).to_be_hidden()


def test_enter_in_the_field_of_a_dry_run_saves_nothing(user: Page, relay: Served) -> None:
    """It tries the rules. The field is in the form that also saves them."""
    at = f"{relay.url}/console/applications/acme/endpoints/crm/rules"
    user.goto(at)
    user.fill("#f-transformation", '{"tried": true}')
    user.fill("#f-event", "goal.created")
    user.press("#f-event", "Enter")
    expect(user.locator("#tried pre").first).to_contain_text('"tried": true')
    user.goto(at)
    expect(user.locator("#f-transformation")).to_have_value("")
