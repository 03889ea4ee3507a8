"""From the body of a request to the stored application."""

import base64
import os
from collections.abc import Collection, Iterator
from typing import Any

from msgspec import UNSET, structs

from relay.api.asked import Asked, application_faults, raise_for
from relay.api.bounding import budgets_faults
from relay.api.schemas.applications import ApplicationIn, ApplicationPatch, ApplicationUpsertIn
from relay.api.schemas.common import either, given
from relay.api.schemas.privacy import read_rules
from relay.api.schemas.rates import read_budgets
from relay.domain.model import Application, ApplicationId, SourceUid
from relay.domain.names import own_uid
from relay.errors import Fault


def new_application(
    application_id: ApplicationId,
    body: ApplicationIn | ApplicationUpsertIn,
    *,
    sources: Collection[SourceUid],
    now_ms: int,
    uid: str | None = None,
) -> Application:
    """A new application; `uid` is the one in the path of a PUT. Raises Invalid."""
    raise_for(_faults(body, sources))
    fields = _fields(body)
    fields["uid"] = fields.get("uid") or own_uid(uid, path=("path", "app_id"))
    fields["token_key"] = _new_token_key()
    return Application(id=application_id, created_at_ms=now_ms, updated_at_ms=now_ms, **fields)


def replaced(
    application: Application,
    body: ApplicationUpsertIn,
    *,
    sources: Collection[SourceUid],
    now_ms: int,
    uid: str | None,
) -> Application:
    """An application after a PUT; `uid` is the one in the path, or None for a path with an id. Raises Invalid.

    As in Svix, an omitted uid is removed. A path with the uid names it, so it stays.
    """
    raise_for(_faults(body, {*sources, *(application.sources or ())}))
    fields = {"rate_limit": None, "metadata": {}} | _fields(body)
    fields["uid"] = fields.get("uid") or uid
    fields["token_key"] = application.token_key or _new_token_key()
    return structs.replace(application, **fields, updated_at_ms=now_ms)


def patched(
    application: Application, body: ApplicationPatch, *, sources: Collection[SourceUid], now_ms: int
) -> Application:
    """An application after a PATCH. Raises Invalid."""
    raise_for(_faults(body, {*sources, *(application.sources or ())}))
    key = application.token_key or _new_token_key()
    return structs.replace(application, **_fields(body), token_key=key, updated_at_ms=now_ms)


def with_token_key(application: Application) -> Application:
    """An application that has a key for tokens: one of an older release may have none."""
    return structs.replace(application, token_key=application.token_key or _new_token_key())


def _faults(
    body: ApplicationIn | ApplicationUpsertIn | ApplicationPatch, known: Collection[SourceUid]
) -> Iterator[Fault]:
    asked = Asked.of(body)
    yield from application_faults(asked, known)
    yield from budgets_faults(asked)


def _new_token_key() -> str:
    return base64.b64encode(os.urandom(32)).decode()


def _fields(body: ApplicationIn | ApplicationUpsertIn | ApplicationPatch) -> dict[str, Any]:
    fields = given(body, "name", "uid", "metadata", "sources", "filter")
    if rate := either(body, "throttle_rate", "rate_limit"):
        (fields["rate_limit"],) = rate
    if "metadata" in fields:
        fields["metadata"] = fields["metadata"] or {}
    if "filter" in fields:
        fields["filter"] = fields["filter"] or None
    if body.budgets is not UNSET:
        fields["budgets"] = read_budgets(body.budgets)
    if body.privacy is not UNSET:
        fields["privacy"] = read_rules(body.privacy)
    if fields.get("sources") is not None:
        fields["sources"] = tuple(dict.fromkeys(SourceUid(uid) for uid in fields["sources"]))
    return fields
