"""Sources on the wire. Secrets come in and never go out."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import SplitResult, urlsplit

from msgspec import UNSET, Meta, UnsetType

from relay.api.schemas.checks import Path, Policies
from relay.api.schemas.common import In, Name, Out, moment, moment_or_none
from relay.domain.model import ROUTES, ApiKeyAuth, BasicAuth, RouteState, Source, SourceAuth, SourceUid
from relay.domain.origins import origin_of
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

    def applied_to(self, uid: SourceUid, source: Source | None, *, now_ms: int) -> Source:
        """The source as this makes it. Raises Invalid."""
        auth = _auth(
            self.auth, source, moved=source is not None and origin_of(source.base_url) != origin_of(self.base_url)
        )
        return Source(
            uid=uid,
            name=uid if self.name is UNSET else self.name,
            base_url=self.base_url.rstrip("/"),
            version=self.version,
            igrp=self.igrp,
            auth=auth,
            routes=tuple(dict.fromkeys(self.routes)),
            poll_interval_s=self.poll_interval_seconds,
            batch_size=self.batch_size,
            start_row_id=self.start_row_id,
            paused=source.paused if source else False,
            times_written=source.times_written + 1 if source else 1,
            created_at_ms=source.created_at_ms if source else now_ms,
            updated_at_ms=now_ms,
        )


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


class SetAsideOut(Out, frozen=True, kw_only=True):
    """A line of the upstream that could not be read."""

    route: str | None
    row_id: Any
    """The row's id. Null if it could not be read either."""
    reason: str
    line: str
    """The line as the upstream sent it, or its beginning."""
    seen_at: datetime
    digest: str
    """The line's digest. The same line is set aside once."""


class QuarantineOut(Out, frozen=True, kw_only=True):
    """One page of the lines that could not be read."""

    data: list[SetAsideOut]
    iterator: str | None
    """Give it back to get the next page."""
    prev_iterator: str | None
    done: bool
    """There is nothing behind this page."""
    total: int
    """The number of lines that were ever set aside. The relay keeps the newest 1,000."""


def show_set_aside(line: Mapping[str, Any]) -> SetAsideOut:
    """A line that was set aside, as it is answered."""
    return SetAsideOut(
        route=line["route"],
        row_id=line["rowId"],
        reason=line["reason"],
        line=line["line"],
        seen_at=moment(line["seenAtMs"]),
        digest=line["digest"],
    )


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


def _auth(asked: ApiKeyAuthIn | PortalUserIn | UnsetType, source: Source | None, *, moved: bool) -> SourceAuth:
    """What was left out is what the source has; `moved`: to another origin, which must not get that unasked."""
    kept = None if source is None or moved else source.auth
    why = "would be sent to another host than before: give it again" if moved else "is needed: there is none yet"
    if isinstance(asked, UnsetType):
        if kept is None:
            raise Invalid(Fault(("body", "auth"), why, "missing"))
        return kept
    if isinstance(asked, ApiKeyAuthIn):
        old_key = kept.key if isinstance(kept, ApiKeyAuth) else UNSET
        return ApiKeyAuth(_known(asked.key, old_key, "key", why))
    old = kept if isinstance(kept, BasicAuth) else None
    return BasicAuth(
        _known(asked.username, old.username if old else UNSET, "username", why),
        _known(asked.password, old.password if old else UNSET, "password", why),
    )


def _known(asked: str | UnsetType, kept: str | UnsetType, name: str, why: str) -> str:
    value = kept if asked is UNSET else asked
    if isinstance(value, UnsetType):
        raise Invalid(Fault(("body", "auth", name), why, "missing"))
    return value


def _wrong(name: str, message: str) -> Invalid:
    return Invalid(Fault(("body", name), message))
