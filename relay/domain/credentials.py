"""What an endpoint's server asks of the relay in addition to signatures, as frozen structs. None shows its secrets."""

from typing import Literal

import msgspec

TokenAuth = Literal["basic", "body"]
Algorithm = Literal["RS256", "ES256"]
GOOGLE_TOKEN_URL = "https://oauth2.googleapis.com/token"  # noqa: S105 - a URL


class BasicAuth(msgspec.Struct, frozen=True, tag_field="type", tag="basic"):
    """A user name and a password: of an endpoint, or of a portal user, of v2 (hazard H36)."""

    username: str
    password: str

    def __repr__(self) -> str:
        return "BasicAuth(…)"


class Bearer(msgspec.Struct, frozen=True, tag_field="type", tag="bearer"):
    """A fixed token in `Authorization: Bearer …`."""

    token: str

    def __repr__(self) -> str:
        return "Bearer(…)"


class KeyAuth(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="apiKey", rename="camel"):
    """A fixed text in a header, behind a prefix, or in the query."""

    in_: Literal["header", "query"]
    name: str
    value: str
    prefix: str = ""

    def __repr__(self) -> str:
        return "KeyAuth(…)"

    @property
    def text(self) -> str:
        """What is sent."""
        return self.prefix + self.value


class Tokens(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="tokens", rename="camel", omit_defaults=True
):
    """Access tokens of an authorization server: what all ways to get them have in common."""

    token_url: str
    scheme: str = "Bearer"
    """The word before the token in `authorization`."""
    base_url_field: str | None = None
    """The member of the answer that names the server that takes the token, such as `instance_url`."""
    base_url_suffix: str | None = None
    """The host that this server must have, or the end of it. There is one if there is a `base_url_field`."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"


class OAuth2(Tokens, frozen=True, kw_only=True, tag="oauth2"):
    """Client credentials (RFC 6749 4.4)."""

    client_id: str
    client_secret: str
    scope: str | None = None
    token_auth: TokenAuth | None = None
    """How the client's credentials go to the token URL (RFC 6749 2.3.1); None: Basic first, then the body."""


class RefreshToken(Tokens, frozen=True, kw_only=True, tag="oauth2RefreshToken"):
    """A refresh token (RFC 6749 6) that a person granted. Servers can replace it each time that it is used."""

    client_id: str
    client_secret: str
    refresh_token: str
    """The newest one."""
    given: str
    """The one that the endpoint's owner gave: the same one again replaces nothing."""
    scope: str | None = None
    token_auth: TokenAuth | None = None


class JwtBearer(Tokens, frozen=True, kw_only=True, tag="oauth2JwtBearer"):
    """An assertion that the relay signs (RFC 7523 2.1)."""

    issuer: str
    audience: str
    private_key: str
    """PEM."""
    subject: str | None = None
    key_id: str | None = None
    algorithm: Algorithm = "RS256"
    scope: str | None = None
    claims: dict[str, str | int | bool] = {}
    """Further claims of the assertion."""


class ServiceAccount(Tokens, frozen=True, kw_only=True, tag="googleServiceAccount"):
    """What a key file of a Google service account says, and what it is used for."""

    client_email: str
    private_key: str
    scopes: tuple[str, ...]
    key_id: str | None = None
    subject: str | None = None
    """A user for whom the account acts."""


Granted = OAuth2 | RefreshToken | JwtBearer | ServiceAccount
"""Credentials for which an authorization server gives access tokens."""
EndpointAuth = BasicAuth | Bearer | KeyAuth | OAuth2 | RefreshToken | JwtBearer | ServiceAccount


class SecretUrl(msgspec.Struct, frozen=True):
    """A URL that is a secret itself, such as that of an incoming webhook of Slack."""

    text: str

    def __repr__(self) -> str:
        return "SecretUrl(…)"


def secrets_of(auth: EndpointAuth | None) -> list[str]:
    """The texts of credentials that nobody may see."""
    match auth:
        case BasicAuth(username, password):
            return [password, f"{username}:{password}"]
        case Bearer(token):
            return [token]
        case KeyAuth(value=value):
            return [value]
        case OAuth2(client_secret=secret):
            return [secret]
        case RefreshToken(client_secret=secret, refresh_token=token, given=given):
            return [secret, token, given]
        case JwtBearer(private_key=key) | ServiceAccount(private_key=key):
            return [key]
    return []
