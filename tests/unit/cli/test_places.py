"""Where the relay is: which of several answers counts, and that no key goes to another place than it was given for."""

from pathlib import Path

import httpx
import pytest

from relay.cli import following
from relay.cli.client.answers import refusal
from relay.cli.client.api import Api
from relay.cli.client.places import Place, chosen
from relay.cli.faults import Misused, Refusal
from relay.config import load
from relay.config.client_variables import CLIENT_VARIABLES
from relay.domain.model import Secret

PLACE = Place(url="https://relay.example", key=Secret("k" * 16), key_from="RELAY_API_KEY")
FILE = """
default = "test"
[test]
url = "https://test.example/"
key = "key-of-test"
[production]
url = "https://relay.example/api/v1"
key = "key-of-production"
[half]
url = "https://relay.example"
[odd]
url = "https://relay.example"
key = "x"
region = "eu"
"""


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """An environment with a file of profiles."""
    file = tmp_path / ".config/relay/profiles.toml"
    file.parent.mkdir(parents=True)
    file.write_text(FILE)
    file.chmod(0o600)
    return {"HOME": str(tmp_path)}


@pytest.mark.parametrize(
    ("environ", "profile", "url", "key"),
    [
        ({}, None, "https://test.example", "key-of-test"),
        ({}, "production", "https://relay.example", "key-of-production"),
        ({"RELAY_PROFILE": "production"}, None, "https://relay.example", "key-of-production"),
        ({"RELAY_PROFILE": "production"}, "test", "https://test.example", "key-of-test"),
        ({"RELAY_API_URL": "http://x", "RELAY_API_KEY": "k"}, None, "http://x", "k"),
        ({"RELAY_API_URL": "http://x", "RELAY_API_KEY": "k"}, "test", "https://test.example", "key-of-test"),
        ({"RELAY_API_KEY": "k", "RELAY_PORT": "81"}, None, "http://127.0.0.1:81", "k"),
        ({"RELAY_API_URL": "https://bücher.example/r", "RELAY_API_KEY": "k"}, None, "https://bücher.example/r", "k"),
        ({"RELAY_API_KEY": "k", "RELAY_PORT": "65617"}, None, "http://127.0.0.1:8080", "k"),
        ({"RELAY_ADMIN_KEY": "a"}, None, "https://test.example", "key-of-test"),
    ],
)
def test_the_first_answer_counts(
    home: dict[str, str], environ: dict[str, str], profile: str | None, url: str, key: str
) -> None:
    """In the order that docs/cli.md has."""
    place = chosen(home | environ, profile)
    assert (place.url, place.key.reveal()) == (url, key)
    assert key not in repr(place) or len(key) < 2


def test_on_the_relays_own_machine_nothing_has_to_be_set(tmp_path: Path) -> None:
    """The admin key goes to the relay on this machine alone."""
    environ = {"HOME": str(tmp_path), "RELAY_ADMIN_KEY": "a" * 16, "RELAY_PORT": "tcp://10.0.0.1:80"}
    assert chosen(environ, None).url == "http://127.0.0.1:8080"
    with pytest.raises(Misused, match="RELAY_API_KEY is required with RELAY_API_URL"):
        chosen(environ | {"RELAY_API_URL": "https://elsewhere.example"}, None)


@pytest.mark.parametrize(
    ("profile", "says"),
    [
        ("nope", "has no profile 'nope': it has half, odd, production, test"),
        ("half", "requires key"),
        ("odd", "'region'"),
    ],
)
def test_a_wrong_profile_is_said(home: dict[str, str], profile: str, says: str) -> None:
    """With what is there, or what is missing."""
    with pytest.raises(Misused, match=says):
        chosen(home, profile)


@pytest.mark.parametrize(
    "url",
    [
        "relay.example", "ftp://x", "https://u:p@x", "https://x?y", "http://[", "https://x:0", "http://a\nb",
        "http://a\tb", "http://a b", "http://a/\x00", "http://a..b", "http://x:99999", "http://\udce9",
    ],
)  # fmt: skip
def test_a_wrong_url_is_said(tmp_path: Path, url: str) -> None:
    """By the name of the variable, and without a password that it may have."""
    environ = {"HOME": str(tmp_path), "RELAY_API_URL": url, "RELAY_API_KEY": "k"}
    with pytest.raises(Misused, match="RELAY_API_URL must be the http or https URL of the relay"):
        chosen(environ, None)


KEYS = ["rlk_SECRETPART1\nrlk_SECRETPART2", "SECRETPART1\0x", "SECRETPART1 x", "SECRETPART1é", "\udce9"]


@pytest.mark.parametrize("variable", ["RELAY_API_KEY", "RELAY_ADMIN_KEY"])
@pytest.mark.parametrize("key", KEYS)
def test_a_key_that_no_header_can_have_is_said(tmp_path: Path, variable: str, key: str) -> None:
    """By the name of the variable, and without the value."""
    with pytest.raises(Misused, match=f"^{variable} must be printable ASCII without spaces") as refused:
        chosen({"HOME": str(tmp_path), variable: key}, None)
    assert "SECRETPART" not in str(refused.value)


def test_a_key_of_a_profile_that_no_header_can_have_is_said(home: dict[str, str]) -> None:
    """By the name of the profile, and without the value."""
    file = Path(home["HOME"]) / ".config/relay/profiles.toml"
    file.write_text(FILE.replace("key-of-test", "SECRETPART1\\nSECRETPART2"))
    with pytest.raises(Misused, match=r"key of profile 'test' must be printable ASCII without spaces") as refused:
        chosen(home, None)
    assert "SECRETPART" not in str(refused.value)


def test_no_message_repeats_a_header() -> None:
    """httpx says the value of a header that it cannot send."""

    def fail(_: httpx.Request) -> httpx.Response:
        raise httpx.LocalProtocolError("Illegal header value b'Bearer SECRETPART1'")

    with Api(PLACE, httpx.MockTransport(fail)) as api, pytest.raises(Refusal, match="RELAY_API_KEY") as refused:
        api.get("source")
    assert "SECRETPART" not in str(refused.value)


def test_services_ignore_the_variables_of_the_client() -> None:
    """They often share an environment. Other unknown names still stop a service."""
    needed = {"RELAY_ADMIN_KEY": "k" * 16, "RELAY_ENCRYPTION_KEY": "A" * 43 + "="}
    assert load(needed | dict.fromkeys(CLIENT_VARIABLES, "x")).port == 8080


@pytest.mark.parametrize(
    ("status", "problem", "says"),
    [
        (401, {"detail": "x"}, "does not accept the API key of RELAY_API_KEY"),
        (403, {"detail": "needs source:write"}, "must not do this: needs source:write"),
        (404, {"detail": "there is no source x"}, "there is no source x"),
        (409, {"detail": "in use"}, "in use"),
        (422, {"detail": [{"msg": "`a`: b"}, {"msg": "`c`: d"}]}, "the relay refuses this: `a`: b; `c`: d"),
        (429, {}, "try again in 77 s"),
        (500, {"detail": "the relay failed; its log says why"}, "failed (500): the relay failed"),
        (502, "<html>\x1b[31m", "failed (502): look at its log"),
        (302, "", "redirects to another place: set the URL of the relay itself"),
    ],
)
def test_each_status_is_one_line_with_what_to_do(status: int, problem: object, says: str) -> None:
    """And no control character of a server reaches the terminal."""
    content = {"json": problem} if isinstance(problem, dict) else {"text": str(problem)}
    response = httpx.Response(status, headers={"retry-after": "77"}, **content)  # type: ignore[arg-type]
    found = refusal(response, PLACE)
    assert says in str(found)
    assert str(found).isprintable()


def test_a_request_that_the_relay_cannot_take_now_is_sent_again() -> None:
    """With the same idempotency key, and no more than three times."""
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(503, headers={"retry-after": "0"}) if len(asked) < 3 else httpx.Response(200, json={})

    with Api(PLACE, httpx.MockTransport(answer)) as api:
        assert api.post("key", {"name": "x"}) == {}
    assert len({each.headers["idempotency-key"] for each in asked}) == 1
    assert asked[0].headers["authorization"] == f"Bearer {'k' * 16}"
    down = httpx.MockTransport(lambda _: httpx.Response(503, headers={"retry-after": "0"}))
    with Api(PLACE, down) as api, pytest.raises(Refusal):
        api.get("source")


def test_lists_are_read_to_their_end() -> None:
    """Page by page, with the filters on each."""
    pages = {
        None: {"data": [{"n": 1}, {"n": 2}], "iterator": "a", "done": False},
        "a": {"data": [{"n": 3}], "iterator": "b", "done": True},
    }

    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.params["app"] == "crm"
        return httpx.Response(200, json=pages[request.url.params.get("iterator")])

    with Api(PLACE, httpx.MockTransport(answer)) as api:
        assert list(api.items("undelivered", app="crm", source=None)) == [{"n": 1}, {"n": 2}, {"n": 3}]


@pytest.mark.parametrize("error", [httpx.ConnectTimeout("x"), httpx.ReadTimeout("x"), httpx.RemoteProtocolError("x")])
def test_no_answer_is_one_line(error: httpx.HTTPError) -> None:
    """With the URL, and what to do."""

    def fail(_: httpx.Request) -> httpx.Response:
        raise error

    with Api(PLACE, httpx.MockTransport(fail)) as api, pytest.raises(Refusal, match=r"https://relay\.example"):
        api.get("source")


def test_a_server_that_is_no_relay_is_recognised() -> None:
    """It answers 200 with a page."""
    page = httpx.MockTransport(lambda _: httpx.Response(200, html="<p>hello"))
    with Api(PLACE, page) as api, pytest.raises(Refusal, match="is it a relay"):
        api.get("source")


@pytest.mark.parametrize(
    "body", [b"[1]", b"null", b"{}", b'{"data": {}}', b'{"data": [1]}', b'{"data": [{}]}', b"[" * 100_000]
)
def test_json_that_no_relay_gives_is_one_line(body: bytes) -> None:
    """Also that of a relay of another release, which lacks a field."""
    page = httpx.MockTransport(
        lambda _: httpx.Response(200, content=body, headers={"content-type": "application/json"})
    )
    with Api(PLACE, page) as api, pytest.raises(Refusal, match=r"no relay|is it a relay"):
        print([each["uid"] for each in api.items("source")])


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("ALL_PROXY", "socks5://user:secret@127.0.0.1:9", "must be the http or https URL of a proxy"),
        ("HTTPS_PROXY", "gopher://127.0.0.1:secret", "must be the http or https URL of a proxy"),
        ("SSL_CERT_FILE", "/nowhere/secret.pem", "SSL_CERT_FILE or SSL_CERT_DIR cannot be read"),
    ],
)
def test_variables_of_the_way_are_named(name: str, value: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """httpx would end with its own errors."""
    monkeypatch.setenv(name, value)
    with pytest.raises(Misused, match=says) as refused:
        Api(PLACE)
    assert "secret" not in str(refused.value)


def test_a_proxy_that_cannot_be_reached_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The relay may run: nothing was asked of it."""
    monkeypatch.setenv("HTTPS_PROXY", "http://user:secret@127.0.0.1:9")
    with Api(PLACE) as api, pytest.raises(Refusal, match=r"the proxy to https://relay.* HTTPS_PROXY") as refused:
        api.get("source")
    assert "secret" not in str(refused.value)


def test_a_default_that_is_no_name_is_said(home: dict[str, str]) -> None:
    """With the file."""
    file = Path(home["HOME"]) / ".config/relay/profiles.toml"
    file.write_text(FILE.replace('"test"', '["test"]', 1))
    with pytest.raises(Misused, match="default must be the name of a profile"):
        chosen(home, None)


def test_a_relay_that_restarts_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is followed goes on meanwhile. A refusal that stays ends it."""
    monkeypatch.setattr(following, "LOOK_S", (0.0, 0.0))
    answers = [httpx.Response(502), httpx.Response(200, json={"n": 1})]
    with Api(PLACE, httpx.MockTransport(lambda _: answers.pop(0))) as api:
        assert following.follow(lambda: api.get("x"), lambda _: True, lambda _: None) == {"n": 1}
    with Api(PLACE, httpx.MockTransport(lambda _: httpx.Response(404))) as api, pytest.raises(Refusal):
        following.follow(lambda: api.get("x"), lambda _: True, lambda _: None)
