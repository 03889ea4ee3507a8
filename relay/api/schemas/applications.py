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
from relay.api.schemas.privacy import PrivacyIn, PrivacyRuleOut, show_rules
from relay.api.schemas.rates import BudgetOut, Budgets, show_budgets
from relay.domain.model import Application

SOURCES_MOST = 1000
"""The maximum number of sources that an application can name."""


class _Changes(In, frozen=True, kw_only=True):
    old_names = {"rateLimit": "throttleRate"}  # noqa: RUF012 - a class variable of the base

    uid: Uid | UnsetType | None = UNSET
    """Your own name for the application. null: none."""
    throttle_rate: Rate | UnsetType | None = UNSET
    """The maximum number of callbacks per second, over all workers. null: no limit."""
    rate_limit: Rate | UnsetType | None = UNSET
    """The old name of `throttleRate`."""
    budgets: Budgets | UnsetType | None = UNSET
    """Limits that endpoints share which name them, such as those of one account of a CRM. null: none."""
    metadata: Metadata | UnsetType | None = UNSET
    """Keys and values for your own use."""
    sources: Annotated[list[SourceUidText], Meta(max_length=SOURCES_MOST)] | UnsetType | None = UNSET
    """The uids of the sources whose events the application's endpoints can receive. null: every source."""
    filter: FilterIn | UnsetType | None = UNSET
    """The rows whose events the application's endpoints can receive, whatever their own filters. null: all rows."""
    privacy: PrivacyIn | UnsetType | None = UNSET
    """What no endpoint of the application, and no list of its messages, gets as it is. Endpoints cannot filter by these
    columns. null: nothing is hidden."""


class _Shown(_Changes, frozen=True, kw_only=True):
    id: Own | UnsetType = UNSET
    created_at: ReadOnly | UnsetType = UNSET
    updated_at: ReadOnly | UnsetType = UNSET


class ApplicationIn(_Changes, frozen=True, kw_only=True):
    """A new application."""

    name: Name
    """A name for people."""


class ApplicationUpsertIn(_Shown, frozen=True, kw_only=True):
    """An application to create or to replace.

    When it replaces an application, Svix's fields that you omit get their defaults. `sources` and `filter` stay,
    because a client that does not know them must not open an application to other rows.
    """

    name: Name
    """A name for people."""


class ApplicationPatch(_Shown, frozen=True, kw_only=True):
    """Changes of an application. Fields that you omit stay."""

    name: Name | UnsetType = UNSET
    """A name for people."""


class ApplicationOut(Out, frozen=True, kw_only=True):
    """An application."""

    id: str
    """The id that the relay gave the application."""
    uid: str | None
    """Your own name for the application."""
    name: str
    """A name for people."""
    throttle_rate: int | None
    """The maximum number of callbacks per second. null: no limit."""
    rate_limit: int | None
    """The old name of `throttleRate`."""
    budgets: dict[str, BudgetOut]
    """Limits that endpoints share which name them."""
    metadata: dict[str, str]
    """Keys and values for your own use."""
    sources: list[str] | None
    """The uids of the sources whose events the application's endpoints can receive. null: every source."""
    filter: dict[str, Any] | None
    """The rows whose events the application's endpoints can receive. null: all rows."""
    privacy: list[PrivacyRuleOut]
    """What no endpoint of the application, and no list of its messages, gets as it is."""
    created_at: datetime
    """When the application was created."""
    updated_at: datetime
    """When the application last changed."""


def show_application(application: Application) -> ApplicationOut:
    """An application as responses show it."""
    return ApplicationOut(
        id=application.id,
        uid=application.uid,
        name=application.name,
        throttle_rate=application.rate_limit,
        rate_limit=application.rate_limit,
        budgets=show_budgets(application.budgets),
        metadata=application.metadata,
        sources=None if application.sources is None else list(application.sources),
        filter=application.filter,
        privacy=show_rules(application.privacy),
        created_at=moment(application.created_at_ms),
        updated_at=moment(application.updated_at_ms),
    )
