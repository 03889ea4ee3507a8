"""What an endpoint's server asks of the relay in addition to signatures. Responses never contain the secrets."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType

from relay.api.certificates import client_certificate
from relay.api.schemas.checks import Path, Policies
from relay.api.schemas.common import In, Out, Url
from relay.api.schemas.endpoint_fields import Pem, Text
from relay.domain.credentials import BasicAuth, Bearer, OAuth2

Token = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=8192,
        pattern=r"^[A-Za-z0-9._~+/=-]+\Z",
        extra={"form": "must be letters, digits and ._~+/=- only (RFC 6750)"},
    ),
]
TokenAuth = Literal["basic", "body"]


class BasicAuthIn(In, frozen=True, kw_only=True, tag_field="type", tag="basic"):
    """Each callback carries a user name and a password (`Authorization: Basic …`)."""

    username: Annotated[str, Meta(max_length=256, pattern=r"^[^:]*\Z", extra={"form": "must not contain a colon"})]
    """The user name."""
    password: Annotated[str, Meta(max_length=4096)] | UnsetType = UNSET
    """The password. Omit it to keep the stored one."""


class BearerIn(In, frozen=True, kw_only=True, tag_field="type", tag="bearer"):
    """Each callback carries a fixed token (`Authorization: Bearer …`)."""

    token: Token | UnsetType = UNSET
    """The token. Omit it to keep the stored one."""


class OAuth2In(In, frozen=True, kw_only=True, tag_field="type", tag="oauth2"):
    """Each callback carries a token that the relay gets with client credentials (RFC 6749 4.4) and renews."""

    token_url: Url
    """The URL where the relay requests tokens."""
    client_id: Text
    """The client id."""
    client_secret: Text | UnsetType = UNSET
    """The client secret. Omit it to keep the stored one, unless `tokenUrl` changes to another scheme, host or port."""
    scope: Text | None = None
    """The scope to request. null: none."""
    token_auth: TokenAuth | None = None
    """How the relay sends the client credentials to `tokenUrl`: `basic` in a header, `body` as form fields. null: the
    relay tries both."""


class ClientCertificateIn(In, frozen=True, kw_only=True):
    """A client certificate (mTLS) for the endpoint's server, in PEM."""

    certificate: Pem
    """The certificate, followed by its chain if it has one."""
    private_key: Pem | UnsetType = UNSET
    """The private key, not encrypted. Omit it to keep the stored one."""

    @staticmethod
    def check(value: dict[str, Any], path: Path, _: Policies) -> None:
        """Raise Invalid unless the two belong together."""
        if "privateKey" in value:
            client_certificate(value["certificate"], value["privateKey"], path=path)


class BasicAuthOut(Out, frozen=True, kw_only=True, tag_field="type", tag="basic"):
    """The endpoint has a user name and a password."""

    username: str
    """The user name."""


class BearerOut(Out, frozen=True, kw_only=True, tag_field="type", tag="bearer"):
    """The endpoint has a token."""


class OAuth2Out(Out, frozen=True, kw_only=True, tag_field="type", tag="oauth2"):
    """The endpoint has client credentials."""

    token_url: str
    """The URL where the relay requests tokens."""
    client_id: str
    """The client id."""
    scope: str | None
    """The scope that the relay requests."""
    token_auth: TokenAuth | None
    """How the relay sends the client credentials to `tokenUrl`. null: the relay tries both ways."""


class ClientCertificateOut(Out, frozen=True, kw_only=True):
    """A client certificate, without its private key."""

    certificate: str
    """The certificate in PEM."""


def show_auth(auth: BasicAuth | Bearer | OAuth2 | None) -> BasicAuthOut | BearerOut | OAuth2Out | None:
    """An endpoint's credentials as responses show them."""
    match auth:
        case BasicAuth():
            return BasicAuthOut(username=auth.username)
        case Bearer():
            return BearerOut()
        case OAuth2():
            return OAuth2Out(
                token_url=auth.token_url, client_id=auth.client_id, scope=auth.scope, token_auth=auth.token_auth
            )
    return None
