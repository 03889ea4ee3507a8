"""What a key of one application is offered: only what the API lets it do."""

from collections import defaultdict

import httpx

from relay.api.access import Reach, access_of, operations, reach_of, required
from relay.console.visits import FOR_OPERATORS
from tests.integration.api.documented import Documented
from tests.integration.console.walking import Walker


async def test_scopes_for_operators_are_those_of_the_api(application: Documented) -> None:
    """All operations that require them are for keys for every application."""
    reaches: dict[str, set[Reach]] = defaultdict(set)
    for template, method, handler in operations(application.app, "/api/v1"):
        access = access_of(handler)
        if access is not None and (needed := required(access, method)) is not None:
            reaches[needed].add(reach_of(access, template))
    assert {needed for needed, found in reaches.items() if found == {Reach.OPERATOR}} == FOR_OPERATORS


async def test_a_key_of_one_application_is_offered_nothing_that_is_for_operators(
    http: httpx.AsyncClient, stranger: Walker
) -> None:
    """Whatever its scopes are. Its endpoints it can change."""
    app = (await http.post("/app", json={"uid": "one", "name": "One"})).json()["id"]
    await http.post("/app/one/endpoint", json={"uid": "crm", "url": "https://crm.example"})
    scopes = ["write", "audit:read", "key:write"]
    made = (await http.post("/key", json={"name": "bound", "scopes": scopes, "appId": app})).json()
    await stranger.sign_in(made["token"])
    one = f"/console/applications/{app}"
    page = await stranger.get(one)
    assert f"{one}/settings" not in page.links
    assert f"{one}/new-endpoint" in page.links
    assert not {"/console/sources", "/console/operational-events"} & set(page.links)
    page = await stranger.get(f"{one}/settings")
    assert "for every application" in page.text
    assert {form.action for form in page.forms} == {"/console/sign-out"}
    for path in ("/console/new-application", "/console/new-source"):
        page = await stranger.get(path)
        assert "requires the scope" in page.text
        assert {form.action for form in page.forms} == {"/console/sign-out"}
    page = await stranger.get(f"{one}/endpoints/crm/settings")
    assert page.form("/settings")
