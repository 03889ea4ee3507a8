"""Refusals become sentences for people: on error pages, in messages after a redirect, and above forms."""

from relay.console.forms import FORM_AT_MOST
from tests.integration.console.walking import Walker


async def test_an_error_page_says_a_sentence(operator: Walker) -> None:
    """With a capital letter and a full stop."""
    page = await operator.get("/console/applications/crm")
    assert (page.status, "There is no application crm." in page.text) == (404, True), page.text


async def test_a_message_after_a_redirect_is_a_sentence(operator: Walker) -> None:
    """What the API says of an operation that it refuses."""
    fields = (await operator.get("/console/tasks")).form("sign-out").fields
    page = await operator.post("/console/tasks/qtask_0EOuy6gi/cancel", fields)
    assert "There is no background task qtask_0EOuy6gi." in page.text, page.text


async def test_a_form_that_is_too_large_names_the_limit(operator: Walker) -> None:
    """And what to do."""
    await operator.get("/console/new-application")
    page = await operator.send("/new-application", filter=" " * FORM_AT_MOST)
    assert page.status == 413
    assert "The form is too large" in page.text
    assert "1,048,576 bytes (1 MiB)" in page.text
    assert "send the form again" in page.text
