"""The subscriber portal: a link lets a subscriber in, to the pages of one application, until its token ends."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from relay.console.cookies import PORTAL, SESSION
from relay.console.rendering import POLICY
from relay.store.sessions import IDLE_MS
from relay.wiring import Stores
from tests.integration.api.conftest import KEY, TestClock
from tests.integration.api.documented import Documented
from tests.integration.api.storing import A, B, Store
from tests.integration.console.walking import ORIGIN, Walker

PARENT = "https://app.example.com"
OPEN_TO_ALL = ("/console/static/", "/console/sign-", "/console/portal", "/console/{rest")
OF_OPERATORS = ("/console/sources", "/console/keys", "/console/audit", "/console/operational")


@pytest.fixture(autouse=True)
async def world(http: httpx.AsyncClient, store: Store) -> dict[str, str]:
    """Two applications with an endpoint and a message each, and a source. Gives the ids of what is not `one`'s."""
    await http.put(f"/source/{A}", json=SOURCE)
    ids = {}
    for row, (uid, source) in enumerate((("one", A), ("two", B)), 1):
        ids[uid] = (await http.put(f"/app/{uid}", json={"name": f"Name of {uid}", "sources": [source]})).json()["id"]
        body = {"url": f"https://{uid}.example.com/in", "description": f"hook of {uid}"}
        endpoint = (await http.put(f"/app/{uid}/endpoint/crm-{uid}", json=body)).json()["id"]
        ids[f"endpoint {uid}"], ids[f"message {uid}"] = endpoint, str(await store(source, row, to=[endpoint]))
    return ids


SOURCE = {
    "name": "The source",
    "baseUrl": "https://127.0.0.1",
    "igrp": 1,
    "auth": {"type": "apiKey", "key": "k"},
    "routes": ["all"],
}


async def link(http: httpx.AsyncClient, app: str = "one", **body: Any) -> str:
    """The path of a new link."""
    answer = await http.post(f"/auth/app-portal-access/{app}", json=body)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["url"]).removeprefix("https://relay.example.com")


async def enter(walker: Walker, http: httpx.AsyncClient, **body: Any) -> Walker:
    """A browser that opened a link, and chose the button."""
    path = await link(http, **body)
    await walker.get(path)
    await walker.send(path)
    return walker


@pytest.fixture
async def subscriber(stranger: Walker, http: httpx.AsyncClient) -> Walker:
    """A subscriber who can do everything that subscribers can do."""
    return await enter(stranger, http)


@pytest.fixture
async def embedding(application: Documented) -> AsyncIterator[None]:
    """A setting that names one origin."""
    application.app.state.embed_origins = (PARENT,)
    yield
    application.app.state.embed_origins = ()


async def test_opening_a_link_does_not_use_it(stranger: Walker, http: httpx.AsyncClient) -> None:
    """A scanner of mail opens it as often as it likes. The button then works, once."""
    path = await link(http)
    for _ in range(3):
        page = await stranger.get(path)
        assert (page.status, PORTAL in stranger.http.cookies) == (200, False)
    page = await stranger.send(path)
    assert (str(page.answer.url), page.text.startswith("Overview")) == (f"{ORIGIN}/console", True)


async def test_no_log_has_the_code(
    stranger: Walker, http: httpx.AsyncClient, capsys: pytest.CaptureFixture[str]
) -> None:
    """It lets somebody in. Parameters of other paths are ids, and logged."""
    path = await link(http)
    await stranger.get(path)
    await stranger.http.post(path, headers={"origin": PARENT})
    said = capsys.readouterr().out
    assert "/console/portal/{code}" in said
    assert path.rpartition("/")[2] not in said


async def test_a_link_works_once(subscriber: Walker, http: httpx.AsyncClient, application: Documented) -> None:
    """Its own browser is led on when it opens the link again. Another one is told to ask for a new link."""
    path = await link(http)
    await subscriber.get(path)
    await subscriber.send(path)
    assert (await subscriber.get(path)).text.startswith("Overview")
    assert (await subscriber.post(path, {})).text.startswith("Overview")
    async with Walker(application.app) as other:
        await other.get(path)
        page = await other.send(path)
        assert (page.status, "Ask for a new link" in page.text, PORTAL in other.http.cookies) == (401, True, False)


@pytest.mark.parametrize("code", ["x", "-", "a" * 65, "%22%3E%3Cscript%3E"])
async def test_what_is_no_link(stranger: Walker, code: str) -> None:
    """Is refused at the button, and no markup."""
    await stranger.get(f"/console/portal/{code}")
    page = await stranger.post(f"/console/portal/{code}", {})
    assert (page.status, "Ask for a new link" in page.text, "<script" in page.html) == (401, True, False)


@pytest.mark.parametrize("headers", [{"sec-fetch-site": "cross-site"}, {"origin": PARENT}])
async def test_no_other_site_opens_a_link(
    stranger: Walker, http: httpx.AsyncClient, embedding: None, headers: dict[str, str]
) -> None:
    """Not even one that embeds the portal: it would sign people in who did not ask for it. The link still works."""
    path = await link(http)
    assert (await stranger.http.post(path, headers=headers)).status_code == 403
    answer = await stranger.http.post(path, headers={"origin": ORIGIN})
    assert answer.headers["location"] == "/console/portal"


async def test_the_navigation_has_one_application(subscriber: Walker, world: dict[str, str]) -> None:
    """Its endpoints are a section. Pages of operators are in no link, nor does a page speak of sources."""
    mine = f"/console/applications/{world['one']}"
    page = await subscriber.get("/console")
    assert mine in page.links
    assert [to for to in page.links if to.startswith((*OF_OPERATORS, "/console/sign-in"))] == []
    assert "does not include" not in page.text
    page = await subscriber.get(mine)
    assert ("crm-one" in page.html, "crm-two" in page.html) == (True, False)
    assert "/console/applications" not in page.links


async def test_a_subscriber_steers_an_endpoint(subscriber: Walker, http: httpx.AsyncClient) -> None:
    """As an operator does, with the same pages."""
    here = "/console/applications/one/endpoints/crm-one"
    await subscriber.get(here)
    assert "paused" in (await subscriber.send("/pause")).text
    assert (await http.get("/app/one/endpoint/crm-one")).json()["paused"] is True
    await subscriber.get(f"{here}/rules")
    await subscriber.send("/rules", filter='{"act": "call"}', do="save")
    assert (await http.get("/app/one/endpoint/crm-one")).json()["filter"] == {"act": "call"}
    await subscriber.get(f"{here}/secrets")
    assert "whsec_" in (await subscriber.send("/secrets", do="show")).text


async def test_a_subscriber_creates_changes_and_deletes_an_endpoint(
    subscriber: Walker, http: httpx.AsyncClient, world: dict[str, str]
) -> None:
    """What is wrong is said at its field. A field that was not changed is not sent."""
    await subscriber.get(f"/console/applications/{world['one']}/new-endpoint")
    page = await subscriber.send("/new-endpoint", url="ftp://x", eventTypes="call.created, call.updated")
    assert (page.status, "aria-invalid" in page.html) == (422, True)
    await subscriber.send("/new-endpoint", url="https://new.example.com/in", uid="new", throttleRate="7")
    made = (await http.get("/app/one/endpoint/new")).json()
    assert (made["throttleRate"], made["eventTypes"]) == (7, ["call.created", "call.updated"])
    await subscriber.get("/console/applications/one/endpoints/new/settings")
    page = await subscriber.send("/settings", description="changed", throttleRate="", eventTypes="")
    assert "are saved" in page.text
    now = (await http.get("/app/one/endpoint/new")).json()
    assert (now["description"], now["throttleRate"], now["eventTypes"]) == ("changed", None, None)
    assert (now["url"], now["uid"]) == (made["url"], "new")
    assert "is deleted" in (await subscriber.send("/delete")).text
    assert (await http.get("/app/one/endpoint/new")).status_code == 404


async def test_reading_only(stranger: Walker, http: httpx.AsyncClient) -> None:
    """Without capabilities, pages offer nothing, and a form that is sent anyway changes nothing."""
    await enter(stranger, http, readOnly=True)
    page = await stranger.get("/console/applications/one/endpoints/crm-one")
    assert {form.action for form in page.forms} == {"/console/sign-out"}
    for part in ("pause", "rules", "secrets", "test", "replay", "headers", "settings", "delete"):
        before = (await http.get("/app/one/endpoint/crm-one")).json()
        fields = page.form("sign-out").fields | {"do": "save", "eventType": "call.created", "name": "x", "value": "y"}
        sent = await stranger.post(f"/console/applications/one/endpoints/crm-one/{part}", fields)
        assert sent.status == 403 or "no scope that includes" in sent.text, part
        assert (await http.get("/app/one/endpoint/crm-one")).json() == before


def filled(path: str, world: dict[str, str], app: str, endpoint: str) -> list[str]:
    """Addresses of a path with parameters, by names and by ids."""
    values = {"app": app, "endpoint": endpoint, "uid": A, "route": "all", "msg": world["message two"]}
    found = path
    for name, value in values.items():
        found = found.replace(f"{{{name}}}", value)
    if path.endswith("/stream"):  # Without a foreign application in its query, it is the subscriber's own, and lasts.
        found += f"?app={app}"
    steps = ("pause", "resume", "disable", "enable", "poll") if "{step}" in found else ("",)
    return [found.replace("{step}", step).replace("{", "").replace("}", "") for step in steps]


async def test_nothing_of_another_application_is_reached(
    subscriber: Walker, application: Documented, http: httpx.AsyncClient, world: dict[str, str]
) -> None:
    """Every path of the console, with what belongs to another application or to operators: 403 or 404, no change."""
    routes = [route for route in application.app.routes if route.path_format.startswith("/console")]
    walked = [(method, r.path_format) for r in routes for method in r.methods - {"OPTIONS", "HEAD"}]  # type: ignore[attr-defined]
    before = [(await http.get(path)).json() for path in OTHERS]
    csrf = (await subscriber.get("/console")).form("sign-out").fields
    done = 0
    for method, path in walked:
        if path.startswith(OPEN_TO_ALL):
            continue
        foreign = [("two", "crm-two"), (world["two"], world["endpoint two"]), ("one", world["endpoint two"])]
        for app, endpoint in foreign if "{" in path else foreign[:1]:
            if app == "one" and "{endpoint}" not in path and "{msg}" not in path:
                continue
            for at in filled(path, world, app, endpoint):
                page = await (subscriber.get(at) if method == "GET" else subscriber.post(at, csrf | FIELDS))
                if "{" in path or path.startswith(OF_OPERATORS) or path.endswith("/stream"):
                    # Like every form without fields, that of a task says in a notice what the API refused.
                    is_task = path == "/console/tasks/{task}/cancel"
                    refused = page.status in (403, 404) or (is_task and "There is no background task" in page.text)
                    assert refused, (method, at, page.status, page.text[:200])
                assert not LEAKS & set(page.html.split('"')), (method, at)
                assert "Name of two" not in page.html, (method, at)
                assert "hook of two" not in page.html, (method, at)
                assert "two.example.com" not in page.html, (method, at)
                done += 1
    assert done > 40
    assert [(await http.get(path)).json() for path in OTHERS] == before


OTHERS = ("/app/two", "/app/two/endpoint/crm-two", f"/source/{A}", "/app/two/endpoint/crm-two/headers")
FIELDS = {"do": "save", "eventType": "call.created", "name": "x-evil", "value": "1", "filter": "{}", "rowId": "1"}
LEAKS = {"The source"}


async def test_signing_out_ends_the_token(
    stranger: Walker, http: httpx.AsyncClient, application: Documented, stores: Stores
) -> None:
    """Not only the session: another one that has the token is over too."""
    given = (await http.post("/auth/app-portal-access/one", json={})).json()
    path = given["url"].removeprefix("https://relay.example.com")
    await stranger.get(path)
    await stranger.send(path)
    page = await stranger.send("/sign-out")
    assert page.text.startswith("Event relay Ask for a new link") or "Ask for a new link" in page.text
    assert PORTAL not in stranger.http.cookies
    answer = await http.get("/app/one", headers={"authorization": f"Bearer {given['token']}"})
    assert answer.status_code == 401
    assert [key async for key in stores.redis.scan_iter("*session:*")] == []


async def test_an_ended_token_says_to_ask_for_a_link(subscriber: Walker, http: httpx.AsyncClient) -> None:
    """In a page of its own, and not with a form for API keys. A part that refreshes itself leads there as well."""
    await http.post("/auth/app/one/expire-all", json={})
    page = await subscriber.get("/console/applications/one")
    assert ("Ask for a new link" in page.text, "API key" in page.text) == (True, False)
    await enter(subscriber, http)
    await http.post("/auth/app/one/expire-all", json={})
    answer = await subscriber.http.get("/console", headers={"hx-request": "true"})
    assert answer.headers["hx-redirect"] == "/console/portal"


async def test_a_session_lives_as_long_as_its_token(
    stranger: Walker, http: httpx.AsyncClient, clock: TestClock, stores: Stores
) -> None:
    """Used or not: whoever creates the link decides."""
    await enter(stranger, http, expiry=3 * IDLE_MS // 1000)
    (name,) = [key async for key in stores.redis.scan_iter("*session:*")]
    await stranger.get("/console")
    assert 2 * IDLE_MS < await stores.redis.pttl(name) <= 3 * IDLE_MS
    clock.at_ms += 3 * IDLE_MS - 1
    assert (await stranger.get("/console")).text.startswith("Overview")
    clock.at_ms += 1
    assert "Ask for a new link" in (await stranger.get("/console")).text


async def test_a_browser_has_one_session(operator: Walker, http: httpx.AsyncClient, stores: Stores) -> None:
    """A link ends the operator's session, and signing in the subscriber's."""
    await enter(operator, http)
    assert (PORTAL in operator.http.cookies, SESSION in operator.http.cookies) == (True, False)
    assert len([key async for key in stores.redis.scan_iter("*session:*")]) == 1
    assert "/console/sources" in (await operator.sign_in(KEY)).links
    assert (PORTAL in operator.http.cookies, SESSION in operator.http.cookies) == (False, True)


async def test_the_named_origin_can_embed_the_portal(
    stranger: Walker, http: httpx.AsyncClient, embedding: None
) -> None:
    """Each page of a subscriber names it, errors and the way in and out too. Cookies work in its frames."""
    path = await link(http)
    answers = [await stranger.http.get(path), await stranger.http.get("/console/portal")]
    entered = await stranger.http.post(path, headers={"origin": ORIGIN})
    cookie = entered.headers["set-cookie"]
    assert all(part in cookie for part in ("HttpOnly", "SameSite=none", "Path=/console", "Secure", "Partitioned"))
    stranger.http.headers["cookie"] = cookie.partition(";")[0]
    for at in ("/console", "/console/applications/one", "/console/applications/two"):
        answers.append(await stranger.http.get(at))
    assert [answer.status_code for answer in answers] == [200, 200, 200, 200, 404]
    for answer in answers:
        assert answer.headers["content-security-policy"] == POLICY.replace("'none'; ", "'none'; ").replace(
            "frame-ancestors 'none'", f"frame-ancestors {PARENT}"
        )
        assert "x-frame-options" not in answer.headers


async def test_operators_pages_are_never_embedded(
    operator: Walker, http: httpx.AsyncClient, embedding: None, application: Documented
) -> None:
    """Whatever the setting says, and also for a key of one application. Nor is the sign-in form."""
    made = (await http.post("/key", json={"name": "k", "scopes": ["read"], "appId": "one"})).json()
    async with Walker(application.app) as bound:
        await bound.sign_in(made["token"])
        for walker, at in ((operator, "/console"), (bound, "/console"), (bound, "/console/applications/two")):
            answer = (await walker.get(at)).answer
            assert answer.headers["content-security-policy"] == POLICY
            assert answer.headers["x-frame-options"] == "DENY"
    answer = await operator.http.post("/console/sign-in", data={"key": KEY}, headers={"origin": ORIGIN})
    assert "SameSite=strict" in answer.headers["set-cookie"]


async def test_without_the_setting_nobody_embeds_the_portal(subscriber: Walker) -> None:
    """Its pages are like all others."""
    answer = (await subscriber.get("/console")).answer
    assert answer.headers["content-security-policy"] == POLICY


async def test_forms_of_the_embedded_portal_want_its_token(
    stranger: Walker, http: httpx.AsyncClient, embedding: None
) -> None:
    """Its cookie is sent by other sites, so the token of the form and the origin decide."""
    entered = await stranger.http.post(await link(http), headers={"origin": ORIGIN})
    stranger.http.headers["cookie"] = entered.headers["set-cookie"].partition(";")[0]
    at = "/console/applications/one/endpoints/crm-one/pause"
    page = await stranger.get("/console")
    assert (await stranger.post(at, {})).status == 403
    foreign = await stranger.http.post(at, data=page.form("sign-out").fields, headers={"origin": PARENT})
    assert foreign.status_code == 403
    assert (await http.get("/app/one/endpoint/crm-one")).json()["paused"] is False


async def test_a_subscriber_reads_nothing_of_a_key(stranger: Walker, http: httpx.AsyncClient) -> None:
    """There is none: the link gives access."""
    await http.post("/app", json={"uid": "acme", "name": "Acme"})
    await http.post("/app/acme/endpoint", json={"uid": "crm", "url": "https://crm.example"})
    await enter(stranger, http)
    page = await stranger.get("/console/audit")
    assert (page.status, "Your access has no scope that includes `audit:read`." in page.text) == (403, True), page.text
    page = await stranger.get("/console/sources")
    assert (page.status, "API key." in page.text, "this API key" in page.text) == (403, False, False), page.text


async def test_signing_in_forgets_the_cookie_of_an_embedded_portal(
    stranger: Walker, http: httpx.AsyncClient, embedding: None, stores: Stores
) -> None:
    """A browser keeps a partitioned cookie until it is told to forget one with the same attributes."""
    entered = await stranger.http.post(await link(http), headers={"origin": ORIGIN})
    portal = entered.headers["set-cookie"].partition(";")[0]
    answer = await stranger.http.post(
        "/console/sign-in", data={"key": KEY}, headers={"origin": ORIGIN, "cookie": portal}
    )
    began, forgotten = answer.headers.get_list("set-cookie")
    assert (began.startswith(f"{SESSION}="), "Partitioned" in began) == (True, False)
    assert all(part in forgotten for part in (f'{PORTAL}="";', "Max-Age=0", "SameSite=none", "Secure", "Partitioned"))
    assert len([key async for key in stores.redis.scan_iter("*session:*")]) == 1


async def test_a_link_forgets_the_cookie_of_an_operator(
    operator: Walker, http: httpx.AsyncClient, embedding: None
) -> None:
    """That one is not partitioned, also where the portal's is."""
    answer = await operator.http.post(await link(http), headers={"origin": ORIGIN})
    (forgotten,) = [each for each in answer.headers.get_list("set-cookie") if each.startswith(f"{SESSION}=")]
    assert ("Max-Age=0" in forgotten, "Partitioned" in forgotten) == (True, False)


async def test_a_cookie_of_an_ended_session_is_in_nobodys_way(
    operator: Walker, stores: Stores, http: httpx.AsyncClient
) -> None:
    """Such as one from another relay on this host, or from before the portal could be embedded."""
    operator.http.cookies.set(PORTAL, "ended", path="/console")
    page = await operator.get("/console")
    assert "/console/sources" in page.links, page.text


async def test_errors_of_the_embedded_portal_are_shown_in_its_frame(
    stranger: Walker, http: httpx.AsyncClient, embedding: None
) -> None:
    """Also those of addresses and methods that no page has. An operator's are shown in no frame."""
    entered = await stranger.http.post(await link(http), headers={"origin": ORIGIN})
    cookie = {"cookie": entered.headers["set-cookie"].partition(";")[0]}
    for method, path in (("GET", "/console/nothing"), ("DELETE", "/console"), ("GET", "/console/static/none.js")):
        framed = await stranger.http.request(method, path, headers=cookie)
        assert framed.headers["content-security-policy"].endswith(PARENT), (path, framed.status_code)
        alone = await stranger.http.request(method, path)
        assert alone.headers["content-security-policy"] == POLICY, (path, alone.status_code)
