"""Credentials that CRMs want, through the API: no answer shows a secret, and what is omitted stays."""

from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from relay.domain.credentials import GOOGLE_TOKEN_URL, EndpointAuth, RefreshToken, ServiceAccount
from relay.wiring import Stores

URL = "https://crm.example.com/hook"
PATH = "/app/one/endpoint/crm"
CANARY = "canary-0123456789"


def pem(key: Any) -> str:
    """A private key."""
    text: bytes = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return text.decode()


RSA, EC = pem(rsa.generate_private_key(65537, 2048)), pem(ec.generate_private_key(ec.SECP256R1()))
TOKEN_URL = {"tokenUrl": "https://id.example.com/token"}
BASE = {"baseUrlField": "instance_url", "baseUrlSuffix": "my.crm.example"}
KEY_FILE = {
    "type": "service_account", "project_id": "p", "private_key_id": "k1", "private_key": RSA,
    "client_email": "relay@p.iam.test", "client_id": "1", "auth_uri": "https://accounts.example/auth",
    "token_uri": "https://oauth2.example.com/token", "universe_domain": "googleapis.com",
}  # fmt: skip
REFRESH = TOKEN_URL | {
    "type": "oauth2RefreshToken", "clientId": "c", "clientSecret": CANARY, "refreshToken": CANARY + "1",
}  # fmt: skip
JWT = TOKEN_URL | {"type": "oauth2JwtBearer", "issuer": "i", "audience": "a", "privateKey": RSA, "claims": {"b": 7}}
GOOGLE = {"type": "googleServiceAccount", "key": KEY_FILE, "scopes": ["https://a.test/b"]}
KINDS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "refresh": (REFRESH | BASE | {"scheme": "Zoho-oauthtoken", "tokenAuth": "body"}, ("clientSecret", "refreshToken")),
    "client": (TOKEN_URL | BASE | {"type": "oauth2", "clientId": "c", "clientSecret": CANARY}, ("clientSecret",)),
    "jwt": (JWT | {"subject": "s", "keyId": "k", "scope": "x y"}, ("privateKey",)),
    "es256": (JWT | {"algorithm": "ES256", "privateKey": EC}, ("privateKey",)),
    "google": (GOOGLE | {"subject": "u"}, ("key",)),
    "header": (
        {"type": "apiKey", "in": "header", "name": "Authorization", "prefix": "Token token=", "value": CANARY},
        ("value",),
    ),
    "query": ({"type": "apiKey", "in": "query", "name": "api_secret", "value": CANARY}, ("value",)),
}


async def put(http: httpx.AsyncClient, **fields: Any) -> httpx.Response:
    """PUT the endpoint."""
    await http.put("/app/one", json={"name": "One"})
    return await http.put(PATH, json={"url": URL, **fields})


async def kept(stores: Stores) -> EndpointAuth | None:
    """The credentials as they are stored."""
    app = await stores.applications.get("one")
    return (await stores.endpoints.get(app.id, "crm")).auth


@pytest.mark.parametrize(("auth", "hidden"), KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_credentials_are_put_back(
    http: httpx.AsyncClient, stores: Stores, auth: dict[str, Any], hidden: tuple[str, ...], method: str
) -> None:
    """The answer has everything but the secrets, and what was answered can be sent back."""
    made = await put(http, auth=auth)
    assert made.status_code == 201, made.text
    assert CANARY not in made.text
    assert "PRIVATE" not in made.text
    shown, before = made.json()["auth"], await kept(stores)
    assert not set(hidden) & set(shown)
    assert {name: shown[name] for name in auth if name not in hidden} == {
        name: value for name, value in auth.items() if name not in hidden
    }
    again = await http.request(method, PATH, json=(await http.get(PATH)).json())
    assert (again.status_code, again.json()["auth"]) == (200, shown), again.text
    assert await kept(stores) == before
    moved = await http.request(method, PATH, json={"url": "https://other.example.com/", "auth": shown})
    assert {fault["loc"][-1] for fault in moved.json()["detail"]} == set(hidden)
    for name in hidden:
        assert (await put(http, auth={"type": "bearer", "token": "t"})).status_code == 200
        missing = await http.patch(PATH, json={"auth": {n: value for n, value in auth.items() if n != name}})
        assert [fault["loc"][-1] for fault in missing.json()["detail"]] == [name]
        assert CANARY not in missing.text


async def test_the_same_refresh_token_again_replaces_nothing(http: httpx.AsyncClient, stores: Stores) -> None:
    """A client that always sends the whole endpoint must not bring back a token that was used up. Another one does."""
    await put(http, auth=REFRESH)
    app = await stores.applications.get("one")
    endpoint = await stores.endpoints.get(app.id, "crm")

    def rotated(auth: EndpointAuth | None) -> EndpointAuth:
        assert isinstance(auth, RefreshToken)
        return RefreshToken(**{n: getattr(auth, n) for n in auth.__struct_fields__} | {"refresh_token": "newest"})

    await stores.endpoints.rotate(endpoint.id, rotated)
    for same in (
        REFRESH,
        {n: v for n, v in REFRESH.items() if n != "refreshToken"},
        REFRESH | {"refreshToken": "newest"},
    ):
        assert (await put(http, auth=same)).status_code == 200
        auth = await kept(stores)
        assert isinstance(auth, RefreshToken)
        assert (auth.refresh_token, auth.given) == ("newest", CANARY + "1")
    await put(http, auth=REFRESH | {"refreshToken": "another"})
    auth = await kept(stores)
    assert isinstance(auth, RefreshToken)
    assert (auth.refresh_token, auth.given) == ("another", "another")


async def test_a_key_file_of_google_says_where_tokens_are(http: httpx.AsyncClient, stores: Stores) -> None:
    """Or the relay knows."""
    answer = await put(http, auth=GOOGLE | {"key": {n: v for n, v in KEY_FILE.items() if n != "token_uri"}})
    assert answer.json()["auth"]["tokenUrl"] == GOOGLE_TOKEN_URL
    auth = await kept(stores)
    assert isinstance(auth, ServiceAccount)
    assert (auth.client_email, auth.key_id) == ("relay@p.iam.test", "k1")


@pytest.mark.parametrize(
    ("auth", "places"),
    [
        (REFRESH | {"baseUrlField": "f"}, ["baseUrlSuffix"]),
        (REFRESH | {"baseUrlSuffix": "a.example"}, ["baseUrlField"]),
        (REFRESH | BASE | {"baseUrlSuffix": "com"}, ["baseUrlSuffix"]),
        (REFRESH | BASE | {"baseUrlSuffix": ".a.example"}, ["baseUrlSuffix"]),
        (REFRESH | {"scheme": "a b"}, ["scheme"]),
        (REFRESH | {"scheme": "a\r\nb"}, ["scheme"]),
        (REFRESH | {"tokenUrl": "https://169.254.169.254/"}, ["tokenUrl"]),
        (REFRESH | {"tokenUrl": ""}, ["tokenUrl"]),
        (JWT | {"privateKey": CANARY}, ["privateKey"]),
        (JWT | {"privateKey": EC}, ["privateKey"]),
        (JWT | {"algorithm": "HS256"}, ["algorithm"]),
        (JWT | {"algorithm": "ES256"}, ["privateKey"]),
        (JWT | {"claims": {"exp": 1}}, ["exp"]),
        (JWT | {"claims": {"a": {}}}, ["a"]),
        (GOOGLE | {"key": {"type": "authorized_user"}}, ["key"]),
        (GOOGLE | {"key": KEY_FILE | {"private_key": EC}}, ["private_key"]),
        (GOOGLE | {"key": KEY_FILE | {"private_key": 7}}, ["private_key"]),
        (GOOGLE | {"key": KEY_FILE | {"token_uri": "http://10.0.0.1/"}}, ["token_uri"]),
        (GOOGLE | {"scopes": []}, ["scopes"]),
        ({"type": "apiKey", "in": "cookie", "name": "a", "value": "b"}, ["in"]),
        ({"type": "apiKey", "in": "header", "name": "Host", "value": "b"}, ["name"]),
        ({"type": "apiKey", "in": "header", "name": "webhook-x", "value": "b"}, ["name"]),
        ({"type": "apiKey", "in": "header", "name": "a", "value": "b\r\nc"}, ["value"]),
        ({"type": "apiKey", "in": "header", "name": "a", "value": f"{CANARY} "}, ["value"]),
        ({"type": "basic", "username": "a\nb", "password": "c"}, ["username"]),
        ({"type": "basic", "username": "a", "password": f"{CANARY}\n"}, ["password"]),
        ({"type": "bearer", "token": f"{CANARY}\n"}, ["token"]),
        ({"type": "apiKey", "in": "query", "name": "a&b=c d", "value": "b"}, ["name"]),
    ],
)
async def test_wrong_credentials_are_refused(http: httpx.AsyncClient, auth: dict[str, Any], places: list[str]) -> None:
    """Each with its field, and without the secret."""
    answer = await put(http, auth=auth)
    assert answer.status_code == 422, answer.text
    assert [fault["loc"][-1] for fault in answer.json()["detail"]] == places
    assert CANARY not in answer.text
    assert "PRIVATE" not in answer.text


async def test_hidden_headers_do_not_follow_tokens_elsewhere(http: httpx.AsyncClient) -> None:
    """A base URL on other hosts than before is like another URL."""
    await put(http, auth=REFRESH, headers={"X-Api-Key": "k"})
    shown = {name: value for name, value in REFRESH.items() if name not in ("clientSecret", "refreshToken")}
    refused = await http.patch(PATH, json={"auth": shown | BASE})
    assert [fault["loc"][-1] for fault in refused.json()["detail"]] == ["headers", "clientSecret", "refreshToken"]
    given = {"headers": {"X-Api-Key": "k"}}
    assert (await http.patch(PATH, json={"auth": REFRESH | BASE} | given)).status_code == 200
    narrower = shown | BASE | {"baseUrlSuffix": "eu.my.crm.example"}
    assert (await http.patch(PATH, json={"auth": narrower})).status_code == 200
    assert (await http.patch(PATH, json={"auth": shown | BASE})).status_code == 422
