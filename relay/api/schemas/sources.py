"""Sources on the wire. Responses never contain secrets."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import SplitResult, urlsplit

from msgspec import UNSET, Meta, UnsetType

from relay.api.schemas.checks import Path, Policies
from relay.api.schemas.common import READ_ONLY, In, Name, Out, Own, ReadOnly, moment
from relay.api.schemas.endpoint_fields import KEY_FORM, NO_CONTROLS
from relay.api.schemas.routes import RouteOut, show_route
from relay.domain.lags import Lags
from relay.domain.model import ROUTES, ApiKeyAuth, Source
from relay.domain.route_state import RouteState
from relay.errors import Fault, Invalid
from relay.outbound.targets import vet_url

SourceKey = Annotated[str, Meta(min_length=1, max_length=1024, **KEY_FORM)]
PortalUserText = Annotated[str, Meta(min_length=1, max_length=1024, **NO_CONTROLS)]

ROUTE_TEXTS = {
    "all": "everything except call charges",
    "calls": "calls",
    "users": "the PBX users' parts in calls",
    "goals": "goals",
    "transactions": "transactions",
    "callsGoalsTransactions": "calls, goals and transactions, each row once; the right choice for most CRMs",
    "touchPoints": "landings, calls and goals",
    "visits": "landings",
    "itemisedCalls": "call charges, whose rowIds are separate from those of all other routes",
}
"""The rows of each route."""
Route = Annotated[
    Literal[ROUTES],  # type: ignore[valid-type]
    Meta(
        description="; ".join(f"`{route}`: {rows}" for route, rows in ROUTE_TEXTS.items()),
        extra_json_schema={"x-enum-descriptions": ROUTE_TEXTS},
    ),
]

UNREACHABLE = "must be an https URL of a public host, or lead into a network of RELAY_UPSTREAM_ALLOW (http too)"
"""One text for every refused address, because the text must not reveal what is at the address."""


def check_base_url(value: str, path: Path, policies: Policies) -> None:
    """Raise Invalid for a URL that the relay cannot poll."""
    _check_base_url(value)
    try:
        vet_url(value, policies.upstreams)
    except Invalid:
        raise Invalid(Fault(path, UNREACHABLE)) from None


class ApiKeyAuthIn(In, frozen=True, kw_only=True, tag_field="type", tag="apiKey"):
    """An API key of Infinity. The relay sends it as `Authorization: ApiKey …`."""

    key: SourceKey | UnsetType = UNSET
    """The API key. Omit it to keep the stored key, unless `baseUrl` changes to another scheme, host or port."""


class PortalUserIn(In, frozen=True, kw_only=True, tag_field="type", tag="basic"):
    """The user name and password of a portal user. A new source, and another user name, require both."""

    username: PortalUserText | UnsetType = UNSET
    """The user name. Omit it to keep the stored one, unless `baseUrl` changes to another scheme, host or port."""
    password: PortalUserText | UnsetType = UNSET
    """The password. Omit it to keep the stored one, unless `username` changes, or `baseUrl` to another scheme, host or
    port."""


class SourceIn(In, frozen=True, kw_only=True):
    """The settings of a source."""

    name: Name | UnsetType = UNSET
    """A name for people. Default: the uid."""
    base_url: Annotated[
        str,
        Meta(max_length=2048, examples=["https://api.infinitycloud.com"], extra={"check": check_base_url}),
    ]
    """The URL of Infinity's API, without `/reports` and what follows. It must be https and on a public address, unless
    `RELAY_UPSTREAM_ALLOW` allows others."""
    version: Literal["v2", "v2.1"] = "v2.1"
    """The version of Infinity's API: `v2.1` (with an API key) or `v2` (with a user name and password)."""
    igrp: Annotated[int, Meta(ge=1, le=2**53)]
    """The id of the installation."""
    auth: ApiKeyAuthIn | PortalUserIn | UnsetType = UNSET
    """The credentials for Infinity's API. Required when you create the source. Omit them to keep the stored ones."""
    routes: Annotated[list[Route], Meta(min_length=1, description="The lists to poll, at least one.")]
    poll_interval_seconds: Annotated[float, Meta(ge=0.1, le=86_400)] = 60.0
    """How often the relay polls a route that has no more rows."""
    batch_size: Annotated[int, Meta(ge=1, le=10_000)] = 1000
    """How many rows the relay requests at once."""
    start_row_id: Annotated[int, Meta(ge=0, le=2**63 - 1)] | None = None
    """Where the routes begin that you create the source with: after this rowId. 0 means all rows that Infinity still
    has. null means rows that appear from now on. A route that you add later begins with rows that appear from then on,
    unless the same request changes `startRowId`."""
    paused: bool | UnsetType = UNSET
    """Whether polling is paused. Omit it to leave that as it is."""
    uid: Own | UnsetType = UNSET
    route_states: Annotated[dict[str, Any], Meta(description=READ_ONLY)] | UnsetType = UNSET
    created_at: ReadOnly | UnsetType = UNSET
    updated_at: ReadOnly | UnsetType = UNSET


class CursorIn(In, frozen=True, kw_only=True):
    """Where a route continues."""

    row_id: Annotated[int, Meta(ge=0, le=2**63 - 1)]
    """The route continues with the rows after this rowId."""


class ApiKeyAuthOut(Out, frozen=True, kw_only=True, tag_field="type", tag="apiKey"):
    """The source has an API key. The API never shows it."""


class PortalUserOut(Out, frozen=True, kw_only=True, tag_field="type", tag="basic"):
    """The source has a user name and a password. The API never shows the password."""

    username: str
    """The user name."""


class SourceOut(Out, frozen=True, kw_only=True):
    """A source, with the settings that apply and the states of its routes."""

    uid: str
    """The uid in the path."""
    name: str
    """A name for people."""
    base_url: str
    """The URL of Infinity's API."""
    version: Literal["v2", "v2.1"]
    """The version of Infinity's API."""
    igrp: int
    """The id of the installation."""
    auth: ApiKeyAuthOut | PortalUserOut
    """The kind of credentials, without secrets."""
    routes: list[str]
    """The lists that the relay polls."""
    route_states: dict[str, RouteOut]
    """The state of each route, by its name."""
    poll_interval_seconds: float
    """How often the relay polls a route that has no more rows."""
    batch_size: int
    """How many rows the relay requests at once."""
    start_row_id: int | None
    """The rowId after which the routes begin. null: with rows that appear from the creation on."""
    paused: bool
    """Whether polling is paused."""
    created_at: datetime
    """When the source was created."""
    updated_at: datetime
    """When a setting last changed."""


class SetAsideOut(Out, frozen=True, kw_only=True):
    """A row that the relay could not read."""

    route: str | None
    """The route that the row came from."""
    row_id: Any
    """The row's id. null: the relay could not read it either."""
    reason: str
    """Why the relay could not read the row."""
    line: str
    """The row as Infinity sent it, or its beginning."""
    seen_at: datetime
    """When the relay received the row."""
    digest: str
    """The digest of the row's text. The same text is set aside once."""


class QuarantineOut(Out, frozen=True, kw_only=True):
    """One page of the rows that the relay could not read, newest first."""

    data: list[SetAsideOut]
    """The rows."""
    iterator: str | None
    """Send it as `iterator` to get the next page."""
    prev_iterator: str | None
    """Send it as `iterator` to get the previous page."""
    done: bool
    """Whether this is the last page."""
    total: int
    """How many rows were ever set aside. The relay keeps the newest 1,000."""


def show_set_aside(line: Mapping[str, Any]) -> SetAsideOut:
    """A row that was set aside, as responses show it."""
    return SetAsideOut(
        route=line["route"],
        row_id=line["rowId"],
        reason=line["reason"],
        line=line["line"],
        seen_at=moment(line["seenAtMs"]),
        digest=line["digest"],
    )


def show_source(source: Source, states: list[RouteState], lags: Mapping[str, Lags], *, now_ms: int) -> SourceOut:
    """A source as responses show it. `lags` are those of its routes."""
    return SourceOut(
        uid=source.uid,
        name=source.name,
        base_url=source.base_url,
        version=source.version,
        igrp=source.igrp,
        auth=ApiKeyAuthOut() if isinstance(source.auth, ApiKeyAuth) else PortalUserOut(username=source.auth.username),
        routes=list(source.routes),
        route_states={state.route: show_route(state, source, lags.get(state.route), now_ms=now_ms) for state in states},
        poll_interval_seconds=source.poll_interval_s,
        batch_size=source.batch_size,
        start_row_id=source.start_row_id,
        paused=source.paused,
        created_at=moment(source.created_at_ms),
        updated_at=moment(source.updated_at_ms),
    )


def _check_base_url(url: str) -> None:
    parts = _parsed(url)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise _wrong("baseUrl", "must be an http or https URL")
    if parts.username is not None or parts.password is not None:
        raise _wrong("baseUrl", "must not contain a user name or password: send them in `auth`")
    if "?" in url or "#" in url:
        raise _wrong("baseUrl", "must not have a query or a fragment")
    if "/reports" in parts.path.lower():
        raise _wrong("baseUrl", "must end before `/reports`: the relay adds that part of the path")


def _parsed(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        odd = parts.port == 0 or not url.isascii() or any(ch <= " " or ch in "\\\x7f" for ch in url)
    except ValueError:
        return None
    return None if odd else parts


def _wrong(name: str, message: str) -> Invalid:
    return Invalid(Fault(("body", name), message))
