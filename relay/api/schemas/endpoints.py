"""Endpoints on the wire: Svix's fields under their new and old names, and the relay's own."""

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType

from relay.api.certificates import client_certificate
from relay.api.schemas.checks import Path, Policies
from relay.api.schemas.common import FilterIn, In, Metadata, Out, Own, Rate, ReadOnly, Uid, Url, moment
from relay.api.schemas.endpoint_fields import (
    MAX_ADDED,
    Channels,
    EventTypes,
    FieldPath,
    HeaderName,
    Headers,
    HeaderValue,
    Pem,
    Schedule,
    SigningKeyText,
    Text,
)
from relay.domain.headers import MAX_HEADERS
from relay.domain.matching import unfit_reason
from relay.domain.model import Application, BasicAuth, Bearer, Endpoint, OAuth2, Order
from relay.domain.signing import Version, version_of


class BasicAuthIn(In, frozen=True, kw_only=True, tag_field="type", tag="basic"):
    """A name and a password for the endpoint's server."""

    username: Annotated[str, Meta(max_length=256, pattern=r"^[^:]*\Z", extra={"form": "must not hold a colon"})]
    password: Annotated[str, Meta(max_length=4096)] | UnsetType = UNSET
    """Omit it to keep the password that the endpoint has."""


class BearerIn(In, frozen=True, kw_only=True, tag_field="type", tag="bearer"):
    """A fixed token for the endpoint's server."""

    token: (
        Annotated[
            str,
            Meta(
                min_length=1,
                max_length=8192,
                pattern=r"^[A-Za-z0-9._~+/=-]+\Z",
                extra={"form": "must be letters, digits and ._~+/=- only (RFC 6750)"},
            ),
        ]
        | UnsetType
    ) = UNSET
    """Omit it to keep the token that the endpoint has."""


class OAuth2In(In, frozen=True, kw_only=True, tag_field="type", tag="oauth2"):
    """Client credentials (RFC 6749 4.4): the relay gets a token and renews it."""

    token_url: Url
    client_id: Text
    client_secret: Text | UnsetType = UNSET
    """Omit it to keep the secret that the endpoint has, unless `tokenUrl` changes to another scheme, host or port."""
    scope: Text | None = None
    token_auth: Literal["basic", "body"] | None = None
    """How the credentials go to `tokenUrl`: `basic` in a header, `body` as form fields. Null: the relay tries both."""


class ClientCertificateIn(In, frozen=True, kw_only=True):
    """What the relay shows to the endpoint's server (mTLS), in PEM."""

    certificate: Pem
    private_key: Pem | UnsetType = UNSET
    """Omit it to keep the private key that the endpoint has."""

    @staticmethod
    def check(value: dict[str, Any], path: Path, _: Policies) -> None:
        """Raise Invalid unless the two belong together."""
        if "privateKey" in value:
            client_certificate(value["certificate"], value["privateKey"], path=path)


class _Changes(In, frozen=True, kw_only=True):
    old_names = {"rateLimit": "throttleRate", "filterTypes": "eventTypes"}  # noqa: RUF012 - a class variable

    description: Annotated[str, Meta(max_length=4096)] | UnsetType | None = UNSET
    uid: Uid | UnsetType | None = UNSET
    throttle_rate: Rate | UnsetType | None = UNSET
    rate_limit: Rate | UnsetType | None = UNSET
    """The old name of `throttleRate`."""
    disabled: bool | UnsetType | None = UNSET
    event_types: EventTypes | UnsetType | None = UNSET
    """The types it gets; null, or left out: every type. An empty list is refused."""
    filter_types: EventTypes | UnsetType | None = UNSET
    """The old name of `eventTypes`."""
    channels: Channels | UnsetType | None = UNSET
    """Kept and answered, without an effect: the relay's messages have none."""
    metadata: Metadata | UnsetType | None = UNSET
    version: int | UnsetType | None = UNSET
    """Taken from older clients, without an effect."""
    filter: FilterIn | UnsetType | None = UNSET
    """Which rows it gets, within its application's filter."""
    max_in_flight: Annotated[int, Meta(ge=1, le=1024)] | UnsetType = UNSET
    """Callbacks that may be on the way at once, in each worker."""
    order: Order | UnsetType = UNSET
    order_key: FieldPath | UnsetType | None = UNSET
    """What `keyed` keeps in order: events whose rows have one value in this field, such as `vid`, a visitor's."""
    retry_schedule: Schedule | UnsetType | None = UNSET
    """Seconds before each further try; null: the relay's own schedule; none: no further try."""
    paused: bool | UnsetType = UNSET
    signatures: Annotated[list[Version], Meta(min_length=1, max_length=2)] | UnsetType = UNSET
    """How callbacks are signed: `v1` (HMAC-SHA256, as at first), `v1a` (Ed25519), or both, with one key for each."""
    auth: BasicAuthIn | BearerIn | OAuth2In | UnsetType | None = UNSET
    client_certificate: ClientCertificateIn | UnsetType | None = UNSET
    headers: Headers | UnsetType | None = UNSET
    """Headers that callbacks carry beside the relay's own: all of them; left out: those that there are."""


class EndpointIn(_Changes, frozen=True, kw_only=True):
    """A new endpoint."""

    url: Url
    secret: SigningKeyText | UnsetType | None = UNSET
    """`whsec_…` or `whsk_…`, or the base64 of 24 to 64 bytes; left out: the relay makes one for each signature."""


class _Shown(_Changes, frozen=True, kw_only=True):
    id: Own | UnsetType = UNSET
    disabled_reason: ReadOnly | UnsetType | None = UNSET
    unfit_reason: ReadOnly | UnsetType | None = UNSET
    created_at: ReadOnly | UnsetType = UNSET
    updated_at: ReadOnly | UnsetType = UNSET


class EndpointUpsertIn(_Shown, frozen=True, kw_only=True):
    """An endpoint that is created or replaced.

    When it replaces one, Svix's fields that you omit get their defaults. The relay's own fields stay, because a client
    that does not know them must not open an endpoint to other rows.
    """

    url: Url


class EndpointPatch(_Shown, frozen=True, kw_only=True):
    """Changes of an endpoint. Fields that you omit stay."""

    url: Url | UnsetType = UNSET


class BasicAuthOut(Out, frozen=True, kw_only=True, tag_field="type", tag="basic"):
    """The endpoint has a name and a password."""

    username: str


class BearerOut(Out, frozen=True, kw_only=True, tag_field="type", tag="bearer"):
    """The endpoint has a token."""


class OAuth2Out(Out, frozen=True, kw_only=True, tag_field="type", tag="oauth2"):
    """The endpoint has client credentials."""

    token_url: str
    client_id: str
    scope: str | None
    token_auth: Literal["basic", "body"] | None


class ClientCertificateOut(Out, frozen=True, kw_only=True):
    """The certificate, without its key."""

    certificate: str


class EndpointOut(Out, frozen=True, kw_only=True):
    """An endpoint, without its secrets."""

    id: str
    url: str
    description: str
    uid: str | None
    disabled: bool
    disabled_reason: str | None
    unfit_reason: str | None
    """Why nothing can be sent to it until it, or its application, is changed; null: it is fit. Events are kept."""
    paused: bool
    event_types: list[str] | None
    filter_types: list[str] | None
    """The old name of `eventTypes`."""
    channels: list[str] | None
    throttle_rate: int | None
    rate_limit: int | None
    """The old name of `throttleRate`."""
    metadata: dict[str, str]
    filter: dict[str, Any] | None
    max_in_flight: int
    order: Order
    order_key: str | None
    retry_schedule: list[float] | None
    signatures: list[Version]
    auth: BasicAuthOut | BearerOut | OAuth2Out | None
    client_certificate: ClientCertificateOut | None
    version: int = 1
    """For older clients."""
    created_at: datetime
    updated_at: datetime


class SecretOut(Out, frozen=True, kw_only=True):
    """What callbacks are verified with."""

    key: str
    """`whsec_…`; or `whpk_…` where they are signed with Ed25519 alone."""
    public_key: str | None
    """`whpk_…` where they are signed with Ed25519."""


class SecretRotateIn(In, frozen=True, kw_only=True):
    """A new key, and how long the old ones still sign beside it."""

    key: SigningKeyText | UnsetType | None = UNSET
    """It replaces that of its kind; left out: the relay makes new ones of each kind that the endpoint has."""
    grace_period_seconds: Annotated[int, Meta(ge=0, le=604_800)] | UnsetType | None = UNSET


class HeadersIn(In, frozen=True, kw_only=True):
    """All headers that callbacks carry in addition to the relay's own."""

    headers: Headers
    sensitive: Annotated[list[HeaderName], Meta(max_length=MAX_HEADERS)] | UnsetType = UNSET
    """Names of headers that keep their hidden values, as GET lists them. Hidden headers in neither list are removed."""


class HeadersPatchIn(In, frozen=True, kw_only=True):
    """Headers to set (null takes one away) and to take away."""

    headers: Annotated[dict[HeaderName, HeaderValue | None], MAX_ADDED] | UnsetType = UNSET
    delete_headers: Annotated[list[HeaderName], Meta(max_length=100)] | UnsetType | None = UNSET


class HeadersOut(Out, frozen=True, kw_only=True):
    """Headers; of those that look like secrets the names only."""

    headers: dict[str, str]
    sensitive: list[str]


def show_endpoint(endpoint: Endpoint, application: Application) -> EndpointOut:
    """An endpoint as it is answered."""
    types = None if endpoint.event_types is None else list(endpoint.event_types)
    certificate = endpoint.client_certificate
    return EndpointOut(
        id=endpoint.id,
        url=endpoint.url,
        description=endpoint.description,
        uid=endpoint.uid,
        disabled=endpoint.disabled,
        disabled_reason=endpoint.disabled_reason,
        unfit_reason=unfit_reason(application, endpoint),
        paused=endpoint.paused,
        event_types=types,
        filter_types=types,
        channels=None if endpoint.channels is None else list(endpoint.channels),
        throttle_rate=endpoint.rate_limit,
        rate_limit=endpoint.rate_limit,
        metadata=endpoint.metadata,
        filter=endpoint.filter,
        max_in_flight=endpoint.max_in_flight,
        order=endpoint.order,
        order_key=endpoint.order_key,
        retry_schedule=None if endpoint.retry_schedule is None else list(endpoint.retry_schedule),
        signatures=signatures_of(endpoint),
        auth=_show_auth(endpoint.auth),
        client_certificate=ClientCertificateOut(certificate=certificate.certificate) if certificate else None,
        created_at=moment(endpoint.created_at_ms),
        updated_at=moment(endpoint.updated_at_ms),
    )


def signatures_of(endpoint: Endpoint) -> list[Version]:
    """How an endpoint's callbacks are signed: it has one current key for each of these."""
    return [version_of(key.key) for key in endpoint.keys if key.expires_at_ms is None]


def _show_auth(auth: BasicAuth | Bearer | OAuth2 | None) -> BasicAuthOut | BearerOut | OAuth2Out | None:
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
