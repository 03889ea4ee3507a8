"""Endpoints on the wire: Svix's fields under their new and old names, and the relay's own."""

from datetime import datetime
from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType

from relay.api.schemas.common import FilterIn, Metadata, Own, Rate, ReadOnly, Uid, Url, moment
from relay.api.schemas.credentials import AuthIn, ClientCertificateIn
from relay.api.schemas.endpoint_fields import (
    Channels,
    EventTypes,
    FieldPath,
    Headers,
    Include,
    Schedule,
    SigningKeyText,
)
from relay.api.schemas.pacing import PaceIn, PaceOut, pace_of
from relay.api.schemas.privacy import PrivacyIn, PrivacyRuleOut, show_rules
from relay.api.schemas.recipes import expanded
from relay.api.schemas.requests import (
    BatchIn,
    BatchOut,
    CaptureIn,
    CaptureOut,
    Expression,
    LookupIn,
    LookupOut,
    UrlParameters,
    Variables,
    VerdictRuleOut,
    Verdicts,
    shown_shape,
)
from relay.api.schemas.shown_credentials import AuthOut, ClientCertificateOut, show_auth
from relay.domain.matching import unfit_reason
from relay.domain.model import Application, Endpoint, EndpointType, Included, Order
from relay.domain.requests.model import Method
from relay.domain.signing import Version, version_of

URL_IN_WORDS = (
    "The URL that receives callbacks: https, on a public address, unless the operator allows others. Required, but for "
    "a poller, which has none."
)


class _Changes(PaceIn, frozen=True, kw_only=True):
    old_names = {"rateLimit": "throttleRate", "filterTypes": "eventTypes"}  # noqa: RUF012 - a class variable

    url: Annotated[Url, Meta(description=URL_IN_WORDS)] | UnsetType = UNSET
    url_is_secret: bool | UnsetType = UNSET
    """Whether `url` is a secret itself, such as that of an incoming webhook. The API, logs and traces show only its
    scheme, host and port. Omit `url`, or send it back as it was shown, to keep it. Default: false."""
    type: EndpointType | UnsetType = UNSET
    """`webhook` (the default): the relay calls `url`. `poller`: the relay calls nothing, and the subscriber reads
    messages with `GET /api/v1/app/{app_id}/poller/{endpoint_id}`. It cannot change."""
    description: Annotated[str, Meta(max_length=4096)] | UnsetType | None = UNSET
    """A description for your own use."""
    uid: Uid | UnsetType | None = UNSET
    """Your own name for the endpoint. null: none."""
    throttle_rate: Rate | UnsetType | None = UNSET
    """The maximum number of callbacks per second, over all workers. null: no limit."""
    rate_limit: Rate | UnsetType | None = UNSET
    """The old name of `throttleRate`."""
    disabled: bool | UnsetType | None = UNSET
    """Whether the endpoint is disabled. The relay keeps its events and sends them when it is enabled."""
    event_types: EventTypes | UnsetType | None = UNSET
    """The event types to send. Omit the field or set it to null to subscribe to every type. An empty list is
    refused."""
    filter_types: EventTypes | UnsetType | None = UNSET
    """The old name of `eventTypes`."""
    channels: Channels | UnsetType | None = UNSET
    """Of posted messages, the endpoint receives only those with one of these channels. No effect on rows. null: all."""
    metadata: Metadata | UnsetType | None = UNSET
    """Keys and values for your own use."""
    version: int | UnsetType | None = UNSET
    """Ignored. Older clients send it."""
    filter: FilterIn | UnsetType | None = UNSET
    """The rows whose events the endpoint receives, in addition to the filter of its application. null: all rows."""
    privacy: PrivacyIn | UnsetType | None = UNSET
    """What the endpoint does not get as it is, in addition to the rules of its application, which apply first.
    null: no rules of its own."""
    include: Include | UnsetType | None = UNSET
    """Links that events of calls carry in `data`, without an API key: `recordingUrl` downloads the recording,
    `visitorTraceUrl` gets the touch points of the visitor. null: none, which is the default."""
    method: Method | UnsetType = UNSET
    """The method of callbacks. Default: `POST`."""
    url_parameters: UrlParameters | UnsetType | None = UNSET
    """JSONata expressions for the placeholders in the path and the query of `url`, by their names: `{name}`. `{key}`,
    `{lookup}` and `{captured}` need no expression."""
    transformation: Expression | UnsetType | None = UNSET
    """A JSONata expression over the event. Its result is the JSON body of the callback. If it is null, the event is not
    sent, and the delivery is canceled. null: the relay sends events as they are."""
    transformation_enabled: bool | UnsetType = UNSET
    """Whether `transformation` is applied. Default: true."""
    variables: Variables | UnsetType | None = UNSET
    """Texts that the expressions of the endpoint read as `$variables`."""
    lookup: LookupIn | UnsetType | None = UNSET
    """A request that the relay makes before the callback. null: none."""
    capture: CaptureIn | UnsetType | None = UNSET
    """What the relay keeps of a successful answer, for the later events of the same row. null: nothing."""
    verdicts: Verdicts | UnsetType | None = UNSET
    """What answers mean. The first rule that fits an answer decides; the relay's own rules decide if none fits. null:
    no rules."""
    batch: BatchIn | UnsetType | None = UNSET
    """Sends several events in one request. null: each event is sent alone."""
    max_in_flight: Annotated[int, Meta(ge=1, le=1024)] | UnsetType = UNSET
    """The maximum number of concurrent callbacks in each worker. Default: 64."""
    order: Order | UnsetType = UNSET
    """`unordered` (the default); `fifo`: one callback at a time; `keyed`: one at a time for each value of `orderKey`.
    A failing callback holds up the following ones."""
    order_key: FieldPath | UnsetType | None = UNSET
    """Required for `keyed`: the field of the row to order by, such as `vid` (a visitor)."""
    retry_schedule: Schedule | UnsetType | None = UNSET
    """Seconds before each retry. An empty list: no retries. null: the relay's own schedule, over three days."""
    paused: bool | UnsetType = UNSET
    """Whether the endpoint is paused. The relay keeps its events and sends them when it is resumed."""
    signatures: Annotated[list[Version], Meta(min_length=1, max_length=2)] | UnsetType = UNSET
    """How callbacks are signed: `v1` (HMAC-SHA256, the default), `v1a` (Ed25519), or both, with one key for each."""
    auth: AuthIn | UnsetType | None = UNSET
    """The credentials that callbacks carry. null: none. You must send them again if `url` changes to another scheme,
    host or port."""
    client_certificate: ClientCertificateIn | UnsetType | None = UNSET
    """The client certificate for mTLS. null: none. You must send it again if `url` changes to another scheme, host or
    port."""
    headers: Headers | UnsetType | None = UNSET
    """All headers that callbacks carry in addition to the relay's own. Omit the field to keep the stored headers."""


class EndpointIn(_Changes, frozen=True, kw_only=True):
    """A new endpoint."""

    secret: SigningKeyText | UnsetType | None = UNSET
    """Your own signing key: `whsec_…`, `whsk_…`, or the base64 of 24 to 64 bytes. Omit it to let the relay create one
    for each kind of signature."""

    recipe: Annotated[str, Meta(max_length=64)] | UnsetType = UNSET
    """The name of a recipe, whose fields the endpoint gets: see `GET /api/v1/recipe`. Fields that you send replace
    those of the recipe."""
    parameters: Annotated[dict[str, Annotated[str, Meta(max_length=8192)]], Meta(max_length=32)] | UnsetType = UNSET
    """The values of the recipe's parameters, by their names."""

    expanded = staticmethod(expanded)


class _Shown(_Changes, frozen=True, kw_only=True):
    id: Own | UnsetType = UNSET
    disabled_reason: ReadOnly | UnsetType | None = UNSET
    """Read-only: a request can send it back as it was, and the relay ignores it"""
    unfit_reason: ReadOnly | UnsetType | None = UNSET
    """Read-only: a request can send it back as it was, and the relay ignores it"""
    created_at: ReadOnly | UnsetType = UNSET
    updated_at: ReadOnly | UnsetType = UNSET


class EndpointUpsertIn(_Shown, frozen=True, kw_only=True):
    """An endpoint to create or to replace.

    When it replaces an endpoint, Svix's fields that you omit get their defaults. The relay's own fields stay, because a
    client that does not know them must not open an endpoint to other rows.
    """


class EndpointPatch(_Shown, frozen=True, kw_only=True):
    """Changes of an endpoint. Fields that you omit stay."""


class EndpointOut(PaceOut, frozen=True, kw_only=True):
    """An endpoint, without its secrets."""

    id: str
    """The id that the relay gave the endpoint."""
    type: EndpointType
    """`webhook`: the relay calls `url`. `poller`: the subscriber reads messages through the API."""
    url: str
    """The URL that receives callbacks. Empty for a poller. `••••` in the place of its path if it is a secret."""
    url_is_secret: bool
    """Whether the URL is a secret."""
    description: str
    """A description for your own use."""
    uid: str | None
    """Your own name for the endpoint."""
    disabled: bool
    """Whether the endpoint is disabled, by you or by the relay."""
    disabled_reason: str | None
    """Why the endpoint is disabled."""
    unfit_reason: str | None
    """Why the relay cannot send: this release refuses the filter of the endpoint or of its application, or the
    application has no budget of that name. The relay keeps the events until you correct it. null: it can send."""
    paused: bool
    """Whether the endpoint is paused."""
    event_types: list[str] | None
    """The event types to send. null: every type."""
    filter_types: list[str] | None
    """The old name of `eventTypes`."""
    channels: list[str] | None
    """Of posted messages, the endpoint receives only those with one of these channels. null: all."""
    throttle_rate: int | None
    """The maximum number of callbacks per second, over all workers. null: no limit."""
    rate_limit: int | None
    """The old name of `throttleRate`."""
    metadata: dict[str, str]
    """Keys and values for your own use."""
    filter: dict[str, Any] | None
    """The rows whose events the endpoint receives, in addition to the filter of its application. null: all rows."""
    privacy: list[PrivacyRuleOut]
    """What the endpoint does not get as it is, in addition to the rules of its application."""
    include: list[Included]
    """Links that events of calls carry."""
    method: Method
    """The method of callbacks."""
    url_parameters: dict[str, str]
    """Expressions for the placeholders in `url`."""
    transformation: str | None
    """An expression over the event. Its result is the JSON body of the callback. null: the relay sends events as they
    are."""
    transformation_enabled: bool
    """Whether `transformation` is applied."""
    variables: dict[str, str]
    """Texts that the expressions of the endpoint read as `$variables`."""
    lookup: LookupOut | None
    """A request that the relay makes before the callback."""
    capture: CaptureOut | None
    """What the relay keeps of a successful answer, for the later events of the same row."""
    verdicts: list[VerdictRuleOut]
    """What answers mean."""
    batch: BatchOut | None
    """Several events in one request. null: each event is sent alone."""
    max_in_flight: int
    """The maximum number of concurrent callbacks in each worker."""
    order: Order
    """The order of callbacks."""
    order_key: str | None
    """The field of the row to order by."""
    retry_schedule: list[float] | None
    """Seconds before each retry. null: the relay's own schedule."""
    signatures: list[Version]
    """How callbacks are signed."""
    auth: AuthOut | None
    """The kind of credentials that callbacks carry, without secrets."""
    client_certificate: ClientCertificateOut | None
    """The client certificate for mTLS, without its private key."""
    version: int = 1
    """For older clients."""
    created_at: datetime
    """When the endpoint was created."""
    updated_at: datetime
    """When the endpoint last changed."""


def show_endpoint(endpoint: Endpoint, application: Application) -> EndpointOut:
    """An endpoint as responses show it."""
    types = None if endpoint.event_types is None else list(endpoint.event_types)
    certificate = endpoint.client_certificate
    return EndpointOut(
        id=endpoint.id,
        type=endpoint.type,
        url=endpoint.url,
        url_is_secret=endpoint.secret_url is not None,
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
        privacy=show_rules(endpoint.privacy),
        include=list(endpoint.include),
        max_in_flight=endpoint.max_in_flight,
        order=endpoint.order,
        order_key=endpoint.order_key,
        retry_schedule=None if endpoint.retry_schedule is None else list(endpoint.retry_schedule),
        signatures=signatures_of(endpoint),
        auth=show_auth(endpoint.auth),
        client_certificate=ClientCertificateOut(certificate=certificate.certificate) if certificate else None,
        created_at=moment(endpoint.created_at_ms),
        updated_at=moment(endpoint.updated_at_ms),
        **shown_shape(endpoint.request),
        **pace_of(endpoint),
    )


def signatures_of(endpoint: Endpoint) -> list[Version]:
    """The kinds of signatures of an endpoint's callbacks. It has one current key of each kind."""
    return [version_of(key.key) for key in endpoint.keys if key.expires_at_ms is None]
