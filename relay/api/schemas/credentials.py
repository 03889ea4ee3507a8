"""What an endpoint's server asks of the relay in addition to signatures: what requests say."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType, field

from relay.api.certificates import client_certificate, signing_key
from relay.api.schemas.checks import Path, Policies, check_new_header, check_service_account, check_url
from relay.api.schemas.common import In, ReadOnly
from relay.api.schemas.endpoint_fields import KEY_FORM, NO_CONTROLS, HeaderName, Pem, Text
from relay.domain.credentials import Algorithm, TokenAuth
from relay.domain.headers import HEADER_NAME
from relay.errors import Fault, Invalid

Token = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=8192,
        pattern=r"^[A-Za-z0-9._~+/=-]+\Z",
        extra={"form": "must be letters, digits and ._~+/=- only (RFC 6750)"},
    ),
]
TokenUrl = Annotated[str, Meta(min_length=1, max_length=2048, extra={"check": check_url})]
Scheme = Annotated[
    str,
    Meta(max_length=64, pattern=HEADER_NAME, extra={"form": "must be letters, digits and !#$%&'*+.^_`|~-"}),
]
BaseUrlField = Annotated[
    str,
    Meta(
        max_length=64, pattern=r"^[A-Za-z0-9_-]+\Z", extra={"form": "must be letters, digits, underscores and dashes"}
    ),
]
BaseUrlSuffix = Annotated[
    str,
    Meta(
        max_length=253,
        pattern=r"^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+\Z",
        extra={"form": "must be a host name of two labels or more, such as `my.salesforce.com`"},
    ),
]
KeyText = Annotated[str, Meta(min_length=1, max_length=4096, **KEY_FORM)]
KeyPrefix = Annotated[str, Meta(max_length=64, pattern=r"^[\x20-\x7e]*\Z", extra={"form": "must be printable ASCII"})]
Claims = Annotated[
    dict[Annotated[str, Meta(min_length=1, max_length=64)], Annotated[str, Meta(max_length=1024)] | int | bool],
    Meta(max_length=20),
]
Scopes = Annotated[
    list[
        Annotated[
            str,
            Meta(
                min_length=1, max_length=256, pattern=r"^[\x21-\x7e]+\Z", extra={"form": "must be ASCII without spaces"}
            ),
        ]
    ],
    Meta(min_length=1, max_length=20),
]
OWN_CLAIMS = ("iss", "sub", "aud", "iat", "exp", "jti")


class BasicAuthIn(In, frozen=True, kw_only=True, tag_field="type", tag="basic"):
    """Each callback carries a user name and a password (`Authorization: Basic …`)."""

    username: Annotated[
        str,
        Meta(
            max_length=256,
            pattern=r"^[^:\x00-\x1f\x7f-\x9f]*\Z",
            extra={"form": "must not contain a colon or control characters"},
        ),
    ]
    """The user name."""
    password: Annotated[str, Meta(max_length=4096, **NO_CONTROLS)] | UnsetType = UNSET
    """The password. Omit it to keep the stored one."""


class BearerIn(In, frozen=True, kw_only=True, tag_field="type", tag="bearer"):
    """Each callback carries a fixed token (`Authorization: Bearer …`)."""

    token: Token | UnsetType = UNSET
    """The token. Omit it to keep the stored one."""


class KeyAuthIn(In, frozen=True, kw_only=True, tag_field="type", tag="apiKey"):
    """Each request carries a fixed key, in a header or in the query of its URL. The API shows no key again."""

    in_: Literal["header", "query"]
    """Where the key stands."""
    name: HeaderName
    """The name of the header or of the parameter of the query."""
    prefix: KeyPrefix = ""
    """The text before the key, with its space if it has one, such as `Token token=`."""
    value: KeyText | UnsetType = UNSET
    """The key. Omit it to keep the stored one."""

    @staticmethod
    def check(value: dict[str, Any], path: Path, _: Policies) -> None:
        """Raise Invalid for a header that an endpoint cannot have."""
        if value["in"] == "header":
            check_new_header(value["name"], value.get("prefix", "") + (value.get("value") or "x"), path)


class GrantedIn(In, frozen=True, kw_only=True):
    """What all credentials have in common for which an authorization server gives access tokens."""

    scheme: Scheme = "Bearer"
    """The word before the token in `Authorization`, such as `Zoho-oauthtoken`."""
    base_url_field: BaseUrlField | None = None
    """The field of the authorization server's answer that has the base URL for requests, such as `instance_url`.
    Requests keep the path and the query of `url`, and go to the scheme, host and port of this base URL. null: requests
    go to `url`."""
    base_url_suffix: BaseUrlSuffix | None = None
    """Required with `baseUrlField`: the host of the base URL, or the end of it, such as `my.salesforce.com`. The relay
    sends nothing if the answer names another host."""

    @staticmethod
    def check(value: dict[str, Any], path: Path, _: Policies) -> None:
        """Raise Invalid unless there are both of a base URL's fields, or none."""
        check_base_url(value, path)


class OAuth2In(GrantedIn, frozen=True, kw_only=True, tag_field="type", tag="oauth2"):
    """Each callback carries a token that the relay gets with client credentials (RFC 6749 4.4) and renews."""

    token_url: TokenUrl
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


class RefreshTokenIn(GrantedIn, frozen=True, kw_only=True, tag_field="type", tag="oauth2RefreshToken"):
    """Each callback carries a token that the relay gets with a refresh token (RFC 6749 6) and renews. If the
    authorization server replaces the refresh token, the relay stores the new one."""

    token_url: TokenUrl
    """The URL where the relay requests tokens."""
    client_id: Text
    """The client id."""
    client_secret: Text | UnsetType = UNSET
    """The client secret. Omit it to keep the stored one, unless `tokenUrl` changes to another scheme, host or port."""
    refresh_token: Annotated[str, Meta(min_length=1, max_length=8192)] | UnsetType = UNSET
    """The refresh token. Omit it, or send the same one again, to keep the newest one that the authorization server
    gave. Another one replaces it."""
    scope: Text | None = None
    """The scope to request. null: none."""
    token_auth: TokenAuth | None = None
    """How the relay sends the client credentials to `tokenUrl`: `basic` in a header, `body` as form fields. null: the
    relay tries both."""


class JwtBearerIn(GrantedIn, frozen=True, kw_only=True, tag_field="type", tag="oauth2JwtBearer"):
    """Each callback carries a token that the relay gets with a JWT that it signs (RFC 7523)."""

    token_url: TokenUrl
    """The URL where the relay requests tokens."""
    issuer: Text
    """The claim `iss`, such as the client id."""
    subject: Text | None = None
    """The claim `sub`, such as the user for whom the relay acts. null: none."""
    audience: Text
    """The claim `aud`, such as the authorization server's URL."""
    private_key: Pem | UnsetType = UNSET
    """The private key in PEM, not encrypted: RSA for `RS256`, P-256 for `ES256`. Omit it to keep the stored one, unless
    `tokenUrl` changes to another scheme, host or port."""
    key_id: Text | None = None
    """The `kid` of the JWT's header. null: none."""
    algorithm: Algorithm = "RS256"
    """The algorithm of the signature."""
    scope: Text | None = None
    """The scope to request. null: none."""
    claims: Claims = field(default_factory=dict)
    """Further claims of the JWT."""

    @staticmethod
    def check(value: dict[str, Any], path: Path, _: Policies) -> None:
        """Raise Invalid unless the key fits the algorithm, and the claims are not the relay's own."""
        check_base_url(value, path)
        if "privateKey" in value:
            signing_key(value["privateKey"], value.get("algorithm", "RS256"), path=(*path, "privateKey"))
        for name in value.get("claims", ()):
            if name in OWN_CLAIMS:
                raise Invalid(Fault((*path, "claims", name), "cannot be set: the relay sets this claim itself"))


class ServiceAccountIn(GrantedIn, frozen=True, kw_only=True, tag_field="type", tag="googleServiceAccount"):
    """Each callback carries a token that the relay gets with the key of a Google service account."""

    key: Annotated[dict[str, Any], Meta(max_length=32, extra={"check": check_service_account})] | UnsetType = UNSET
    """The content of the JSON key file. Omit it to keep the stored one."""
    scopes: Scopes
    """The scopes to request, such as `https://www.googleapis.com/auth/datamanager`."""
    subject: Text | None = None
    """The user for whom the account acts, with domain-wide delegation. null: the account acts for itself."""
    client_email: ReadOnly | UnsetType = UNSET
    key_id: ReadOnly | UnsetType | None = UNSET
    """Read-only: a request can send it back as it was, and the relay ignores it"""
    token_url: ReadOnly | UnsetType = UNSET


AuthIn = BasicAuthIn | BearerIn | KeyAuthIn | OAuth2In | RefreshTokenIn | JwtBearerIn | ServiceAccountIn


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


def check_base_url(value: dict[str, Any], path: Path) -> None:
    """Raise Invalid unless there are both of a base URL's fields, or none."""
    has_field, has_suffix = value.get("baseUrlField") is not None, value.get("baseUrlSuffix") is not None
    if has_field and not has_suffix:
        why = "is required with `baseUrlField`: name the host that requests may go to, or the end of it"
        raise Invalid(Fault((*path, "baseUrlSuffix"), why, "missing"))
    if has_suffix and not has_field:
        raise Invalid(Fault((*path, "baseUrlField"), "is required with `baseUrlSuffix`", "missing"))
