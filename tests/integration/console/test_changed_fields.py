"""Forms of settings send only what was changed since they were drawn."""

import httpx

from tests.integration.console.test_settings import STORED
from tests.integration.console.walking import Walker


async def test_a_field_that_is_not_sent_stays(operator: Walker, http: httpx.AsyncClient) -> None:
    """A form without a field says nothing of it: that is no wish to remove it."""
    await http.put("/source/de", json=STORED)
    app = {"uid": "one", "name": "One", "sources": ["de"], "throttleRate": 7, "filter": {"dgrp": "7"}}
    endpoint = {
        "uid": "crm", "url": "https://crm.example", "description": "CRM", "eventTypes": ["call.created"],
        "throttleRate": 3, "filter": {"dgrp": "8"}, "transformation": "$",
    }  # fmt: skip
    await http.post("/app", json=app)
    await http.post("/app/one/endpoint", json=endpoint)
    page = await operator.get("/console/sources/de/settings")
    csrf = page.form("/settings").fields["csrf"]
    one = "/console/applications/one"
    for path, fields in (
        ("/console/sources/de/settings", {"pollIntervalSeconds": "5"}),
        (f"{one}/settings", {"name": "Two"}),
        (f"{one}/endpoints/crm/settings", {"description": "Ours"}),
        (f"{one}/endpoints/crm/rules", {"do": "save", "transformation": "$$"}),
    ):
        page = await operator.post(path, {"csrf": csrf, **fields})
        assert (page.status, "saved" in page.text) == (200, True), page.text
    found = [(await http.get(path)).json() for path in ("/source/de", "/app/one", "/app/one/endpoint/crm")]
    for each, expected in zip(
        found,
        (
            STORED | {"pollIntervalSeconds": 5.0, "auth": {"type": "apiKey"}},
            app | {"name": "Two"},
            endpoint | {"description": "Ours", "transformation": "$$", "url": found[2]["url"]},
        ),
        strict=True,
    ):
        assert each | expected == each


async def test_an_old_form_writes_no_old_values_back(operator: Walker, http: httpx.AsyncClient) -> None:
    """What another operator changed since the form was drawn stays, in what the form leaves as it was drawn."""
    await http.put("/source/de", json=STORED)
    await http.post("/app", json={"uid": "one", "name": "One", "filter": {"dgrp": "7"}})
    rules = {"filter": {"dgrp": "8"}, "transformation": "{\n  'a': 1\n}"}
    await http.post("/app/one/endpoint", json={"uid": "crm", "url": "https://crm.example", "description": "a", **rules})
    one = "/console/applications/one"
    paths = (
        "/console/sources/de/settings",
        f"{one}/settings",
        f"{one}/endpoints/crm/settings",
        f"{one}/endpoints/crm/rules",
    )
    forms = [(await operator.get(path)).form(path.rpartition("/")[2]) for path in paths]
    # Another operator changes all of it.
    await http.put(
        "/source/de", json=STORED | {"name": "DE", "igrp": 2, "routes": ["calls", "visits"], "startRowId": 9}
    )
    await http.patch("/app/one", json={"name": "Two", "filter": None, "throttleRate": 5})
    changes = {"url": "https://other.example", "description": "b", "filter": None, "transformation": None}
    await http.patch("/app/one/endpoint/crm", json=changes)
    typed = (
        {"pollIntervalSeconds": "5", "route-goals": "on"}, {"sources": "de"}, {"throttleRate": "3"}, {"do": "save"},
    )  # fmt: skip
    for form, fields in zip(forms, typed, strict=True):
        # A browser sends line ends as CR LF.
        sent = {name: value.replace("\n", "\r\n") for name, value in (form.fields | fields).items()}
        assert "saved" in (await operator.post(form.action, sent)).text
    source, app, endpoint = [
        (await http.get(path)).json() for path in ("/source/de", "/app/one", "/app/one/endpoint/crm")
    ]
    assert [source[name] for name in ("name", "igrp", "routes", "startRowId", "pollIntervalSeconds")] == [
        "DE", 2, ["calls", "visits", "goals"], 9, 5.0,
    ]  # fmt: skip
    assert [app[name] for name in ("name", "filter", "throttleRate", "sources")] == ["Two", None, 5, ["de"]]
    assert endpoint | changes | {"throttleRate": 3, "url": endpoint["url"]} == endpoint
    assert "other.example" in endpoint["url"]


async def test_a_form_that_was_refused_still_knows_what_it_was_drawn_with(
    operator: Walker, http: httpx.AsyncClient
) -> None:
    """So what was typed is sent when it is sent again, and the rest is not."""
    await http.post("/app", json={"uid": "one", "name": "One", "throttleRate": 7})
    await operator.get("/console/applications/one/settings")
    page = await operator.send("/settings", name="Typed", throttleRate="fast")
    assert page.status == 422
    await http.patch("/app/one", json={"filter": {"dgrp": "7"}})
    await operator.send("/settings", throttleRate="7")
    found = (await http.get("/app/one")).json()
    assert (found["name"], found["throttleRate"], found["filter"]) == ("Typed", 7, {"dgrp": "7"})


async def test_settings_lead_to_the_application_by_its_new_uid(operator: Walker, http: httpx.AsyncClient) -> None:
    """The address that the form was on has the old one."""
    await http.post("/app", json={"uid": "one", "name": "One"})
    await operator.get("/console/applications/one/settings")
    page = await operator.send("/settings", uid="two")
    assert (page.status, "The settings are saved." in page.text) == (200, True)
