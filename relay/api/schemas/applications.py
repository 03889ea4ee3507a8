"""Applications on the wire: Svix's fields, and the relay's own `sources` and `filter`."""

from collections.abc import Collection
from datetime import datetime
from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType, structs

from relay.api.schemas.common import (
    FilterIn,
    In,
    Metadata,
    Name,
    Out,
    Rate,
    SourceUidText,
    Uid,
    either,
    given,
    moment,
)
from relay.domain.model import Application, ApplicationId, SourceUid
from relay.domain.names import own_uid
from relay.errors import Fault, Invalid

SOURCES_MOST = 1000
"""Of an application. Null stands for every source, however many there are."""


class _Changes(In, frozen=True, kw_only=True):
    old_names = {"rateLimit": "throttleRate"}  # noqa: RUF012 - a class variable of the base

    uid: Uid | UnsetType | None = UNSET
    throttle_rate: Rate | UnsetType | None = UNSET
    rate_limit: Rate | UnsetType | None = UNSET
    """The old name of `throttleRate`."""
    metadata: Metadata | UnsetType | None = UNSET
    sources: Annotated[list[SourceUidText], Meta(max_length=SOURCES_MOST)] | UnsetType | None = UNSET
    """The uids of the sources whose events its endpoints may get; null: every source."""
    filter: FilterIn | UnsetType | None = UNSET
    """Which rows its endpoints may get; none of them can escape it."""


class ApplicationIn(_Changes, frozen=True, kw_only=True):
    """A new application, or one that replaces what is there.

    When it replaces: Svix's fields that are left out get their defaults; uid, sources and filter stay, for a client
    that has never heard of them must not open an application to other rows.
    """

    name: Name


class ApplicationPatch(_Changes, frozen=True, kw_only=True):
    """Changes of an application; what is left out stays."""

    name: Name | UnsetType = UNSET


class ApplicationOut(Out, frozen=True, kw_only=True):
    """An application."""

    id: str
    uid: str | None
    name: str
    throttle_rate: int | None
    rate_limit: int | None
    """The old name of `throttleRate`."""
    metadata: dict[str, str]
    sources: list[str] | None
    filter: dict[str, Any] | None
    created_at: datetime
    updated_at: datetime


def new_application(
    application_id: ApplicationId,
    body: ApplicationIn,
    *,
    sources: Collection[SourceUid],
    now_ms: int,
    uid: str | None = None,
) -> Application:
    """An application as it is asked for; `uid` is for a body that has none. Raises Invalid."""
    fields = {"uid": own_uid(uid, path=("path", "app_id"))} | _fields(body, sources)
    return Application(id=application_id, created_at_ms=now_ms, updated_at_ms=now_ms, **fields)


def replaced(
    application: Application, body: ApplicationIn, *, sources: Collection[SourceUid], now_ms: int
) -> Application:
    """An application after a PUT. Raises Invalid."""
    defaults: dict[str, Any] = {"rate_limit": None, "metadata": {}}
    return structs.replace(application, **(defaults | _fields(body, sources)), updated_at_ms=now_ms)


def patched(
    application: Application, body: ApplicationPatch, *, sources: Collection[SourceUid], now_ms: int
) -> Application:
    """An application after a PATCH. Raises Invalid."""
    return structs.replace(application, **_fields(body, sources), updated_at_ms=now_ms)


def show_application(application: Application) -> ApplicationOut:
    """An application as it is answered."""
    return ApplicationOut(
        id=application.id,
        uid=application.uid,
        name=application.name,
        throttle_rate=application.rate_limit,
        rate_limit=application.rate_limit,
        metadata=application.metadata,
        sources=None if application.sources is None else list(application.sources),
        filter=application.filter,
        created_at=moment(application.created_at_ms),
        updated_at=moment(application.updated_at_ms),
    )


def _fields(body: ApplicationIn | ApplicationPatch, known: Collection[SourceUid]) -> dict[str, Any]:
    fields = given(body, "name", "uid", "metadata", "sources", "filter")
    if rate := either(body, "throttle_rate", "rate_limit"):
        (fields["rate_limit"],) = rate
    if "metadata" in fields:
        fields["metadata"] = fields["metadata"] or {}
    if "filter" in fields:
        fields["filter"] = fields["filter"] or None
    if fields.get("sources") is not None:
        fields["sources"] = _checked_sources(fields["sources"], known)
    return fields


def _checked_sources(sources: list[str], known: Collection[SourceUid]) -> tuple[SourceUid, ...]:
    uids = [SourceUid(uid) for uid in sources]
    missing = [(at, uid) for at, uid in enumerate(uids) if uid not in known]
    if missing:
        raise Invalid(*(Fault(("body", "sources", at), f"there is no source {uid}") for at, uid in missing))
    return tuple(dict.fromkeys(uids))
