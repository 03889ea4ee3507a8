"""Sources and applications are created, changed and deleted by forms, through the API."""

import httpx
import msgspec
import pytest

from relay.domain.model import SourceUid
from relay.wiring import Stores
from tests.integration.api.conftest import TestClock
from tests.integration.console.walking import Walker

SOURCE = {
    "uid": "uk", "name": "United Kingdom", "baseUrl": "https://api.infinity.example", "igrp": "1234",
    "key": "s3cret-key", "route-all": "on", "pollIntervalSeconds": "0.5", "startRowId": "0",
}  # fmt: skip
STORED = {
    "name": "de", "baseUrl": "https://api.infinity.example", "igrp": 1, "routes": ["calls"], "batchSize": 77,
    "auth": {"type": "apiKey", "key": "stored-key"}, "paused": True,
}  # fmt: skip


async def test_a_source_is_created(operator: Walker, http: httpx.AsyncClient) -> None:
    """With everything that the form says. Its credentials are on no page afterwards."""
    await operator.get("/console/new-source")
    page = await operator.send("/new-source", **SOURCE, **{"route-callsGoalsTransactions": ""})
    assert "The source is created" in page.text
    found = (await http.get("/source/uk")).json()
    shown = {name: found[name] for name in ("name", "igrp", "version", "routes", "pollIntervalSeconds", "startRowId")}
    assert shown == {
        "name": "United Kingdom", "igrp": 1234, "version": "v2.1", "routes": ["all"], "pollIntervalSeconds": 0.5,
        "startRowId": 0,
    }  # fmt: skip
    assert "s3cret-key" not in page.html


async def test_a_form_never_changes_another_source(operator: Walker, http: httpx.AsyncClient) -> None:
    """A uid that is taken is refused, with what was entered, but not the secret."""
    await http.put("/source/uk", json=STORED)
    await operator.get("/console/new-source")
    page = await operator.send("/new-source", **SOURCE)
    assert (page.status, "is the uid of another source" in page.text) == (409, True)
    assert page.form("/new-source").fields["name"] == "United Kingdom"
    assert "s3cret-key" not in page.html
    assert (await http.get("/source/uk")).json()["name"] == "de"


@pytest.mark.parametrize(
    ("wrong", "field", "said"),
    [
        ({"uid": ""}, "uid", "must be"),
        ({"uid": "a/b"}, "uid", "must be"),
        ({"igrp": "many"}, "igrp", ""),
        ({"baseUrl": "ftp://example.com"}, "baseUrl", ""),
        ({"pollIntervalSeconds": "nan"}, "pollIntervalSeconds", ""),
        ({"key": ""}, "key", ""),
        ({"version": "v2", "username": "portal", "key": ""}, "password", ""),
        ({"version": "v2", "password": "hunter2hunter2", "key": ""}, "username", ""),
        ({"username": "portal"}, "username", ""),
    ],
)
async def test_faults_of_a_source_stand_at_their_fields(
    operator: Walker, http: httpx.AsyncClient, wrong: dict[str, str], field: str, said: str
) -> None:
    """And nothing is created."""
    await operator.get("/console/new-source")
    page = await operator.send("/new-source", **(SOURCE | wrong))
    assert page.status in (400, 404, 422)
    (given,) = [given for _, given in page.tags if given.get("name") == field]
    assert given.get("aria-invalid") == "true", page.text
    assert said in page.text
    assert (await http.get("/source")).json()["data"] == []


async def test_a_source_without_routes_is_refused(operator: Walker) -> None:
    """The fault stands below the routes."""
    await operator.get("/console/new-source")
    routes = {"route-all": "", "route-callsGoalsTransactions": ""}
    page = await operator.send("/new-source", **(SOURCE | routes))
    assert page.status == 422
    assert 'class="fault"' in page.html


async def test_a_source_keeps_what_is_not_typed(operator: Walker, http: httpx.AsyncClient) -> None:
    """Its credentials, whether it is paused, and what the form does not have."""
    await http.put("/source/de", json=STORED)
    await operator.get("/console/sources/de/settings")
    page = await operator.send("/settings", pollIntervalSeconds="5", **{"route-goals": "on"})
    assert "The settings are saved." in page.text
    found = (await http.get("/source/de")).json()
    kept = {name: found[name] for name in ("name", "igrp", "batchSize", "paused", "pollIntervalSeconds", "routes")}
    assert kept == {
        "name": "de", "igrp": 1, "batchSize": 77, "paused": True, "pollIntervalSeconds": 5.0,
        "routes": ["calls", "goals"],
    }  # fmt: skip
    # Another host gets the stored key from nobody.
    page = await operator.send("/settings", baseUrl="https://evil.example")
    assert page.status == 422
    page = await operator.send("/settings", baseUrl="https://evil.example", key="another-key")
    assert "The settings are saved." in page.text


async def test_other_credentials_need_all_their_parts(operator: Walker, http: httpx.AsyncClient) -> None:
    """A user name and a password replace an API key."""
    await http.put("/source/de", json=STORED)
    await operator.get("/console/sources/de/settings")
    assert (await operator.send("/settings", version="v2", username="portal")).status == 422
    page = await operator.send("/settings", version="v2", username="portal", password="hunter2hunter2")
    assert "The settings are saved." in page.text
    assert "hunter2" not in page.html
    assert (await http.get("/source/de")).json()["auth"] == {"type": "basic", "username": "portal"}


async def test_a_source_in_use_stays(operator: Walker, http: httpx.AsyncClient) -> None:
    """The page names who uses it. Without them, the source is deleted."""
    await http.put("/source/de", json=STORED)
    await http.post("/app", json={"uid": "one", "name": "One", "sources": ["de"]})
    await operator.get("/console/sources/de/settings")
    assert "one" in (await operator.send("/delete")).text
    assert (await http.get("/source/de")).status_code == 200
    await http.patch("/app/one", json={"sources": None})
    await operator.get("/console/sources/de/settings")
    assert "The source is deleted." in (await operator.send("/delete")).text
    assert (await http.get("/source/de")).status_code == 404


async def test_an_application_is_created_changed_and_deleted(operator: Walker, http: httpx.AsyncClient) -> None:
    """Empty fields mean none, or all."""
    await http.put("/source/de", json=STORED)
    await operator.get("/console/new-application")
    made = {"name": "Acme", "uid": "acme", "sources": "de", "throttleRate": "20", "filter": '{"dgrp": "7"}'}
    page = await operator.send("/new-application", **made)
    assert "The application is created." in page.text
    found = (await http.get("/app/acme")).json()
    names = ("name", "uid", "sources", "throttleRate", "filter")
    assert {name: found[name] for name in names} == made | {
        "sources": ["de"], "throttleRate": 20, "filter": {"dgrp": "7"},
    }  # fmt: skip
    await operator.get("/console/applications/acme/settings")
    page = await operator.send("/settings", sources="", throttleRate="", filter="")
    assert "The settings are saved." in page.text
    found = (await http.get("/app/acme")).json()
    assert (found["name"], found["sources"], found["throttleRate"], found["filter"]) == ("Acme", None, None, None)
    await http.post("/app/acme/endpoint", json={"url": "https://crm.example"})
    assert "The application is deleted." in (await operator.send("/delete")).text
    assert (await http.get("/app/acme")).status_code == 404


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": ""}, "name"),
        ({"uid": "a b"}, "uid"),
        ({"uid": "taken"}, ""),
        ({"sources": "nowhere"}, "sources"),
        ({"throttleRate": "fast"}, "throttleRate"),
        ({"filter": "{"}, "filter"),
        ({"filter": '{"$nope": 1}'}, "filter"),
        ({"filter": '{"dgrp": "7", "dgrp": "8"}'}, "filter"),
        ({"filter": '{"dgrp": NaN}'}, "filter"),
        ({"filter": '{"dgrp": "\\ud800"}'}, "filter"),
        ({"filter": '{"dgrp": ' + "9" * 5000 + "}"}, "filter"),
        ({"filter": "[" * 5000}, "filter"),
    ],
)
@pytest.mark.parametrize("path", ["/console/new-application", "/console/applications/one/settings"])
async def test_faults_of_an_application_stand_at_their_fields(
    operator: Walker, http: httpx.AsyncClient, path: str, wrong: dict[str, str], field: str
) -> None:
    """With what was entered, and nothing is created or changed."""
    for uid in ("one", "taken"):
        await http.post("/app", json={"uid": uid, "name": "One"})
    before = (await http.get("/app")).json()
    await operator.get(path)
    action = path.rsplit("/")[-1]
    page = await operator.send(action, **({"name": "New", "uid": "new"} | wrong))
    assert page.status in (400, 409, 422)
    assert page.form(action).fields | wrong == page.form(action).fields
    faulty = [given["name"] for _, given in page.tags if given.get("aria-invalid")]
    assert faulty == ([field] if field else []), page.text
    assert (await http.get("/app")).json() == before


async def test_without_the_scope_there_is_no_form(http: httpx.AsyncClient, stranger: Walker) -> None:
    """A key that reads sees what is missing, and a form that is sent all the same is refused."""
    await http.put("/source/de", json=STORED)
    await http.post("/app", json={"uid": "one", "name": "One"})
    key = (await http.post("/key", json={"name": "reader", "scopes": ["read"]})).json()["token"]
    await stranger.sign_in(key)
    for path in ("/console/new-source", "/console/new-application"):
        page = await stranger.get(path)
        assert "requires the scope" in page.text
    for path in ("/console/sources/de/settings", "/console/applications/one/settings"):
        page = await stranger.get(path)
        assert [form for form in page.forms if "settings" in form.action or "delete" in form.action] == []
    assert not any("new-" in link for link in (await stranger.get("/console/sources")).links)


@pytest.mark.parametrize("part", ["%2e%2e", "%2E", "%20"])
async def test_an_address_leads_to_no_other_object(operator: Walker, http: httpx.AsyncClient, part: str) -> None:
    """A form that is sent to `..` must not delete what is above it, and no such page is an error of ours."""
    await http.put("/source/de", json=STORED)
    await http.post("/app", json={"uid": "one", "name": "One"})
    page = await operator.get("/console/applications/one/settings")
    csrf = {"csrf": page.form("/settings").fields["csrf"]}
    for path in (
        f"/console/applications/one/endpoints/{part}/delete",
        f"/console/applications/one/endpoints/{part}/pause",
        f"/console/applications/{part}/delete",
        f"/console/sources/{part}/delete",
        f"/console/sources/de/routes/{part}/pause",
    ):
        assert (await operator.post(path, csrf)).status < 500
    for path in (
        f"/console/applications/one/endpoints/{part}/settings",
        f"/console/applications/one/endpoints/{part}/rules",
        f"/console/applications/one/messages/{part}",
        f"/console/sources/de/routes/all?count={part}",
    ):
        assert (await operator.get(path)).status < 500, path
    assert (await http.get("/app/one")).status_code == 200
    assert (await http.get("/source/de")).json()["paused"] is True


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/console/nope", 404),
        ("/console/applications/one/nope", 404),
        ("/console/applications/a%2Fb", 404),
        ("/console/sources/de/backfills/x", 404),
        ("/console/sources/de/delete", 405),
    ],
)
async def test_a_wrong_address_is_answered_with_a_page(operator: Walker, path: str, status: int) -> None:
    """In words for people, not with a document of the API. A form's address that is reloaded is one, too."""
    page = await operator.get(path)
    assert (page.status, page.answer.headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert "There is no page" in page.text or "Go back" in page.text
    assert "/docs" not in page.text


@pytest.mark.parametrize(
    ("rate", "said"), [("2,5", "integer"), ("1.5", "integer"), ("-5", "1 to"), ("9" * 25, "64 bits"), ("1,000", "")]
)
async def test_a_number_is_never_another_one(operator: Walker, http: httpx.AsyncClient, rate: str, said: str) -> None:
    """What is no whole number is refused, and one out of range is told the range."""
    await http.post("/app", json={"uid": "one", "name": "One", "throttleRate": 7})
    await operator.get("/console/applications/one/settings")
    page = await operator.send("/settings", throttleRate=rate)
    assert (page.status, said in page.text) == (422 if said else 200, True), page.text
    assert (await http.get("/app/one")).json()["throttleRate"] == (7 if said else 1000)


V2 = {"version": "v2", "auth": {"type": "basic", "username": "portal", "password": "hunter2hunter2"}}


@pytest.mark.parametrize(
    ("stored", "typed", "field"),
    [
        ({}, {"password": "hunter2hunter2"}, "password"),
        ({}, {"username": "portal"}, "username"),
        ({}, {"version": "v2", "password": "hunter2hunter2"}, "username"),
        ({}, {"version": "v2", "username": "portal"}, "password"),
        (V2, {"username": ""}, "username"),
        (V2, {"username": "other"}, "password"),
        (V2, {"key": "typed-key"}, "key"),
        (V2, {"version": "v2.1"}, "key"),
    ],
)
async def test_credentials_that_do_not_fit_are_faults_of_their_fields(
    operator: Walker, http: httpx.AsyncClient, stored: dict[str, str], typed: dict[str, str], field: str
) -> None:
    """What was typed for the other version, and what is missing. Nothing changes."""
    before = (await http.put("/source/de", json=STORED | stored)).json()
    await operator.get("/console/sources/de/settings")
    page = await operator.send("/settings", **typed, pollIntervalSeconds="9")
    faulty = [given["name"] for _, given in page.tags if given.get("aria-invalid")]
    assert (page.status, faulty) == (422, [field]), page.text
    assert (await http.get("/source/de")).json() == before


async def test_a_user_name_that_is_left_over_is_no_fault(operator: Walker, http: httpx.AsyncClient) -> None:
    """Only what was typed counts: the page showed the user name of v2 itself."""
    await http.put("/source/de", json=STORED | V2)
    await operator.get("/console/sources/de/settings")
    page = await operator.send("/settings", version="v2.1", key="another-key")
    assert "The settings are saved." in page.text
    found = (await http.get("/source/de")).json()
    assert (found["version"], found["auth"]) == ("v2.1", {"type": "apiKey"})


async def test_begin_after_row_says_which_routes_it_counts_for(operator: Walker, http: httpx.AsyncClient) -> None:
    """The routes that are added. The others are moved by their cursors, and the page leads there."""
    await http.put("/source/de", json=STORED)
    page = await operator.get("/console/sources/de/settings")
    assert "Only for routes that you add" in page.text
    assert "/console/sources/de/routes/calls#rewind" in page.links
    page = await operator.send("/settings", startRowId="500")
    assert "No route moved: to move a route, open it and move its cursor." in page.text
    assert (await http.get("/source/de")).json()["startRowId"] == 500
    page = await operator.send("/settings", startRowId="700", **{"route-goals": "on"})
    assert "The routes that you added begin with the rows after 700: goals." in page.text
    assert "The next poll uses them." in (await operator.send("/settings", name="DE")).text


@pytest.mark.parametrize("credentials", [{}, {"version": "v2", "key": "", "username": "u", "password": "hunter2"}])
async def test_a_new_source_that_is_sent_twice_is_created_once(
    operator: Walker, http: httpx.AsyncClient, stores: Stores, clock: TestClock, credentials: dict[str, str]
) -> None:
    """Its secret may be corrected on the way. Another form with its uid, or a late one, is refused."""
    sent = SOURCE | {"baseUrl": "https://api.infinity.example/", "name": "", **credentials}
    await operator.get("/console/new-source")
    form = operator.page.form("/new-source")
    secret = "password" if credentials else "key"
    for typed in ("mistyped", "mistyped", sent[secret]):
        page = await operator.post(form.action, form.fields | sent | {secret: typed})
        assert (page.status, "The source is created" in page.text) == (200, True), page.text
    stored = await stores.sources.get(SourceUid("uk"))
    assert msgspec.structs.asdict(stored.auth)[secret] == typed
    made = (await http.get("/source/uk")).json()
    assert (await operator.post(form.action, form.fields | sent | {"igrp": "5"})).status == 409
    clock.at_ms += 60_001
    assert (await operator.post(form.action, form.fields | sent)).status == 409
    assert (await http.get("/source/uk")).json()["updatedAt"] == made["updatedAt"]
