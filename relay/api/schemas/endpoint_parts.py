"""The keys and the headers of an endpoint on the wire: they have operations of their own."""

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from relay.api.schemas.common import In, Out
from relay.api.schemas.endpoint_fields import MAX_ADDED, HeaderName, Headers, HeaderValue, SigningKeyText
from relay.domain.headers import MAX_HEADERS


class SecretOut(Out, frozen=True, kw_only=True):
    """The keys that verify callbacks."""

    key: str
    """The shared secret `whsec_…`, or the public key `whpk_…` if callbacks are signed with Ed25519 only."""
    public_key: str | None
    """The public key `whpk_…` if callbacks are signed with Ed25519."""


class SecretRotateIn(In, frozen=True, kw_only=True):
    """A rotation of signing keys."""

    key: SigningKeyText | UnsetType | None = UNSET
    """The new key, or an earlier key that still signs. It replaces the current key of its kind. Omit it to let the
    relay create new keys of each kind."""
    grace_period_seconds: Annotated[int, Meta(ge=0, le=604_800)] | UnsetType | None = UNSET
    """How long the replaced keys continue to sign. Default: 86,400 (24 h). Keys that were replaced before keep their
    own grace periods."""


class HeadersIn(In, frozen=True, kw_only=True):
    """All headers that callbacks carry in addition to the relay's own."""

    headers: Headers
    """Names and values."""
    sensitive: Annotated[list[HeaderName], Meta(max_length=MAX_HEADERS)] | UnsetType = UNSET
    """Names of headers that keep their hidden values, as GET lists them. The relay removes hidden headers that are in
    neither list."""


class HeadersPatchIn(In, frozen=True, kw_only=True):
    """Changes of an endpoint's headers. All other headers stay."""

    headers: Annotated[dict[HeaderName, HeaderValue | None], MAX_ADDED] | UnsetType = UNSET
    """Headers to set. null removes a header."""
    delete_headers: Annotated[list[HeaderName], Meta(max_length=100)] | UnsetType | None = UNSET
    """Names of headers to remove."""


class HeadersOut(Out, frozen=True, kw_only=True):
    """The headers that callbacks carry in addition to the relay's own."""

    headers: dict[str, str]
    """Names and values of headers that are not secret."""
    sensitive: list[str]
    """Names of headers whose values the API hides."""
