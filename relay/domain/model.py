"""The things of the relay, as frozen structs. One word for each; docs/architecture.md has the list.

Times are integer milliseconds of UTC since 1970, lengths of time carry their unit in the name.
"""

from typing import Any, Literal, NewType

import msgspec

from relay.domain.credentials import BasicAuth, EndpointAuth, SecretUrl
from relay.domain.post import Post
from relay.domain.privacy import PrivacyRule
from relay.domain.rates import Budget, Rate
from relay.domain.requests.model import PLAIN, RequestShape

SourceUid = NewType("SourceUid", str)
ApplicationId = NewType("ApplicationId", str)
EndpointId = NewType("EndpointId", str)
MessageId = NewType("MessageId", str)

Order = Literal["unordered", "fifo", "keyed"]
EndpointType = Literal["webhook", "poller"]
"""`webhook`: the relay calls its URL. `poller`: it has no URL, and its subscriber reads messages through the API."""

ROUTES = (
    "all",
    "calls",
    "users",
    "goals",
    "transactions",
    "callsGoalsTransactions",
    "touchPoints",
    "visits",
    "itemisedCalls",
)
"""The upstream's lists that can be polled (infinity-api.md 4.1). Append only: stored data holds the index."""


class Secret(str):
    """A string that shows nothing of itself in a repr, a log or a traceback. Use `.reveal()` at the last moment."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'••••'"

    def __str__(self) -> str:
        return "••••"

    def __format__(self, spec: str) -> str:
        return "••••"

    def reveal(self) -> str:
        """Give the plain string."""
        return str.__str__(self)


class Struct(msgspec.Struct, frozen=True, kw_only=True):
    """What every kept struct has in common."""


class ApiKeyAuth(msgspec.Struct, frozen=True, tag_field="type", tag="apiKey"):
    """`Authorization: ApiKey …`, of v2.1 (infinity-api.md 1)."""

    key: str

    def __repr__(self) -> str:
        return "ApiKeyAuth(…)"


SourceAuth = ApiKeyAuth | BasicAuth


class Source(Struct, frozen=True, kw_only=True):
    """One installation (IGRP) on one API base URL, with its credentials."""

    uid: SourceUid
    name: str
    base_url: str
    version: Literal["v2", "v2.1"]
    igrp: int
    auth: SourceAuth
    routes: tuple[str, ...]
    poll_interval_s: float = 60.0
    batch_size: int = 1000
    start_row_id: int | None = None
    paused: bool = False
    times_written: int = 1
    """Counts every PUT and every resumption: a route that 401 or 403 stopped asks again at once after each."""
    created_at_ms: int = 0
    updated_at_ms: int = 0


class Application(Struct, frozen=True, kw_only=True):
    """A tenant of one or more sources: a group of endpoints behind a filter that none of them can escape."""

    id: ApplicationId
    name: str
    uid: str | None = None
    sources: tuple[SourceUid, ...] | None = None
    """None: every source."""
    filter: dict[str, Any] | None = None
    privacy: tuple[PrivacyRule, ...] = ()
    """What none of its endpoints, and no list of its messages, gets as it is."""
    token_key: str = ""
    """The key of the tokens that the action `hash` makes; '': it was created before there were any."""
    rate_limit: int | None = None
    budgets: dict[str, Budget] = {}
    """What endpoints share that name it."""
    metadata: dict[str, str] = {}
    posts: bool = False
    """Whether events were ever posted to it, in a stream of its own (relay.domain.streams)."""
    created_at_ms: int = 0
    updated_at_ms: int = 0

    def __repr__(self) -> str:
        return f"Application(id={self.id!r}, name={self.name!r}, uid={self.uid!r}, …)"


class SigningKey(Struct, frozen=True, kw_only=True):
    """One secret of an endpoint. `key` is the text that subscribers hold: `whsec_…` or `whsk_…`."""

    key: str
    expires_at_ms: int | None = None
    """None: the current one. A rotated key signs together with the new one until it expires."""

    def __repr__(self) -> str:
        return f"SigningKey(…, expires_at_ms={self.expires_at_ms})"


class ClientCertificate(msgspec.Struct, frozen=True, kw_only=True):
    """A PEM certificate chain and its private key, shown to the endpoint's server (mTLS)."""

    certificate: str
    private_key: str

    def __repr__(self) -> str:
        return "ClientCertificate(…)"


Included = Literal["recordingUrl", "visitorTraceUrl"]
"""A link that events of calls carry, for endpoints that include it."""

DISABLED_BY_HAND = "disabled through the API"
"""The reason of an endpoint that somebody disabled. Other reasons are the relay's own."""


class Endpoint(Struct, frozen=True, kw_only=True):
    """A subscriber's URL with its event types, filter, secrets, headers and limits."""

    id: EndpointId
    app_id: ApplicationId
    url: str
    """As everybody may see it. Empty for a poller."""
    secret_url: SecretUrl | None = None
    """The URL itself, if it is a secret: `url` has its origin only."""
    type: EndpointType = "webhook"
    uid: str | None = None
    description: str = ""
    event_types: tuple[str, ...] | None = None
    """None: every type."""
    channels: tuple[str, ...] | None = None
    filter: dict[str, Any] | None = None
    privacy: tuple[PrivacyRule, ...] = ()
    """What it does not get as it is, in addition to the rules of its application."""
    include: tuple[Included, ...] = ()
    """Links that its events of calls carry."""
    rate_limit: int | None = None
    """Callbacks a second over all workers; None: no limit."""
    rates: tuple[Rate, ...] = ()
    """Windows that none of its requests may exceed, over all workers."""
    concurrency: int | None = None
    """Callbacks in flight over all workers; None: no limit but that of each worker."""
    budget: str | None = None
    """The budget of its application that it shares with others."""
    disabled: bool = False
    disabled_reason: str | None = None
    paused: bool = False
    keys: tuple[SigningKey, ...] = ()
    """The current key first, then rotated ones that still sign."""
    headers: dict[str, str] = {}
    metadata: dict[str, str] = {}
    max_in_flight: int = 64
    order: Order = "unordered"
    order_key: str | None = None
    order_version: int = 0
    """Counts changes of the order. Deliveries behind keys of an older order are released."""
    retry_schedule: tuple[float, ...] | None = None
    """Seconds before each further try; None: the relay's own schedule."""
    delay_s: float = 0.0
    """An event is sent when it is so old, and not before."""
    newest_only: bool = False
    """Of revisions of a row that wait because of the delay, only the newest one is sent."""
    request: RequestShape = PLAIN
    """What its requests look like, if they are not plain callbacks."""
    auth: EndpointAuth | None = None
    client_certificate: ClientCertificate | None = None
    created_at_ms: int = 0
    updated_at_ms: int = 0

    @property
    def dialled_url(self) -> str:
        """Where requests go: for the sender only."""
        return self.url if self.secret_url is None else self.secret_url.text


class StoredEvent(msgspec.Struct, frozen=True, array_like=True):
    """An event as it is kept, once, however many endpoints get it: what a row is, or became, or what was posted.

    `body` is the callback's body, for a row without its leading `{"type":"…",`: see relay.domain.envelope.
    """

    id: MessageId
    row_id: str
    stored_at_ms: int
    revision: int
    types: bytes
    """Codes of the event's types in order of precedence, one byte each: see relay.domain.event_types."""
    body: bytes
    lag_of: int = -1
    """The index in ROUTES of the route whose lag its deliveries show; -1: none, because a backfill sends old news. The
    releases before do not write it, and pass over it."""
    post: Post | None = None


class Attempt(msgspec.Struct, frozen=True, array_like=True):
    """One HTTP try of a delivery, as it is kept."""

    endpoint_id: EndpointId
    seq: int
    """The event's number in its source. Numbers can be given twice: `tag` says which event is meant."""
    number: int
    """1 for the first try."""
    type_code: int
    started_at_ms: int
    duration_ms: int
    status: int
    """The response's HTTP status; 0 when there was no response."""
    verdict: str
    """`delivered`, `skipped`, `retry`, `dead` or `disabled`."""
    error: str = ""
    next_at_ms: int = 0
    url: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    trigger: int = 0
    """0: by schedule; 1: sent again by hand."""
    tag: str = ""
    """The beginning of the event's id, see relay.domain.references."""
    connect_ms: int = 0
    """0 on a connection that was kept, like `tls_ms`."""
    tls_ms: int = 0
    head_ms: int = 0
    """From the request's first byte to the response's head."""
    event_type: str = ""
    """The type of a posted event. Empty: `type_code` says it."""
    batch_id: str = ""
    """The `webhook-id` of the request, if it was a batch."""
    batch_size: int = 0
    """How many events it had."""

    @property
    def succeeded(self) -> bool:
        """Whether it confirmed the delivery. The status does not say so: an endpoint can have rules for answers."""
        return self.verdict == "delivered"
