"""Applications on the wire: Svix's fields, and the relay's own `sources` and `filter`."""

from datetime import datetime
from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType

from relay.api.schemas.common import (
    FilterIn,
    In,
    Metadata,
    Name,
    Out,
    Own,
    Rate,
    ReadOnly,
    SourceUidText,
    Uid,
    moment,
)
from relay.domain.model import Application

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


class _Shown(_Changes, frozen=True, kw_only=True):
    id: Own | UnsetType = UNSET
    created_at: ReadOnly | UnsetType = UNSET
    updated_at: ReadOnly | UnsetType = UNSET


class ApplicationIn(_Changes, frozen=True, kw_only=True):
    """A new application."""

    name: Name


class ApplicationUpsertIn(_Shown, frozen=True, kw_only=True):
    """An application that is created or replaced.

    When it replaces one, Svix's fields that you omit get their defaults. `sources` and `filter` stay, because a client
    that does not know them must not open an application to other rows.
    """

    name: Name


class ApplicationPatch(_Shown, frozen=True, kw_only=True):
    """Changes of an application. Fields that you omit stay."""

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
