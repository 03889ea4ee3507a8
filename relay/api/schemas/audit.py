"""Entries of the audit log on the wire."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from relay.api.schemas.common import Out, moment
from relay.store.audit import Entry

NAMES = {"rate_limit": "throttleRate", "poll_interval_s": "pollIntervalSeconds", "delay_s": "delaySeconds"}
"""Fields of records that the API calls by another name."""


class AuditChangeOut(Out, frozen=True, kw_only=True):
    """What became of one object. It has the fields that changed. Secrets are hidden."""

    object: str
    """The kind and the id of the object, such as `endpoint/ep_…`."""
    before: dict[str, Any] | None
    """The fields before. null: the object is new, or the request changed no record."""
    after: dict[str, Any] | None
    """The fields after. null: the object was deleted, or the request changed no record."""


class AuditEntryOut(Out, frozen=True, kw_only=True):
    """What one request did."""

    id: str
    """The id of the entry."""
    timestamp: datetime
    """When the request was answered."""
    principal: str
    """The id of the API key, or `admin` for `RELAY_ADMIN_KEY`."""
    principal_name: str
    """The name that the key had."""
    action: str
    """What the request did, such as `endpoint.update`."""
    app_id: str | None
    """The id of the application. null: the request was not about one application."""
    address: str
    """The address of the caller."""
    request_id: str
    """The id of the request, as in the log."""
    method: str
    """The HTTP method."""
    path: str
    """The path, without the query."""
    status: int
    """The HTTP status of the response."""
    changes: list[AuditChangeOut]
    """The objects that the request changed, up to 20, or that its path names."""


def show_entry(entry: Entry) -> AuditEntryOut:
    """An entry as responses show it."""
    return AuditEntryOut(
        id=entry.position,
        timestamp=moment(entry.at_ms),
        principal=entry.principal,
        principal_name=entry.name,
        action=entry.action,
        app_id=entry.application or None,
        address=entry.address,
        request_id=entry.request_id,
        method=entry.method,
        path=entry.path,
        status=entry.status,
        changes=[
            AuditChangeOut(object=each.object, before=_named(each.before), after=_named(each.after))
            for each in entry.changes
        ],
    )


def _named(fields: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Fields of a record by their names in the API."""
    return None if fields is None else {NAMES.get(name, _camel(name)): value for name, value in fields.items()}


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)
