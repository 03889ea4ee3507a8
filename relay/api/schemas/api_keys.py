"""API keys on the wire."""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from relay.api.schemas.common import IdOrUid, In, Name, Out, Time, moment, moment_or_none
from relay.domain.principals import SCOPES, ApiKey
from relay.domain.tokens import PREFIX

Scope = Literal[SCOPES]  # type: ignore[valid-type]
Scopes = Annotated[list[Scope], Meta(min_length=1, max_length=len(SCOPES))]
GRACE_DEFAULT_S = 86_400


class ApiKeyIn(In, frozen=True, kw_only=True):
    """A new API key."""

    name: Name
    """A name for people, such as that of the service that uses the key."""
    scopes: Scopes
    """What the key can do. `read` and `write` are for every resource except `audit`, `endpoint_secret` and `key`. A key
    has these only if its scopes name them. A `write` includes the `read`."""
    app_id: IdOrUid | UnsetType | None = UNSET
    """The id or uid of the application that the key is bound to: for the key, no other one exists. null: every
    application."""
    expires_at: Time | UnsetType | None = UNSET
    """When the key stops working. null: never."""


class ApiKeyPatch(In, frozen=True, kw_only=True):
    """Changes of an API key. Fields that you omit stay."""

    name: Name | UnsetType = UNSET
    """A name for people."""
    scopes: Scopes | UnsetType = UNSET
    """What the key can do."""
    expires_at: Time | UnsetType | None = UNSET
    """When the key stops working. null: never."""


class ApiKeyRotateIn(In, frozen=True, kw_only=True):
    """A rotation of an API key."""

    grace_period_seconds: Annotated[int, Meta(ge=0, le=604_800)] | UnsetType | None = UNSET
    """How long the replaced token continues to work. Default: 86,400 (24 h)."""


class ApiKeyOut(Out, frozen=True, kw_only=True):
    """An API key, without its token."""

    id: str
    """The id of the key."""
    name: str
    """A name for people."""
    scopes: list[str]
    """What the key can do."""
    app_id: str | None
    """The id of the application that the key is bound to. null: every application."""
    censored_token: str
    """The beginning and the end of the current token, to recognise it."""
    created_at: datetime
    """When the key was created."""
    updated_at: datetime
    """When the key was last changed or rotated."""
    expires_at: datetime | None
    """When the key stops working. null: never."""
    last_used_at: datetime | None
    """When the key was last used. null: never."""
    replaced_until: datetime | None
    """Until when a replaced token continues to work. null: none does."""


class NewApiKeyOut(ApiKeyOut, frozen=True, kw_only=True):
    """An API key with its token, which the API shows only in this response."""

    token: str
    """Send it as `Authorization: Bearer …`. The relay keeps only a hash of it."""


def show_key(key: ApiKey, last_used_ms: int | None, *, now_ms: int) -> ApiKeyOut:
    """A key as responses show it."""
    return ApiKeyOut(**_fields(key, last_used_ms, now_ms=now_ms))  # type: ignore[arg-type]


def show_new_key(key: ApiKey, token: str, last_used_ms: int | None, *, now_ms: int) -> NewApiKeyOut:
    """A key as the response to its creation or rotation shows it."""
    return NewApiKeyOut(**_fields(key, last_used_ms, now_ms=now_ms), token=token)  # type: ignore[arg-type]


def _fields(key: ApiKey, last_used_ms: int | None, *, now_ms: int) -> dict[str, object]:
    replaced = [each.expires_at_ms for each in key.secrets if (each.expires_at_ms or 0) > now_ms]
    return {
        "id": key.id,
        "name": key.name,
        "scopes": list(key.scopes),
        "app_id": key.app_id,
        "censored_token": f"{PREFIX}…{key.hint}",
        "created_at": moment(key.created_at_ms),
        "updated_at": moment(key.updated_at_ms),
        "expires_at": moment_or_none(key.expires_at_ms),
        "last_used_at": moment_or_none(last_used_ms),
        "replaced_until": moment_or_none(max((at for at in replaced if at), default=None)),
    }
