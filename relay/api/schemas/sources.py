"""Sources on the wire. Secrets come in and never go out."""

from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import SplitResult, urlsplit

from msgspec import UNSET, Meta, UnsetType

from relay.api.schemas.checks import Path, Policies
from relay.api.schemas.common import READ_ONLY, In, Name, Out, ReadOnly, moment, moment_or_none
from relay.domain.model import ROUTES, ApiKeyAuth, RouteState, Source
from relay.errors import Fault, Invalid
from relay.outbound.targets import vet_url

Secret = Annotated[str, Meta(min_length=1, max_length=1024)]


UNREACHABLE = "must be an https URL of a public host, or lead into a network of RELAY_UPSTREAM_ALLOW (http too)"
"""One text for every address that is refused, so that it tells nothing of what is there."""


def check_base_url(value: str, path: Path, policies: Policies) -> None:
    """Raise Invalid for a URL that nothing can be polled at."""
    _check_base_url(value)
    try:
        vet_url(value, policies.upstreams)
    except Invalid:
        raise Invalid(Fault(path, UNREACHABLE)) from None


class ApiKeyAuthIn(In, frozen=True, kw_only=True, tag_field="type", tag="apiKey"):
    """`Authorization: ApiKey …`. A key that is left out stays as it is, unless `baseUrl` leads to another host."""

    key: Secret | UnsetType = UNSET


class PortalUserIn(In, frozen=True, kw_only=True, tag_field="type", tag="basic"):
    """A portal user. What is left out stays as it is, unless `baseUrl` leads to another host."""

    username: Secret | UnsetType = UNSET
    password: Secret | UnsetType = UNSET


class SourceIn(In, frozen=True, kw_only=True):
    """One installation of the upstream, and how it is polled."""

    name: Name | UnsetType = UNSET
    base_url: Annotated[
        str,
        Meta(
            max_length=2048,
            description="The URL of the API, without `/reports` and what follows",
            examples=["https://api.infinitycloud.com"],
            extra={"check": check_base_url},
        ),
    ]
    version: Literal["v2", "v2.1"] = "v2.1"
    igrp: Annotated[int, Meta(ge=1, le=2**53)]
    auth: ApiKeyAuthIn | PortalUserIn | UnsetType = UNSET
    routes: Annotated[list[Literal[ROUTES]], Meta(min_length=1, description="The lists to poll")]  # type: ignore[valid-type]
    poll_interval_seconds: Annotated[float, Meta(ge=0.1, le=86_400)] = 60.0
    batch_size: Annotated[int, Meta(ge=1, le=10_000, description="How many rows the relay requests at once")] = 1000
    start_row_id: Annotated[int, Meta(ge=0, le=2**63 - 1)] | None = None
    """Where the routes begin that the source is made with; null: with the rows that come from now on. A route that is
    added later begins with the rows that come then, unless another startRowId is given for it."""
    paused: bool | UnsetType = UNSET
    """Whether polling is paused. Omit it to keep the source as it is."""
    uid: ReadOnly | UnsetType = UNSET
    route_states: Annotated[dict[str, Any], Meta(description=READ_ONLY)] | UnsetType = UNSET
    created_at: ReadOnly | UnsetType = UNSET
    updated_at: ReadOnly | UnsetType = UNSET


class CursorIn(In, frozen=True, kw_only=True):
    """Where a route goes on."""

    row_id: Annotated[int, Meta(ge=0, le=2**63 - 1)]
    """The route goes on with the rows behind this rowId."""


class ApiKeyAuthOut(Out, frozen=True, kw_only=True, tag_field="type", tag="apiKey"):
    """The source has a key."""


class PortalUserOut(Out, frozen=True, kw_only=True, tag_field="type", tag="basic"):
    """The source has a user's name and password."""

    username: str


class RouteOut(Out, frozen=True, kw_only=True):
    """How far a route is, and what came of its last poll."""

    route: str
    cursor: int | None
    """The last rowId that was committed; null: not started yet."""
    state: Literal["waiting", "polling", "stopped", "failing"]
    lag_seconds: float | None
    """How long ago the upstream last had nothing behind the cursor; null: never yet."""
    caught_up_at: datetime | None
    last_poll_at: datetime | None
    last_error: str | None
    last_error_at: datetime | None
    failures: int
    """How many polls have failed since one worked."""
    held_rows: int = 0
    """How many rows are held because their rowIds are implausibly far ahead. They are listed as set aside, and become
    events when further rows come beside them."""


class SourceOut(Out, frozen=True, kw_only=True):
    """A source and how its routes are."""

    uid: str
    name: str
    base_url: str
    version: Literal["v2", "v2.1"]
    igrp: int
    auth: ApiKeyAuthOut | PortalUserOut
    routes: list[str]
    route_states: dict[str, RouteOut]
    poll_interval_seconds: float
    batch_size: int
    start_row_id: int | None
    paused: bool
    created_at: datetime
    updated_at: datetime


class QuarantineOut(Out, frozen=True, kw_only=True):
    """Lines of the upstream that could not be read, newest first."""

    data: list[dict[str, Any]]
    total: int
    """How many there ever were; the newest are kept."""


def show_source(source: Source, states: list[RouteState], *, now_ms: int) -> SourceOut:
    """A source as it is answered."""
    return SourceOut(
        uid=source.uid,
        name=source.name,
        base_url=source.base_url,
        version=source.version,
        igrp=source.igrp,
        auth=ApiKeyAuthOut() if isinstance(source.auth, ApiKeyAuth) else PortalUserOut(username=source.auth.username),
        routes=list(source.routes),
        route_states={state.route: show_route(state, now_ms=now_ms) for state in states},
        poll_interval_seconds=source.poll_interval_s,
        batch_size=source.batch_size,
        start_row_id=source.start_row_id,
        paused=source.paused,
        created_at=moment(source.created_at_ms),
        updated_at=moment(source.updated_at_ms),
    )


def show_route(state: RouteState, *, now_ms: int) -> RouteOut:
    """A route's state as it is answered."""
    caught_up = state.caught_up_at_ms
    return RouteOut(
        route=state.route,
        cursor=state.cursor,
        state=state.state,
        # Below 0 when the clock was set back since: that must show.
        lag_seconds=None if caught_up is None else (now_ms - caught_up) / 1000,
        caught_up_at=moment_or_none(caught_up),
        last_poll_at=moment_or_none(state.last_poll_at_ms),
        last_error=state.last_error,
        last_error_at=moment_or_none(state.last_error_at_ms),
        failures=state.failures,
        held_rows=state.held_first + state.held_since,
    )


def _check_base_url(url: str) -> None:
    parts = _parsed(url)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise _wrong("baseUrl", "must be an http or https URL")
    if parts.username is not None or parts.password is not None:
        raise _wrong("baseUrl", "must not hold a user name or password: they belong in auth")
    if "?" in url or "#" in url:
        raise _wrong("baseUrl", "must not have a query or a fragment")
    if "/reports" in parts.path.lower():
        raise _wrong("baseUrl", "must end before /reports: the relay adds that and what follows")


def _parsed(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        odd = parts.port == 0 or not url.isascii() or any(ch <= " " or ch in "\\\x7f" for ch in url)
    except ValueError:
        return None
    return None if odd else parts


def _wrong(name: str, message: str) -> Invalid:
    return Invalid(Fault(("body", name), message))
