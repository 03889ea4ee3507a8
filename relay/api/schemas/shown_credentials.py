"""What an endpoint's server asks of the relay in addition to signatures: what responses show, without the secrets."""

from typing import Literal

from relay.api.schemas.common import Out
from relay.domain.credentials import (
    Algorithm,
    BasicAuth,
    Bearer,
    EndpointAuth,
    JwtBearer,
    KeyAuth,
    OAuth2,
    RefreshToken,
    ServiceAccount,
    TokenAuth,
    Tokens,
)


class BasicAuthOut(Out, frozen=True, kw_only=True, tag_field="type", tag="basic"):
    """The endpoint has a user name and a password."""

    username: str
    """The user name."""


class BearerOut(Out, frozen=True, kw_only=True, tag_field="type", tag="bearer"):
    """The endpoint has a token."""


class KeyAuthOut(Out, frozen=True, kw_only=True, tag_field="type", tag="apiKey"):
    """The endpoint has a key."""

    in_: Literal["header", "query"]
    """Where the key stands."""
    name: str
    """The name of the header or of the parameter of the query."""
    prefix: str
    """The text before the key."""


class GrantedOut(Out, frozen=True, kw_only=True):
    """What all credentials have in common for which an authorization server gives access tokens."""

    token_url: str
    """The URL where the relay requests tokens."""
    scheme: str
    """The word before the token in `Authorization`."""
    base_url_field: str | None
    """The field of the authorization server's answer that has the base URL for requests. null: requests go to `url`."""
    base_url_suffix: str | None
    """The host of the base URL, or the end of it."""


class OAuth2Out(GrantedOut, frozen=True, kw_only=True, tag_field="type", tag="oauth2"):
    """The endpoint has client credentials."""

    client_id: str
    """The client id."""
    scope: str | None
    """The scope that the relay requests."""
    token_auth: TokenAuth | None
    """How the relay sends the client credentials to `tokenUrl`. null: the relay tries both ways."""


class RefreshTokenOut(GrantedOut, frozen=True, kw_only=True, tag_field="type", tag="oauth2RefreshToken"):
    """The endpoint has a refresh token."""

    client_id: str
    """The client id."""
    scope: str | None
    """The scope that the relay requests."""
    token_auth: TokenAuth | None
    """How the relay sends the client credentials to `tokenUrl`. null: the relay tries both ways."""


class JwtBearerOut(GrantedOut, frozen=True, kw_only=True, tag_field="type", tag="oauth2JwtBearer"):
    """The endpoint has a private key that signs JWTs."""

    issuer: str
    """The claim `iss`."""
    subject: str | None
    """The claim `sub`."""
    audience: str
    """The claim `aud`."""
    key_id: str | None
    """The `kid` of the JWT's header."""
    algorithm: Algorithm
    """The algorithm of the signature."""
    scope: str | None
    """The scope that the relay requests."""
    claims: dict[str, str | int | bool]
    """Further claims of the JWT."""


class ServiceAccountOut(GrantedOut, frozen=True, kw_only=True, tag_field="type", tag="googleServiceAccount"):
    """The endpoint has the key of a Google service account."""

    client_email: str
    """The account."""
    key_id: str | None
    """The id of the key."""
    scopes: list[str]
    """The scopes that the relay requests."""
    subject: str | None
    """The user for whom the account acts."""


AuthOut = BasicAuthOut | BearerOut | KeyAuthOut | OAuth2Out | RefreshTokenOut | JwtBearerOut | ServiceAccountOut


class ClientCertificateOut(Out, frozen=True, kw_only=True):
    """A client certificate, without its private key."""

    certificate: str
    """The certificate in PEM."""


def show_auth(auth: EndpointAuth | None) -> AuthOut | None:
    """An endpoint's credentials as responses show them."""
    match auth:
        case BasicAuth():
            return BasicAuthOut(username=auth.username)
        case Bearer():
            return BearerOut()
        case KeyAuth():
            return KeyAuthOut(in_=auth.in_, name=auth.name, prefix=auth.prefix)
        case Tokens():
            return _show_granted(auth)
    return None


def _show_granted(auth: OAuth2 | RefreshToken | JwtBearer | ServiceAccount) -> AuthOut:
    shown = {name: getattr(auth, name) for name in ("token_url", "scheme", "base_url_field", "base_url_suffix")}
    match auth:
        case OAuth2():
            return OAuth2Out(client_id=auth.client_id, scope=auth.scope, token_auth=auth.token_auth, **shown)
        case RefreshToken():
            return RefreshTokenOut(client_id=auth.client_id, scope=auth.scope, token_auth=auth.token_auth, **shown)
        case JwtBearer():
            return JwtBearerOut(
                issuer=auth.issuer, subject=auth.subject, audience=auth.audience, key_id=auth.key_id,
                algorithm=auth.algorithm, scope=auth.scope, claims=auth.claims, **shown,
            )  # fmt: skip
        case ServiceAccount():
            return ServiceAccountOut(
                client_email=auth.client_email, key_id=auth.key_id, scopes=list(auth.scopes), subject=auth.subject,
                **shown,
            )  # fmt: skip
