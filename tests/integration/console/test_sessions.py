"""Signing in, what a session is, how it ends, and what other sites cannot do with it."""

import httpx
import pytest

from relay.console.cookies import SESSION
from relay.store.sessions import IDLE_MS, LONGEST_MS
from relay.wiring import Stores
from tests.integration.api.conftest import KEY, TestClock
from tests.integration.api.documented import Documented
from tests.integration.console.walking import Walker


async def key_of(http: httpx.AsyncClient, *scopes: str, app: str | None = None) -> dict[str, str]:
    """A new API key."""
    made: dict[str, str] = (await http.post("/key", json={"name": "Reader", "scopes": scopes, "appId": app})).json()
    return made


async def test_a_page_asks_for_a_key_and_leads_back(stranger: Walker) -> None:
    """Without a session, each page leads to the form, and the form to the page that was asked for."""
    page = await stranger.get("/console?from=mail")
    assert page.text.startswith("Sign in")
    assert (await stranger.send("/console/sign-in", key=KEY)).answer.url.query == b"from=mail"


@pytest.mark.parametrize(
    "to", ["https://evil.example/", "//evil.example", "/console/../x", "/console\\evil", "javascript:x"]
)
async def test_signing_in_leads_nowhere_else(stranger: Walker, to: str) -> None:
    """`next` is one of our pages, or the overview."""
    await stranger.get("/console/sign-in")
    page = await stranger.send("/console/sign-in", key=KEY, next=to)
    assert str(page.answer.url) == "http://relay.test/console"


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("", "Enter an API key"),
        ("wrong-key-wrong-key", "not valid"),
        ("rlk_" + "a" * 62, "not valid"),
        ("é", "not an API"),
    ],
)
async def test_a_wrong_key_is_refused(stranger: Walker, key: str, said: str) -> None:
    """The form says so, does not repeat the key, and sets no cookie."""
    page = await stranger.sign_in(key)
    assert page.status in (401, 422)
    assert said in page.text
    assert not key or key not in page.html
    assert SESSION not in stranger.http.cookies


async def test_the_cookie_of_a_session(stranger: Walker, stores: Stores) -> None:
    """It is out of reach for scripts and other sites, and the store has neither it nor the key as they are."""
    sent = {"origin": "http://relay.test", "x-forwarded-proto": "https"}
    answer = await stranger.http.post("/console/sign-in", data={"key": KEY}, headers=sent)
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"__Host-{SESSION}=")
    assert set(cookie.split("; ")[1:]) == {"HttpOnly", "SameSite=strict", "Path=/", "Secure"}
    token = cookie.partition("=")[2].partition(";")[0]
    (name,) = [key async for key in stores.redis.scan_iter("*session:*")]
    kept = await stores.redis.get(name)
    assert token.encode() not in name + kept
    assert KEY.encode() not in kept
    assert 0 < await stores.redis.pttl(name) <= IDLE_MS


async def test_no_other_host_chooses_the_session(operator: Walker) -> None:
    """Over https, the relay reads only cookies that no other host of its domain can set."""
    token = operator.http.cookies[SESSION]
    operator.http.cookies.clear()
    shown = {}
    for name in (SESSION, f"__Host-{SESSION}"):
        for protocol in ("http", "https"):
            headers = {"cookie": f"{name}={token}", "x-forwarded-proto": protocol}
            shown[name, protocol] = (await operator.http.get("/console", headers=headers)).status_code
    assert shown == {
        (SESSION, "http"): 200, (SESSION, "https"): 303,
        (f"__Host-{SESSION}", "http"): 303, (f"__Host-{SESSION}", "https"): 200,
    }  # fmt: skip


async def test_a_session_ends_after_eight_hours(operator: Walker, clock: TestClock) -> None:
    """Whatever it was used for."""
    clock.at_ms += LONGEST_MS - 1
    assert (await operator.get("/console")).text.startswith("Overview")
    clock.at_ms += 1
    assert (await operator.get("/console")).text.startswith("Sign in")


async def test_only_people_keep_a_session_alive(operator: Walker, stores: Stores) -> None:
    """A page that refreshes itself does not: an hour after the last click, the session ends."""
    (name,) = [key async for key in stores.redis.scan_iter("*session:*")]
    await stores.redis.pexpire(name, 60_000)
    await operator.get("/console", **{"hx-request": "true"})
    assert await stores.redis.pttl(name) <= 60_000
    await operator.get("/console")
    assert await stores.redis.pttl(name) > 60_000


async def test_signing_out_ends_the_session(operator: Walker, stores: Stores) -> None:
    """Also for a copy of the cookie."""
    token = operator.http.cookies[SESSION]
    await operator.get("/console")
    assert (await operator.send("/console/sign-out")).text.startswith("Sign in")
    answer = await operator.http.get("/console", headers={"cookie": f"{SESSION}={token}"})
    assert answer.headers["location"] == "/console/sign-in"
    assert [key async for key in stores.redis.scan_iter("*session:*")] == []


async def test_a_deleted_key_ends_its_sessions(stranger: Walker, http: httpx.AsyncClient) -> None:
    """At the next page."""
    key = await key_of(http, "read")
    await stranger.sign_in(key["token"])
    assert "Reader" in stranger.page.text
    await http.delete(f"/key/{key['id']}")
    assert (await stranger.get("/console")).text.startswith("Sign in")
    answer = await stranger.http.get("/console", headers={"hx-request": "true"})
    assert answer.headers["hx-redirect"] == "/console/sign-in"


@pytest.mark.parametrize("token", ["", "x", "0" * 16 + "." + "0" * 64])
async def test_a_form_without_the_sessions_token_is_refused(operator: Walker, token: str) -> None:
    """Nothing is done, and the page says what to do."""
    page = await operator.post("/console/sign-out", {"csrf": token})
    assert (page.status, "Open the page again" in page.text) == (403, True)
    assert (await operator.get("/console")).text.startswith("Overview")


async def test_the_token_of_another_session_is_refused(operator: Walker) -> None:
    """A token belongs to one session. Each page has another one."""
    first = (await operator.get("/console")).form("sign-out").fields["csrf"]
    second = (await operator.get("/console")).form("sign-out").fields["csrf"]
    assert first != second
    await operator.sign_in(KEY)
    assert (await operator.post("/console/sign-out", {"csrf": first})).status == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://relay.test.evil.example"},
        {"origin": "http://[relay.test"},
        {"origin": "https://relay.test@evil.example"},
    ],
)
async def test_a_request_of_another_site_is_refused(operator: Walker, headers: dict[str, str]) -> None:
    """Even with a token of the session, and for the sign-in form too."""
    fields = (await operator.get("/console")).form("sign-out").fields
    for path, data in (("/console/sign-out", fields), ("/console/sign-in", {"key": KEY})):
        answer = await operator.http.post(path, data=data, headers=headers)
        assert (answer.status_code, "Another site" in answer.text) == (403, True)


async def test_guessing_keys_counts_for_the_address(stranger: Walker, stores: Stores) -> None:
    """The console's calls come from the browser's address, so the API's quota of addresses bounds guesses."""
    await stranger.sign_in("wrong-key-wrong-key")
    names = [key.decode() async for key in stores.redis.scan_iter("*quota:address:*")]
    assert [name.partition("address:")[2] for name in names] == ["127.0.0.1"]


async def test_every_page_wants_a_session(application: Documented, stranger: Walker) -> None:
    """Whatever is added later leads to the form too, unless it is named here."""
    free = {
        "/console/sign-in",
        "/console/static/{name}",
        "/console/{rest}",
        "/console/portal",
        "/console/portal/{code}",
    }
    routes = [route for route in application.app.routes if route.path_format.startswith("/console")]
    wanted = [(method, route.path_format) for route in routes for method in route.methods - {"OPTIONS", "HEAD"}]  # type: ignore[attr-defined]
    assert free < {path for _, path in wanted}
    for method, path in wanted:
        answer = await stranger.http.request(method, path.replace("{", "").replace("}", ""))
        to = answer.headers.get("location", "")
        assert to.startswith("/console/sign-in") is (path not in free), (method, path, answer.status_code)


@pytest.mark.parametrize("name", ["referer", "hx-current-url", "origin", "x-forwarded-host"])
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("is_part", [False, True])
async def test_an_address_that_is_none_leads_to_the_sign_in(
    stranger: Walker, name: str, method: str, is_part: bool
) -> None:
    """Headers can have any text, and nobody needs a key to send one."""
    part = {"hx-request": "true"} if is_part else {}
    for text in ("http://[", "[", "//[::1", "http://relay:port/console", "\\evil", "/", ""):
        answer = await stranger.http.request(method, "/console/sources", headers={name: text, **part})
        assert answer.status_code in (204, 303, 400, 403, 405), (text, answer.status_code, answer.text)
        to = answer.headers.get("location") or answer.headers.get("hx-redirect") or "/console"
        assert to.startswith("/console"), (text, to)


async def test_signing_in_ends_the_session_before(operator: Walker, stores: Stores) -> None:
    """Its cookie is overwritten, so nobody could sign it out any more."""
    before = operator.http.cookies[SESSION]
    await operator.sign_in(KEY)
    assert len([key async for key in stores.redis.scan_iter("*session:*")]) == 1
    answer = await operator.http.get("/console", headers={"cookie": f"{SESSION}={before}"})
    assert answer.headers["location"] == "/console/sign-in"
