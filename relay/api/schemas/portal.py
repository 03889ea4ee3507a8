"""Access to the portal on the wire, in Svix's shapes, and who makes a request."""

from datetime import datetime
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from relay.api.schemas.applications import ApplicationUpsertIn
from relay.api.schemas.common import In, Out, moment_or_none
from relay.domain.portal import LONGEST_S, SHORTEST_S, Capability
from relay.domain.principals import ACTIONS, Principal, Resource, scope

SESSION_MOST = 128
Session = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=SESSION_MOST,
        pattern=r"^[\x21-\x7e]+\Z",
        extra={"form": "must consist of visible ASCII characters"},
    ),
]
Expiry = Annotated[int, Meta(ge=SHORTEST_S, le=LONGEST_S)]


class PortalAccessIn(In, frozen=True, kw_only=True):
    """What a subscriber can do in the portal, and for how long."""

    expiry: Expiry | UnsetType | None = UNSET
    """How long the token works, in seconds: 60 to 604,800 (7 days). null: 604,800."""
    capabilities: Annotated[list[Capability], Meta(min_length=1, max_length=12)] | UnsetType | None = UNSET
    """What the token can do. `ViewBase` is always included."""
    read_only: bool | UnsetType | None = UNSET
    """Whether the token can only read, and sees no secrets: the capability `ViewBase` alone."""
    session_id: Session | UnsetType | None = UNSET
    """Your own name for the session of the subscriber, by which `expire-all` can end it."""
    application: ApplicationUpsertIn | UnsetType | None = UNSET
    """An application to create if none has the uid in the path. It is ignored if there is one."""
    feature_flags: Annotated[list[Annotated[str, Meta(max_length=256)]], Meta(max_length=100)] | UnsetType | None = (
        UNSET
    )
    """Svix's clients send it. The relay has no feature flags: it must be empty."""


class PortalAccessOut(Out, frozen=True, kw_only=True):
    """A link to the portal, and the token that it gives."""

    url: str
    """The link that opens the portal. It works once, for ten minutes. It has a code, and not the token. It begins with
    the path if `RELAY_PUBLIC_URL` is not set."""
    token: str
    """The token, for a portal of your own: send it as `Authorization: Bearer …`."""


class PortalExpireIn(In, frozen=True, kw_only=True):
    """Which tokens of the portal end, and when."""

    expiry: Annotated[int, Meta(ge=0, le=LONGEST_S)] | UnsetType | None = UNSET
    """In how many seconds they end. null or 0: at once."""
    session_ids: Annotated[list[Session], Meta(max_length=100)] | UnsetType | None = UNSET
    """Only tokens of these sessions. null or empty: all tokens of the application."""


class PortalCodeIn(In, frozen=True, kw_only=True):
    """A code from a link to the portal."""

    code: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=64,
            pattern=r"^[0-9A-Za-z]+\Z",
            extra={"form": "must consist of letters and digits"},
        ),
    ]
    """The last part of the path of the link."""


class PrincipalOut(Out, frozen=True, kw_only=True):
    """Who makes a request."""

    id: str
    """The id of the API key; `admin` for `RELAY_ADMIN_KEY`; the id of a token of the portal begins with `ptl_`."""
    name: str
    """A name for people."""
    scopes: list[str]
    """All scopes that it has, such as `endpoint:read`. `read` and `write` are written out."""
    app_id: str | None
    """The id of the only application that exists for it. null: every application."""
    is_portal: bool
    """Whether it is a subscriber in the portal."""
    expires_at: datetime | None
    """When it stops working. null: never."""


class PortalTokenOut(PrincipalOut, frozen=True, kw_only=True):
    """A token of the portal, with what it can do."""

    token: str
    """The token: send it as `Authorization: Bearer …`."""


def show_principal(principal: Principal) -> PrincipalOut:
    """A principal as responses show it."""
    return PrincipalOut(**_fields(principal))  # type: ignore[arg-type]


def show_token(principal: Principal, token: str) -> PortalTokenOut:
    """A token of the portal as its exchange shows it."""
    return PortalTokenOut(**_fields(principal), token=token)  # type: ignore[arg-type]


def _fields(principal: Principal) -> dict[str, object]:
    every = (scope(resource, action) for resource in Resource for action in ACTIONS)
    return {
        "id": principal.id,
        "name": principal.name,
        "scopes": [each for each in every if principal.may(each)],
        "app_id": principal.application,
        "is_portal": principal.is_portal,
        "expires_at": moment_or_none(principal.expires_at_ms),
    }
