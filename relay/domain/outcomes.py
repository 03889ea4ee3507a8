"""What a try of a callback produced, before anything is decided about it."""

from enum import StrEnum

import msgspec

from relay.domain.requests.ruling import Ruling


class Failure(StrEnum):
    """Why there is no response. The values are what attempts, logs and metrics show."""

    NONE = ""
    TIMEOUT = "timeout"
    """The deadline passed, whatever was waited for."""
    CONNECT = "connect"
    DNS = "dns"
    RESOLVER = "resolver"
    """The relay's own name servers failed: no name got an answer lately."""
    REFUSED_ADDRESS = "refused_address"
    """The relay refused to dial: the URL or an address behind its name is forbidden. Nothing was sent."""
    TLS = "tls"
    PROTOCOL = "protocol"
    """The answer is not HTTP, or the connection ended before a whole response head came."""
    OVERSIZED = "oversized"
    """The response's head is larger than a receiver has reason to send."""
    UNFIT = "unfit"
    """The endpoint's own keys, headers or client certificate cannot be used."""
    AUTH = "auth"
    """No access token could be had from the endpoint's authorization server."""
    CREDENTIALS = "credentials"
    """The endpoint's authorization server refuses its credentials, until somebody changes something."""
    PROXY = "proxy"
    """The operator's forward proxy failed."""
    LOCAL = "local"
    """This machine failed: no file descriptors or ports left."""
    TRANSFORMATION = "transformation"
    """An expression of the endpoint failed on the event, or gave what cannot be sent. Nothing was sent."""
    LOOKUP = "lookup"
    """The endpoint's lookup was not answered. Nothing was sent."""
    NO_MATCH = "no_match"
    """The endpoint's lookup found nothing, and its events must not be sent without. Nothing was sent."""
    PARTIAL = "partial"
    """The answer to a batch was a success, and says that this event of it failed."""


BLAMELESS = frozenset({Failure.PROXY, Failure.RESOLVER, Failure.LOCAL})
"""Failures that say nothing about the endpoint: they must neither use up its tries nor open its breaker."""
FINAL = frozenset({Failure.TRANSFORMATION, Failure.NO_MATCH})
"""Failures that say nothing about the receiver, and that the same event would have again."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What one try produced: a `status`, or an `error` with a `detail` that is safe to show to the subscriber."""

    status: int = 0
    """The response's status; 0: no response."""
    error: Failure = Failure.NONE
    detail: str = ""
    """A sentence for people. Never tells whether anything listens at an address that is forbidden."""
    duration_ms: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    """The first of the response's headers, capped in number and in bytes."""
    body: bytes = b""
    """How the response's body starts: at most 1 KiB, raw."""
    connect_ms: int = 0
    """0 on a connection that was kept, like `tls_ms`."""
    tls_ms: int = 0
    head_ms: int = 0
    """From the request's first byte to the response's head; 0: there was none."""
    retry_after: str | None = None
    """The response's Retry-After as it came: the reader must bound it, because it can be hostile."""

    ruling: Ruling | None = None
    """What a rule of the endpoint says about the answer; None: no rule fits."""
    rest_ms: int = 0
    """How long the endpoint is to rest at least, if the failure is one that the endpoint is not blamed for."""
    skipped: bool = False
    """The endpoint's transformation says that the event is not to be sent. Nothing was."""
    answer: bytes = b""
    """More of the body than `body`, for an endpoint whose expressions read it. It is kept nowhere."""
    batch_id: str = ""
    """The `webhook-id` of the request, if it was a batch."""
    batch_size: int = 0
    """How many events the request had, if it was a batch."""

    @property
    def is_final(self) -> bool:
        """Nothing was sent, and the same event would fail again."""
        return self.error in FINAL

    @property
    def succeeded(self) -> bool:
        """A 2xx with a whole head is a success, even if its body breaks off, unless a rule says otherwise."""
        if self.error:
            return False
        if self.ruling is not None:
            return self.ruling.verdict in ("delivered", "exists")
        return 200 <= self.status < 300
